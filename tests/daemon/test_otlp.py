"""What is sent by OTLP: metrics, if asked for, and how the collector is spoken to."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from goosed_daemon.errors import BadSetting
from goosed_daemon.otlp_sender import QUEUE, Collector, Post, Sender
from goosed_daemon.telemetry import HTTP_BUCKETS, METRICS, Telemetry
from tests.daemon.otlp_receiver import attributes, receiving
from tests.daemon.test_roles import ask, found
from tests.daemon.test_tracing import logged, site
from tests.daemon.tls_site import authority, issue

__all__ = ["site"]


def test_what_is_pushed_is_what_is_scraped_and_what_was_asked(site: Path) -> None:
    with receiving() as collector:
        with logged(site, collector.url, GOOSED_OTLP_METRICS="1s") as (process, url):
            for _ in range(7):
                ask(f"{url}/healthz")
            for number in range(3):
                ask(f"{url}/no/such/{number}")
            text = ask(f"{url}/metrics")[1]
            process.terminate()
            process.communicate(timeout=20)
        pushed = collector.metrics[-1]
    durations = {
        tuple(attributes(point)[label] for label in ("service", "route", "status_code")): point
        for point in pushed["http_server_duration_seconds"].histogram.data_points
    }
    healthy = durations["goosed-api", "/healthz", "200"]
    assert (healthy.count, durations["goosed-api", "unmatched", "404"].count) == (7, 3)
    labels = r'{method="GET",route="/healthz",service="goosed-api",status_code="200"}'
    assert found(rf"^http_server_duration_seconds_count{labels} (\S+)", text) == "7.0"
    assert tuple(healthy.explicit_bounds) == HTTP_BUCKETS
    assert sum(healthy.bucket_counts) == 7 and len(healthy.bucket_counts) == len(HTTP_BUCKETS) + 1
    assert found(rf"^http_server_duration_seconds_sum{labels} (\S+)", text) == str(healthy.sum)
    names = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    assert names == {metric.name for metric in METRICS} == set(pushed)


def test_metrics_are_not_pushed_unless_asked_for(site: Path) -> None:
    with receiving() as collector:
        with logged(site, collector.url) as (process, url):
            ask(f"{url}/healthz")
            collector.until(lambda: bool(collector.spans))
            process.terminate()
            process.communicate(timeout=20)
        assert collector.lines and not collector.metrics


def test_a_collector_is_spoken_to_by_tls_and_shown_who_asks(tmp_path: Path) -> None:
    made = authority(tmp_path / "pki")
    certificate = issue(made)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.path, certificate.path.with_suffix(".key"))
    ca, headers = tmp_path / "pki" / "ca.crt", {"Authorization": "Bearer x"}
    with receiving(tls) as received:
        post = Post(Collector(received.url, ca, headers), "/v1/traces")
        assert post(b"")
        post.close()
        assert received.headers[-1]["Authorization"] == "Bearer x"
        assert not Post(Collector(received.url), "/v1/traces")(b"")
    with pytest.raises(BadSetting, match="OTEL_EXPORTER_OTLP_CERTIFICATE"):
        Post(Collector("https://c", tmp_path / "none"), "/v1/traces")


def test_a_connection_that_was_closed_while_idle_loses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        post = Post(Collector(f"http://127.0.0.1:{server.getsockname()[1]}"), "/v1/logs")
        assert post(b"one")
        time.sleep(0.1)
        assert post(b"two")
        thread.join()
        post.close()


def lost(telemetry: Telemetry) -> float:
    text = telemetry.exposition()[0].decode()
    return float(found(r'exports_total{outcome="lost",signal="logs"} (\S+)', text))


def test_what_no_message_can_hold_is_lost_and_not_the_sender() -> None:
    telemetry, taken = Telemetry(), list[bytes]()

    def encode(batch: Sequence[int]) -> bytes:
        return bytes(batch)  # refuses what is above 255

    def post(body: bytes) -> bool:
        taken.append(body)
        return True

    sender = Sender("logs", post, encode, telemetry)
    sender.put(256)
    while b'outcome="lost"' not in telemetry.exposition()[0]:
        time.sleep(0.01)
    assert lost(telemetry) == 1
    sender.put(7)
    sender.close(10)
    assert taken == [b"\x07"]


def test_what_finds_no_room_is_counted_as_lost() -> None:
    telemetry, gate = Telemetry(), threading.Event()
    taken: list[int] = []

    def post(body: bytes) -> bool:
        gate.wait()
        taken.append(len(body))
        return True

    sender: Sender[int] = Sender("logs", post, lambda batch: bytes(len(batch)), telemetry)
    for number in range(QUEUE + 1000):
        if not sender.full():
            sender.put(number)
    assert 0 < lost(telemetry) <= 1000
    gate.set()
    sender.close(10)
    assert sum(taken) + lost(telemetry) == QUEUE + 1000


def test_a_collector_that_is_away_is_asked_ever_more_seldom() -> None:
    telemetry, asked = Telemetry(), list[float]()

    def post(body: bytes) -> bool:
        asked.append(time.monotonic())
        return False

    def encode(batch: Sequence[int]) -> bytes:
        return b""

    sender = Sender("logs", post, encode, telemetry)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        if not sender.full():
            sender.put(1)
        time.sleep(0.0005)
    assert 2 <= len(asked) <= 3
    sender.close(10)


def test_bytes_that_are_no_text_do_not_silence_the_logs(site: Path) -> None:
    """Headers and paths may hold any byte; Python makes lone surrogates of what is not UTF-8."""
    with receiving() as collector, logged(site, collector.url) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        for path in (b"/healthz", b"/\xff", b"/healthz?a=\xff", b"/healthz?a=%ff"):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                lines = [b"GET " + path + b" HTTP/1.1", b"Host: x", b"User-Agent: \xff\xfe"]
                connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
                assert connection.recv(100).startswith(b"HTTP/1.")
        ask(f"{url}/healthz?after")
        collector.until(lambda: any("after" in str(line) for line in collector.lines))
        process.terminate()
        process.communicate(timeout=20)

"""Settings: one table, two sources, nothing ignored in silence."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.errors import UsageError
from bundles.files.document import InvalidDocument
from bundles.store import S3Address
from goosed_daemon import duration
from goosed_daemon.errors import BadSetting, UnknownSetting
from goosed_daemon.home import Home
from goosed_daemon.setting_forms import Address, base_url, listen_address
from goosed_daemon.setting_table import TABLE
from goosed_daemon.settings import Settings


def load(folder: Path, text: str = "", **environ: str) -> Settings:
    (folder / "goosed.yaml").write_text(text)
    return Settings.load({"GOOSE_HOME": str(folder), **environ})


def test_defaults_hold_without_file_and_environment(tmp_path: Path) -> None:
    settings = Settings.load({"GOOSE_HOME": str(tmp_path)})
    assert settings.home == Home(tmp_path)
    assert settings.listen == Address("127.0.0.1", 8443)
    assert settings.boot_listen == Address("127.0.0.1", 8080)
    assert settings.token_ttl == timedelta(minutes=30)
    assert settings.arm_tries == 3
    assert settings.public_url is None
    assert settings.url() == "https://127.0.0.1:8443"
    assert settings.boot_base() == "http://127.0.0.1:8080"
    assert settings.tls_certificate == tmp_path / "pki" / "issued" / "goosed.crt"
    assert settings.tls_key == tmp_path / "pki" / "issued" / "goosed.key"
    assert settings.tls_ca == settings.tls_client_ca == tmp_path / "pki" / "ca.crt"


def test_a_lab_has_one_listener_and_no_tls(tmp_path: Path) -> None:
    settings = load(tmp_path, "lab: true\n")
    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.boot_listen is None
    assert settings.url() == settings.boot_base() == "http://127.0.0.1:8080"
    assert settings.authority() is None


@pytest.mark.parametrize(
    "setting", ["boot_listen: 0.0.0.0:80", "tls_certificate: x.crt", "agent_certificates: true"]
)
def test_tls_that_a_lab_would_leave_out_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(BadSetting, match=setting.partition(":")[0]) as caught:
        load(tmp_path, f"lab: true\n{setting}\n")
    assert "lab" in caught.value.hint


def test_a_plain_public_url_is_refused_where_tls_is_served(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="not https") as caught:
        load(tmp_path, "public_url: http://goose.example\n")
    assert "boot_url" in caught.value.hint
    assert load(tmp_path, "public_url: http://goose.example\nlab: true\n").public_url


def test_no_boot_listener_is_a_choice(tmp_path: Path) -> None:
    settings = load(tmp_path, "boot_listen: none\n")
    assert settings.boot_listen is None
    assert settings.boot_base() == "https://127.0.0.1:8443"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = "token_ttl: 1h\narm_tries: 5\nlisten: 0.0.0.0:1\n"
    (tmp_path / "goosed.yaml").write_text(text)
    environ = {"GOOSE_HOME": str(tmp_path), "GOOSED_ARM_TRIES": "7", "GOOSED_LISTEN": "[::]:2"}
    settings = Settings.load(environ, {"listen": "127.0.0.1:3"})
    assert (settings.token_ttl, settings.arm_tries) == (timedelta(hours=1), 7)
    assert settings.listen == Address("127.0.0.1", 3)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, "arm_tries: 5\n", GOOSED_ARM_TRIES="", DB_DSN="").arm_tries == 5


def test_an_unknown_variable_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match="GOOSED_TOKEN_TLL") as caught:
        load(tmp_path, GOOSED_TOKEN_TLL="1h")
    assert caught.value.hint == "did you mean GOOSED_TOKEN_TTL?"


def test_an_unknown_key_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match=r"goosed\.yaml:2: token-ttl") as caught:
        load(tmp_path, "listen: 0.0.0.0:80\ntoken-ttl: 1h\n")
    assert caught.value.hint == "did you mean token_ttl?"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOSED_LISTEN", "8080"),
        ("GOOSED_LISTEN", ":8080"),
        ("GOOSED_LISTEN", "::1:8080"),
        ("GOOSED_LISTEN", "[1.2.3.4]:80"),
        ("GOOSED_LISTEN", "0.0.0.0:65536"),
        ("GOOSED_LISTEN", "0.0.0.0:http"),
        ("GOOSED_PUBLIC_URL", "boot.example.org"),
        ("GOOSED_PUBLIC_URL", "ftp://boot.example.org"),
        ("GOOSED_PUBLIC_URL", "http://boot.example.org/?x=1"),
        ("GOOSED_PUBLIC_URL", "http://user:secret@boot.example.org"),
        ("GOOSED_PUBLIC_URL", "http://boot.example.org/a b"),
        ("GOOSED_PUBLIC_URL", "http://boot.example.org/\nchain x"),
        ("GOOSED_PUBLIC_URL", "http://${mac}/"),
        ("GOOSED_PUBLIC_URL", "http://boot.example.org:99999"),
        ("GOOSED_PUBLIC_URL", "http://boot.example.org:" + "9" * 5000),
        ("GOOSED_LISTEN", "127.0.0.1:" + "9" * 5000),
        ("GOOSED_LISTEN", "a" * 80 + ":80"),
        ("GOOSED_LISTEN", "a..b:80"),
        ("GOOSED_ARM_TRIES", "9" * 5000),
        ("GOOSED_TOKEN_TTL", "30"),
        ("GOOSED_TOKEN_TTL", "0s"),
        ("GOOSED_TOKEN_TTL", "8d"),
        ("GOOSED_TOKEN_TTL", "-1m"),
        ("GOOSED_ARM_TRIES", "0"),
        ("GOOSED_ARM_TRIES", "many"),
        ("GOOSED_INSTALLS_AT_ONCE", "0"),
        ("GOOSED_CACHE_BYTES", "64MiB"),
        ("GOOSED_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_of_another_form_names_its_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name) as caught:
        load(tmp_path, **{name: value})
    assert len(caught.value.message) < 200 and "digits" not in caught.value.message


def test_a_value_typed_wrongly_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--listen: '8080' is not HOST:PORT"):
        Settings.load({"GOOSE_HOME": str(tmp_path)}, {"listen": "8080"})


@pytest.mark.parametrize("text", ["- listen\n", "listen: [a]\n", "listen: {a: b}\n"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting, match=r"goosed\.yaml"):
        load(tmp_path, text)


def test_a_file_that_is_not_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match=r"goosed\.yaml:2:1: "):
        load(tmp_path, "listen: [\n")


def test_the_home_is_the_named_folder_or_the_users(tmp_path: Path) -> None:
    assert Home.find({"GOOSE_HOME": str(tmp_path)}, uid=1).path == tmp_path
    assert Home.find({}, uid=0).path == Path("/var/lib/goose")
    assert Home.find({"XDG_DATA_HOME": "/data"}, uid=1).path == Path("/data/goose")
    assert Home.find({}, uid=1).path == Path.home() / ".local/share/goose"
    assert Home.find({"XDG_DATA_HOME": "relative"}, uid=1).path.parts[-2:] == ("share", "goose")


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/x", "~nobody-of-that-name/x"])
def test_a_home_that_can_be_no_folder_is_refused(home: str) -> None:
    with pytest.raises(BadSetting, match="GOOSE_HOME: ") as caught:
        Home.find({"GOOSE_HOME": home})
    assert caught.value.hint.startswith("set GOOSE_HOME ")


@pytest.mark.parametrize(
    "value", ["n.example:4222", "http://n.example", "nats:/x", "nats://n:x", "nats://n/path", "a b"]
)
def test_an_address_of_nats_that_is_none_is_refused_and_not_repeated(
    tmp_path: Path, value: str
) -> None:
    with pytest.raises(BadSetting, match="NATS_URL") as caught:
        load(tmp_path, NATS_URL=value)
    assert value not in caught.value.message


def test_a_token_of_nats_in_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "goosed.yaml").touch(mode=0o644)
    with pytest.raises(BadSetting, match="others may read"):
        load(tmp_path, "nats_url: nats://token@n.example\n")
    assert load(tmp_path, "nats_url: nats://n.example\n").nats_url == "nats://n.example"


def test_headers_for_the_collector_are_read_as_opentelemetry_has_them(tmp_path: Path) -> None:
    given = "authorization=Bearer%20hidden, x-scope-orgid = site-a"
    settings = load(tmp_path, OTEL_EXPORTER_OTLP_HEADERS=given)
    assert settings.otlp_headers == {"authorization": "Bearer hidden", "x-scope-orgid": "site-a"}
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("value", ["hidden", "a b=hidden", "a=hidden%0d%0aX: y", "a=hidden%00"])
def test_a_header_that_is_none_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadSetting, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        load(tmp_path, OTEL_EXPORTER_OTLP_HEADERS=value)
    assert "hidden" not in caught.value.message


def test_every_setting_can_be_given_both_ways(tmp_path: Path) -> None:
    values = {
        "lab": "false", "roles": "api, bootd", "listen": "0.0.0.0:81",
        "boot_listen": "0.0.0.0:82", "api_url": "https://a:1",
        "boot_url": "http://h:82", "boot_files": "a/*.efi b/x", "tls_certificate": "/c.crt",
        "tls_key": "/c.key", "tls_ca": "/ca.crt", "tls_client_ca": "/clients.crt",
        "agent_certificates": "true", "public_url": "https://h:1", "token_ttl": "2h",
        "replay_window": "1m", "enrol_ttl": "3h", "agent_token_ttl": "1d", "agent_interval": "1m",
        "rate_address": "5/1s", "rate_machine": "none", "boot_networks": "10.0.0.0/8 fd00::/8",
        "trusted_proxies": "10.0.0.1/32", "max_connections": "99",
        "arm_tries": "4", "installs_at_once": "20", "secrets": "/s", "identity": "/i",
        "cache_bytes": "0", "shutdown_grace": "5s", "ready_file": "/r", "log_level": "debug",
        "db_dsn": "postgresql://h/d",
        "artifact_reads": "redirected", "s3_endpoint": "s3.example:9000", "s3_bucket": "goose",
        "s3_access_key": "key", "s3_secret_key": "secret", "s3_secure": "false",
        "s3_region": "eu-west-1", "s3_quota": "1000000",
        "otlp_endpoint": "http://c:4318", "otlp_ca": "/o.crt", "otlp_headers": "a=b",
        "otlp_metrics": "15s",
        "nats_url": "tls://token@n.example:4222", "nats_ca": "/c",
        "nats_credentials": "/d",
    }  # fmt: skip
    (tmp_path / "goosed.yaml").touch(mode=0o600)
    assert sorted(values) == sorted(setting.key for setting in TABLE)
    by_file = load(tmp_path, "".join(f"{key}: {value}\n" for key, value in values.items()))
    environ = {setting.variable: values[setting.key] for setting in TABLE}
    assert load(tmp_path, **environ) == by_file != load(tmp_path)


S3 = {
    "S3_ENDPOINT": "s3.example",
    "S3_BUCKET": "goose",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "hidden",
}


def test_a_store_in_s3_is_named_whole_or_not_at_all(tmp_path: Path) -> None:
    assert load(tmp_path).store() == tmp_path / "store"
    assert load(tmp_path, **S3).store() == S3Address("s3.example", "goose", "key", "hidden")
    for name in S3:
        with pytest.raises(BadSetting, match=f"^{name}: not set"):
            load(tmp_path, **{**S3, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_ENDPOINT", "https://s3.example"),
        ("S3_ENDPOINT", "s3.example:0"),
        ("S3_ENDPOINT", "s3.example:"),
        ("S3_ENDPOINT", "s3.example/path"),
        ("S3_BUCKET", "No"),
        ("S3_BUCKET", "a/b"),
        ("S3_SECURE", "yes"),
        ("S3_SECRET_KEY", "hidden\n"),
        ("S3_SECRET_KEY", "hid den"),
    ],
)
def test_a_wrong_s3_setting_is_named_and_no_secret_shown(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(BadSetting, match=name) as caught:
        load(tmp_path, **{**S3, name: value})
    assert "hid" not in caught.value.message


def test_a_secret_is_taken_only_from_a_file_that_is_private(tmp_path: Path) -> None:
    text = "".join(f"{name.lower()}: {value}\n" for name, value in S3.items())
    (tmp_path / "goosed.yaml").touch(mode=0o640)
    with pytest.raises(BadSetting, match=r"goosed\.yaml:4: s3_secret_key is a secret") as caught:
        load(tmp_path, text)
    assert caught.value.hint == f"chmod 600 {tmp_path}/goosed.yaml"
    (tmp_path / "goosed.yaml").chmod(0o600)
    assert "hidden" not in repr(load(tmp_path, text)) + repr(load(tmp_path, text).store())


@given(st.integers(0, 10**8))
def test_a_duration_reads_back_as_it_is_shown(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert duration.parse(duration.show(span)) == span


@given(st.integers(0, 65535), st.sampled_from(["127.0.0.1", "::1", "host.example"]))
def test_an_address_reads_back_as_it_is_shown(port: int, host: str) -> None:
    assert listen_address(str(Address(host, port))) == Address(host, port)


@given(st.text(max_size=30))
def test_no_url_carries_what_a_script_would_act_on(text: str) -> None:
    for candidate in (text, "http://" + text):
        try:
            url = base_url(candidate)
        except ValueError:
            continue
        assert url.isascii() and url.isprintable() and not set(url) & set(" \"'${}<>\\")


def test_settings_load_without_heavy_libraries() -> None:
    code = (
        "import sys, goosed_daemon.settings, goosed_daemon.home\n"
        "print([m for m in ('pydantic', 'aiohttp', 'yaml', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

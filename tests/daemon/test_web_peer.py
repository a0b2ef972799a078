"""Certificates of agents: an option, and then one for the very machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.daemon.state_backends import MAC
from tests.daemon.tls_site import Answer, TlsLab, authority, issue, running_tls


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TlsLab]:
    async with running_tls(tmp_path, GOOSED_AGENT_CERTIFICATES="true") as site:
        yield site


def certificate(site: TlsLab, name: str, **how: object) -> list[object]:
    """curl's words for a client's certificate of the site, in files of their own."""
    made = issue(site.authority, name, ["a.site-a.example"], client=True, **how)  # type: ignore[arg-type]
    return ["--cert", made.path, "--key", made.path.with_suffix(".key")]


async def enrol(site: TlsLab, *words: object) -> Answer:
    deps = site.lab.deps
    secret = deps.agents.permit(MAC, site.lab.clock.now, timedelta(hours=1), "operator")
    return await post(site, "register", {"enrolment": secret}, *words)


async def post(site: TlsLab, route: str, body: dict[str, str], *words: object) -> Answer:
    json_ = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return await site.curl(*words, *json_, f"https://127.0.0.1:{site.port}/v1/agents/{route}")


async def test_an_agent_with_its_machines_certificate_enrols_beats_and_refreshes(
    site: TlsLab,
) -> None:
    own = certificate(site, "web1")
    token = json.loads((await enrol(site, *own)).out)["token"]
    who = {"machine_id": MAC}
    beat = await post(site, "heartbeat", who, *own, "-H", f"Authorization: Bearer {token}")
    assert json.loads(beat.out)["machine_id"] == MAC
    renewed = await post(site, "token/refresh", who | {"old_token": token}, *own)
    assert json.loads(renewed.out)["token"] != token


async def test_a_stolen_token_without_the_certificate_is_refused_and_stays_good(
    site: TlsLab,
) -> None:
    own, others = certificate(site, "web1"), certificate(site, "web2")
    token = json.loads((await enrol(site, *own)).out)["token"]
    bearer = ["-H", f"Authorization: Bearer {token}"]
    for words in ([], others):
        for route, body in (
            ("heartbeat", {"machine_id": MAC}),
            ("token/refresh", {"machine_id": MAC, "old_token": token}),
        ):
            refused = await post(site, route, body, *words, *bearer)
            assert json.loads(refused.out)["error"]["code"] == "certificate-needed"
    good = await post(site, "heartbeat", {"machine_id": MAC}, *own, *bearer)
    assert "error" not in json.loads(good.out)


async def test_an_enrolment_with_another_machines_certificate_uses_nothing_up(
    site: TlsLab,
) -> None:
    deps = site.lab.deps
    secret = deps.agents.permit(MAC, site.lab.clock.now, timedelta(hours=1), "operator")
    for words in ([], certificate(site, "web2")):
        refused = await post(site, "register", {"enrolment": secret}, *words)
        assert json.loads(refused.out)["error"]["code"] == "certificate-needed"
    good = await post(site, "register", {"enrolment": secret}, *certificate(site, "web1"))
    assert "token" in json.loads(good.out)


@pytest.mark.parametrize("kind", ["foreign", "ended", "server"])
async def test_a_certificate_that_is_not_the_sites_ends_the_handshake(
    site: TlsLab, kind: str
) -> None:
    if kind == "foreign":
        other = authority(site.folder / "other")
        made = issue(other, "web1", ["a.site-a.example"], client=True)
        words: list[object] = ["--cert", made.path, "--key", made.path.with_suffix(".key")]
    elif kind == "ended":
        words = certificate(site, "web1", ago=timedelta(days=9), life=timedelta(days=8))
    else:
        made = issue(site.authority, "web1", ["a.site-a.example"])  # for a server, not a client
        words = ["--cert", made.path, "--key", made.path.with_suffix(".key")]
    refused = await site.curl(*words, f"https://127.0.0.1:{site.port}/healthz")
    assert refused.code != 0 and refused.out == ""
    assert (await site.curl(f"https://127.0.0.1:{site.port}/healthz")).out == "ok\n"


async def test_whoever_is_no_agent_needs_no_certificate(site: TlsLab) -> None:
    site.lab.arm()
    told = await site.curl(f"{site.boot}/v1/boot/ipxe?mac={MAC}")
    url = told.out.partition("inst.ks=")[2].split()[0]
    assert (await site.curl(url)).out.startswith("# web1")


async def test_without_the_setting_a_token_is_enough(tmp_path: Path) -> None:
    async with running_tls(tmp_path) as site:
        assert "token" in json.loads((await enrol(site)).out)
    shutil.rmtree(tmp_path)

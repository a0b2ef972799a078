"""The agent's script over TLS: whom it believes, and how it proves its machine."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.daemon.agent_runs import SHELLS, Agent
from tests.daemon.state_backends import MAC
from tests.daemon.tls_site import TlsLab, authority, issue, running_tls


def permit(site: TlsLab) -> str:
    lab = site.lab
    return lab.deps.agents.permit(MAC, lab.clock.now, timedelta(hours=1), "operator")


@pytest.mark.parametrize("shell", SHELLS)
async def test_it_believes_the_sites_authority_and_no_other(tmp_path: Path, shell: str) -> None:
    async with running_tls(tmp_path / "site") as site:
        other = tmp_path / "other"
        authority(other)
        agent = Agent(tmp_path / "agent", shell, site.lab.url, [f"ca={other / 'ca.crt'}"])
        secret = permit(site)
        agent.write(enrolment=secret)
        code, said = await agent.run()
        assert code == 1 and "enrolment: no answer from https://" in said
        agent.conf = [f"ca={site.ca}"]
        agent.write_conf()
        agent.calm()
        assert await agent.run() == (0, f"goose-agent: enrolled as {MAC}\n")


@pytest.mark.parametrize("shell", SHELLS)
async def test_it_proves_its_machine_by_a_certificate(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "site"
    made = authority(folder / "pki")
    issue(made)
    for name in ("web1", "web2"):
        issue(made, name, [f"{name}.site-a.example"], client=True)
    issued = folder / "pki" / "issued"
    async with running_tls(folder, GOOSED_AGENT_CERTIFICATES="true") as site:
        agent = Agent(tmp_path / "agent", shell, site.lab.url, [f"ca={site.ca}"])
        agent.write(enrolment=permit(site))
        for name, outcome in (("", 1), ("web2", 1), ("web1", 0)):
            agent.conf = [f"ca={site.ca}"]
            if name:
                agent.conf += [f"cert={issued / name}.crt", f"key={issued / name}.key"]
            agent.write_conf()
            agent.calm()
            code, said = await agent.run()
            assert code == outcome, said
        assert said == f"goose-agent: enrolled as {MAC}\n"

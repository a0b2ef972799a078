"""Schemathesis asks a real daemon whatever /openapi.json allows, and what it does not allow: no
answer is a failure of ours, and each has a status, type and form that the document names."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from goosed_daemon import admin_tokens
from goosed_daemon.admin_tokens import Role
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from tests.cli.test_remote import make_site
from tests.daemon.test_web_serve import daemon
from tests.parts import in_ci

CONFIG = """\
headers = {{ "Authorization" = "Bearer {secret}" }}

[generation]
with-security-parameters = false  # wrong tokens would have it held back

[parameters]
machine = "web1"
mac = "52:54:00:12:34:56"
"path.name" = "nobody"  # it tries what lists told it, and would end its own token
"""

#: What it would see otherwise than we do, and which test looks instead.
EXCLUDED = {
    "ignored_auth": "it is held back after ten wrong tokens; test_web_admin asks every operation",
    "positive_data_acceptance": "no schema says which MACs, cursors and spans of time there are",
    "allow_header_conformance": "/v1/agents/{machine} has a machine called heartbeat, for GET",
}


def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    site, now = make_site(tmp_path / "site"), datetime.now(UTC)
    with closing(open_state(Home(site), None, now)) as state:
        secret = admin_tokens.new(state, "fuzz", Role.ADMIN, timedelta(days=1), now, "test")[1]
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(secret=secret))
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    unlimited = {"GOOSED_RATE_ADDRESS": "none", "GOOSED_RATE_MACHINE": "none"}
    with daemon(site, log=log, **unlimited) as (_, url):
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", config,
                "run", f"{url}/openapi.json", "--phases", "examples,coverage,fuzzing",
                "--max-examples", "4", "--exclude-checks", ",".join(EXCLUDED),
                "--continue-on-failure", "--no-color",
                *(["--generation-deterministic"] if in_ci() else []),
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=280,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 0" not in done.stdout and "Test cases:" in done.stdout
    assert "Rate limited" not in done.stdout, "the logic behind was asked too"
    assert secret not in done.stdout
    assert secret not in (tmp_path / "log").read_text()

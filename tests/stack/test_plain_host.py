"""The commands of docs/observability.md for a plain host, run as they stand there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.site import Site
from tests.observability import ROOT
from tests.parts import part
from tests.shell_blocks import shell_blocks

TOOLS = ("otelcol", "prometheus", "loki", "tempo")
FOLDERS = "export W=/var/lib/goose-observability GOOSE_HOME=/var/lib/goose\n"
READY = """
until curl -sf --cacert $GOOSE_HOME/pki/ca.crt https://127.0.0.1:8443/readyz; do sleep 0.2; done
until curl -sf http://127.0.0.1:13133; do sleep 0.2; done
"""
SCRAPED = """
until curl -sf http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=count(up == 1)' |
    grep '"6"'; do sleep 0.5; done
"""  # goosed, the collector and what it exports, Prometheus, Loki, Tempo


@pytest.mark.timeout(300)  # seconds
def test_the_commands_of_the_page_bring_up_all_of_it(tmp_path: Path) -> None:
    """In a network of its own: the ports that the page names are free, and nothing leads out."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(part(tool))
    (programs / "goosectl").symlink_to(Path(sys.executable).with_name("goosectl"))
    site = Site(tmp_path)
    site.issue()
    start, smoke = (block.text for block in shell_blocks("docs/observability.md"))
    assert FOLDERS in start
    script = tmp_path / "page.sh"
    start = start.replace(FOLDERS, f"export W={tmp_path}/w GOOSE_HOME={site.home}\n")
    script.write_text(f"set -eu\nip link set lo up\n{start}\n{READY}\n{smoke}\n{SCRAPED}")
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child=KILL",
             "bash", script],
            cwd=ROOT,
            env={"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        end = time.monotonic() + 240
        while process.poll() is None:
            assert time.monotonic() < end, log.read_text()[-5000:]
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    told = log.read_text()
    assert process.returncode == 0, told[-5000:]
    assert "all of it answers\n" in told

"""The quickstart as a newcomer runs it: from a clean copy, with no terminal, to its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.checkout import copied
from tests.integration.site import ROOT
from tests.integration.transcript import in_order
from tests.parts import part

#: All that the quickstart runs, beside Goose and ssh-keygen, on a machine with little.
FEW_TOOLS = (
    *("bash", "cat", "cp", "cut", "dirname", "env", "grep", "head", "ls", "mkdir", "python3"),
    *("rm", "sed", "sleep", "tail", "tar", "timeout", "tr", "wc"),
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copied(tmp_path / "clone")


@contextmanager
def started(clone: Path, path: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start the quickstart with Goose, out of the clone, first on PATH.

    It gets a session of its own: no terminal, and nothing of it outlives the block.
    """
    bin_ = Path(sys.executable).parent
    assert (bin_ / "goosectl").exists(), "Goose is not installed in this virtual environment"
    environment = os.environ | {
        "PATH": f"{bin_}:{path or os.environ['PATH']}",
        "PYTHONPATH": str(clone),
    }
    with subprocess.Popen(
        [clone / "scripts" / "quickstart.sh"],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def run(clone: Path, path: str | None = None) -> tuple[int, str]:
    """Run it to its end; returns its exit code and all that it said."""
    with started(clone, path) as process:
        said, _ = process.communicate(timeout=240)
        assert left_running(clone) == []
        return process.returncode, said


def with_few_tools(folder: Path, tools: Iterable[str]) -> str:
    """A PATH that holds `tools` and nothing else."""
    folder.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        assert found, f"{tool} is not on PATH"
        (folder / tool).symlink_to(found)
    return str(folder)


def left_running(clone: Path) -> list[str]:
    """The processes that have to do with the clone: by their command, folder or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            about = command + (process / "environ").read_bytes()
            about += os.fsencode(os.readlink(process / "cwd"))
        except OSError:
            continue  # it has ended, or is another user's
        if os.fsencode(clone) in about and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_quickstart_boots_a_machine_to_its_end_and_leaves_nothing_running(clone: Path) -> None:
    for name in ("ssh-keygen", "tar", "kernel", "busybox", "qemu-system-x86_64", "iPXE UEFI ROM"):
        part(name)
    code, said = run(clone)
    assert code == 0, said
    in_order(
        said,
        f"Everything is made in {clone}/quickstart\n",
        "1. Make a signing key",
        "2. Build a bundle from examples/bundles/base.yaml and sign it",
        "replaced by a kernel of this machine",
        "3. Make a site that trusts this signer",
        "4. Check the media with tar and ssh-keygen",
        'Good "goose-bundle@v1" signature for release',
        "signed by release: good",
        "5. Import it into the site",
        "complete: served at /v1/artifacts/site-base/",
        "6. Give the site the profiles of examples/infra",
        "are valid",
        "web-1 is armed",
        "7. Make the site's own certification authority",
        "8. Start goosed on free ports",
        "Firmware speaks no TLS",
        "9. Ask for the boot script",
        "echo goose: web-1 is about to be installed",
        "10. Fetch the kickstart that it names over HTTPS",
        "First:  200",
        "Second: 410, because\n     this token of 52:54:00:12:34:57 was used at",
        "(token-used)",
        "11. Boot a machine",
        "goose: web-1 is about to be installed",
        "guest: first fetch ends with curl exit code 0",
        "HTTP/1.1 410 Gone",
        "guest: reported: installed",
        "guest: done",
        "install-installed",
        "All done, and goosed is stopped again",
        "What to try next",
    )
    assert {p.name for p in clone.iterdir()} - {p.name for p in ROOT.iterdir()} <= {"quickstart"}


def test_quickstart_without_qemu_and_curl_completes_and_says_what_to_install(
    clone: Path, tmp_path: Path
) -> None:
    part("ssh-keygen")
    code, said = run(clone, with_few_tools(tmp_path / "bin", [*FEW_TOOLS, "ssh-keygen"]))
    assert code == 0, said
    in_order(
        said,
        "First:  200",
        "Second: 410, because",
        "11. Boot a machine: left out",
        "apt install qemu-system-x86",
        "All done",
    )


def test_quickstart_without_ssh_keygen_stops_before_it_makes_anything(
    clone: Path, tmp_path: Path
) -> None:
    code, said = run(clone, with_few_tools(tmp_path / "bin", FEW_TOOLS))
    assert code == 1
    in_order(said, "error: ssh-keygen is not on PATH", "hint: apt install openssh-client")
    assert not (clone / "quickstart").exists()


def test_quickstart_names_the_step_that_failed(clone: Path) -> None:
    part("ssh-keygen")
    with (clone / "examples" / "infra" / "machines.yaml").open("a") as file:
        file.write("colour: green\n")
    code, said = run(clone)
    assert code == 1
    in_order(said, "6. Give the site", "colour", "error: step 6 failed: Give the site the profiles")
    assert "7. " not in said


def test_quickstart_that_is_ended_halfway_stops_what_it_started(clone: Path) -> None:
    part("ssh-keygen")
    with started(clone) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("   It answers on"):
                break
        assert any("serve" in command for command in left_running(clone))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM
        assert left_running(clone) == []

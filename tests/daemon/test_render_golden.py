"""Whole rendered documents, as they were read and approved by a person.

After a change that is meant:  RENEW_GOLDEN=1 python -m pytest tests/daemon/test_render_golden.py
writes them anew and fails; read the difference with git before it is committed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from goosed_daemon.infra import validate
from goosed_daemon.infra.secrets import hidden
from goosed_daemon.places import PAUSE
from goosed_daemon.render import grub, ipxe, unattend, winpe
from goosed_daemon.render.context import BootContext
from tests.daemon.infra_site import (
    BASE,
    EITHER_FIRMWARE,
    MIRROR,
    PLAIN_MIRROR,
    RELEASES,
    VOLUMES,
    boot,
    full,
    networked,
    one_card,
    over_tls,
    profile,
    stored,
    windows,
    windows_profile,
)
from tests.parts import part

GOLDEN = Path(__file__).parents[1] / "golden"

FORMS: dict[str, Callable[[str], BootContext]] = {
    "full": full,
    "network": networked,
    "one-card": one_card,
    "volumes": partial(stored, VOLUMES),
    "mirror": partial(stored, MIRROR),
    "plain-mirror": partial(stored, PLAIN_MIRROR),
    "either-firmware": partial(stored, EITHER_FIRMWARE),
}

DOCUMENTS: dict[str, Callable[[], str]] = {
    "chain.ipxe": lambda: ipxe.chain(BASE),
    "install-dhcp.ipxe": lambda: ipxe.install(boot()),
    "install-static-rhel9.ipxe": lambda: ipxe.install(full("rhel9")),
    "install-static-debian12.ipxe": lambda: ipxe.install(full("debian12")),
    "chain.grub": lambda: grub.chain(BASE),
    "install-dhcp.grub": lambda: grub.install(boot()),
    "install-static-rhel9.grub": lambda: grub.install(full("rhel9")),
    "install-static-debian12.grub": lambda: grub.install(full("debian12")),
    "local.grub": lambda: grub.local_disk("db-1 is not armed", "goosectl machine arm db-1"),
    "refuse.grub": lambda: grub.refuse("no machine has MAC 52:54:00:12:34:99"),
    "install-network-rhel9.ipxe": lambda: ipxe.install(networked("rhel9")),
    "install-network-debian12.grub": lambda: grub.install(networked("debian12")),
    "install-tls-rhel9.grub": lambda: grub.install(over_tls("rhel9")),
    "install-tls-rhel9.ipxe": lambda: ipxe.install(over_tls("rhel9")),
    "install-tls-debian12.ipxe": lambda: ipxe.install(over_tls("debian12")),
    "tls-rhel9.ks": lambda: validate.rendered(over_tls("rhel9")),
    "tls-debian12.preseed": lambda: validate.rendered(over_tls("debian12")),
    "local.ipxe": lambda: ipxe.local_disk("db-1 is not armed", "goosectl machine arm db-1"),
    "refuse.ipxe": lambda: ipxe.refuse("no machine has MAC 52:54:00:12:34:99"),
    "wait.ipxe": lambda: ipxe.wait(BASE, "waiting, about 3 min, position 41", PAUSE),
    "wait.grub": lambda: grub.wait(BASE, "waiting, about 3 min, position 41", PAUSE),
    "minimal.ks": lambda: validate.rendered(boot()),
    "minimal.preseed": lambda: validate.rendered(boot(to=profile("debian12"))),
    "minimal-windows.xml": lambda: validate.rendered(hidden(boot(to=windows_profile()))),
    "minimal-windows.ipxe": lambda: ipxe.install(boot(to=windows_profile())),
    "full-windows.xml": lambda: validate.rendered(hidden(windows())),
    "full-windows-bios.xml": lambda: validate.rendered(hidden(windows("ws2022", "bios"))),
    "full-windows.ps1": lambda: unattend.script(windows()),
    "full-windows.ipxe": lambda: ipxe.install(windows()),
    "full-windows.cmd": lambda: winpe.startnet(windows()).replace("\r\n", "\n"),
    "full-windows.diskpart": lambda: winpe.diskpart(windows()).replace("\r\n", "\n"),
    "full-windows-bios.diskpart": lambda: winpe.diskpart(windows("ws2022", "bios")).replace(
        "\r\n", "\n"
    ),
    **{
        f"{form}-{release}.{'ks' if release.startswith('rhel') else 'preseed'}": (
            lambda make=make, release=release: validate.rendered(make(release))  # type: ignore[misc]
        )
        for form, make in FORMS.items()
        for release in RELEASES
    },
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_golden(name: str) -> None:
    rendered = DOCUMENTS[name]()
    path = GOLDEN / name
    if os.environ.get("RENEW_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(rendered)
        pytest.fail(f"{path.name} was written anew: read the difference")
    assert rendered == path.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == DOCUMENTS.keys()


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".grub")])
def test_grub_itself_takes_its_scripts(name: str) -> None:
    checker = part("grub-script-check")
    subprocess.run([checker], input=DOCUMENTS[name](), text=True, check=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_rendering_is_deterministic_and_ends_with_a_newline(name: str) -> None:
    text = DOCUMENTS[name]()
    assert text == DOCUMENTS[name]()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    trailing = [line for line in text.splitlines() if line != line.rstrip()]
    # iPXE's `||` may be the last word of a line; a blank after it would be harmless, but is not.
    assert trailing == []

"""The chain of wimboot and WinPE over real sockets, up to what only Windows can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree  # type: ignore[import-untyped]

from goosed_daemon import audit
from goosed_daemon.state import State
from tests.daemon.content import make_store
from tests.daemon.state_backends import MAC, TTL
from tests.daemon.web_site import PROFILES, Lab, running

SECRET = 'Pa%ss"<&>wor^d'
WINDOWS = f"""\
apiVersion: goose/v1
kind: Site
name: lab
---
apiVersion: goose/v1
kind: OSProfile
name: ws2025
installer: unattend
release: ws2025
bundle: site-base
kernel: win/wimboot
initrd: win/media/sources/boot.wim
repo: win/media
disk: {{device: "0", firmware: uefi}}
windows:
  image: {{index: 1}}
  administratorPassword: {{secretFrom: {{env: GOOSE_SECRET_ADMIN}}}}
  curl: win/curl.exe
  drivers:
    - files: [win/nic.inf]
---
apiVersion: goose/v1
kind: Machine
name: web1
mac: {MAC}
profile: ws2025
"""
FILES = ("wimboot", "media/sources/boot.wim", "media/sources/install.wim", "curl.exe", "nic.inf")


@pytest.fixture
async def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setenv("GOOSE_SECRET_ADMIN", SECRET)
    async with running(tmp_path / "site", WINDOWS) as lab:
        files = {f"win/{name}": name.encode() for name in FILES}
        make_store(lab.home.store, files, version="2.0", sequence=2)
        lab.arm()
        yield lab


def fetched(script: str) -> dict[str, str]:
    """What iPXE fetches: name in WinPE and URL."""
    lines = [line.split() for line in script.splitlines() if line.startswith("initrd ")]
    return {words[2]: words[3] for words in lines}


def events(state: State) -> list[str]:
    return [event.kind for event in audit.events(state)]


async def test_a_machine_goes_through_the_whole_chain(windows: Lab) -> None:
    script = await windows.script()
    files = fetched(script)
    assert list(files) == [
        "winpeshl.ini", "startnet.cmd", "goose-disk.txt", "curl.exe", "nic.inf", "boot.wim",
    ]  # fmt: skip
    texts = {}
    for name, url in files.items():
        for _ in range(2):  # iPXE may try again
            response = await windows.get(url.removeprefix(windows.url))
            assert response.status == 200, name
        texts[name] = (await response.read()).decode()
    assert "token-claimed" not in events(windows.deps.state)
    assert SECRET not in str(texts)

    startnet = texts["startnet.cmd"].splitlines()
    (answers,) = [line for line in startnet if "/v1/render/unattend" in line]
    path = answers.partition(f'"{windows.url}')[2].partition('"')[0]
    response = await windows.get(path)
    assert response.status == 200
    text = await response.text()
    root = etree.fromstring(text.encode())
    assert root.findtext(".//{*}AdministratorPassword/{*}Value") == SECRET
    assert (await windows.get(path)).status == 410
    assert (await windows.get(files["startnet.cmd"].removeprefix(windows.url))).status == 410

    # As `for /f "tokens=2 delims=<>"` of the lines that findstr /b finds.
    (line,) = [line for line in text.splitlines() if line.startswith("<Report>")]
    report = line.replace(">", "<").split("<")[2]
    assert "&" not in report
    for step in ("started", "disks", "configuring", "installed"):
        told = report.removeprefix(windows.url) + f"&step={step}"
        assert (await windows.get(told, "POST")).status == 204
    assert "it is installed" in await windows.script()

    (image,) = [line for line in startnet if "install.wim" in line and "curl" in line]
    path = image.partition(f'"{windows.url}')[2].partition('"')[0]
    assert await (await windows.get(path)).read() == b"media/sources/install.wim"


@pytest.mark.parametrize("name", ["autounattend.xml", "..%2Fca.crt", "STARTNET.CMD"])
async def test_other_files_are_not_there(windows: Lab, name: str) -> None:
    secret = (await windows.script()).partition("token=")[2].split()[0]
    assert (await windows.get(f"/v1/boot/windows/{name}?token={secret}")).status == 404


async def test_a_guessed_or_expired_token_gets_no_script(windows: Lab) -> None:
    secret = (await windows.script()).partition("token=")[2].split()[0]
    path = "/v1/boot/windows/startnet.cmd"
    assert (await windows.get(path)).status == 400
    assert (await windows.get(f"{path}?token={secret[:-1]}")).status == 404
    windows.clock.forward(TTL + timedelta(seconds=1))
    assert (await windows.get(f"{path}?token={secret}")).status == 410


async def test_a_machine_of_another_installer_gets_none(tmp_path: Path) -> None:
    async with running(tmp_path / "site", PROFILES) as lab:
        lab.arm()
        response = await lab.get(f"/v1/boot/windows/startnet.cmd?token={await lab.token()}")
        assert response.status == 409


async def test_no_token_is_wasted_without_the_image(windows: Lab) -> None:
    files = {f"win/{name}": b"x" for name in FILES if "install" not in name}
    files["win/media/readme"] = b"x"
    make_store(windows.home.store, files, version="3.0", sequence=3)
    assert "needs win/media/sources/install.wim" in await windows.script()
    assert "token-issued" not in events(windows.deps.state)


async def test_grub_says_that_it_cannot_start_winpe(windows: Lab) -> None:
    text = await (await windows.get(f"/v1/boot/grub?mac={MAC}")).text()
    assert "GRUB cannot start WinPE" in text
    assert "token-issued" not in events(windows.deps.state)

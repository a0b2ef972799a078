"""Real firmware boots real kernels from goosed, out of bundles that came in signed.

What a machine printed on its screen and what the server recorded must tell the same story.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.qemu import HOST, Firmware, Machine
from tests.integration.site import Site
from tests.integration.transcript import between, in_order, unbroken
from tests.parts import part

STRANGER = "52:54:00:99:99:99"
SECOND_CARD = "52:54:00:10:ff:01"


def qemu_parts(firmware: Firmware) -> None:
    """End the test where this machine cannot boot that firmware."""
    part("qemu-system-x86_64")
    part("iPXE UEFI ROM")  # holds the image for the BIOS too
    if firmware == "uefi":
        part("OVMF code")
        part("OVMF variables")


def loader(site: Site) -> str:
    """What a site's DHCP server names to iPXE."""
    return f"http://{HOST}:{site.boot_port}/boot.ipxe"


def secret_of(screen: str) -> str:
    """The boot token, as the guest's kernel was told it."""
    # The firmware's last line may lack its end when the kernel takes the console over.
    found = re.search(r"guest: kernel arguments: .*[?&]token=([A-Za-z0-9_-]+)", screen)
    assert found, screen
    return found[1]


def events(site: Site, name: str) -> list[str]:
    """What the audit log holds of a machine, oldest first."""
    return [event["event"] for event in site.goosectl("machine", "show", name)["events"]]


def installs_once(site: Site, name: str, mac: str, screen: str) -> None:
    """Assert the whole story of one install by the guest."""
    base, boot = f"https://{HOST}:{site.port}", f"http://{HOST}:{site.boot_port}"
    in_order(
        unbroken(screen),
        f"goose: {mac} asks {boot}",
        f"goose: {name} is about to be installed",
        "goose: ERASES the disk vda",
        "goose: profile rhel9 installs rhel9 by kickstart",
        "goose: bundle site-base 2026.11.1",
        "/rhel9/images/pxeboot/vmlinuz",
        "/rhel9/images/pxeboot/initrd.img",
        f"{boot}/v1/boot/ca/rhel9.img",
        f"BOOTIF=01-{mac.replace(':', '-')} inst.ks={base}/v1/render/kickstart?token=",
        "guest: network is up on ",
        f" {mac}guest: first fetch begins",
        "guest: reported: started",
        "guest: second fetch begins",
        "guest: reported: installed",
        "guest: power off",
    )
    kickstart = between(screen, "guest: first fetch begins", "guest: first fetch ends")
    assert f"{name}.test.example" in kickstart
    assert f"{base}/v1/artifacts/site-base" in kickstart
    assert "guest: first fetch ends with curl exit code 0\n" in screen
    refusal = between(screen, "guest: second fetch begins", "guest: second fetch ends")
    assert refusal.startswith("HTTP/1.1 410 "), refusal
    assert '"code": "token-used"' in refusal
    assert f"this token of {mac} was used at" in refusal

    (token,) = site.goosectl("token", "list", "--mac", mac)["items"]
    assert (token["state"], token["refusals"]) == ("used", 1)
    assert events(site, name) == [
        "machine-armed",
        "token-issued",
        "token-claimed",
        "enrolment-issued",
        "install-started",
        "token-refused",
        "install-installed",
        "machine-installed",
    ]
    assert "is not to be installed: it is installed" in site.get(f"/v1/boot/ipxe?mac={mac}")
    secret = secret_of(screen)
    for kept in (site.log, *site.home.glob("state.db*")):
        assert secret.encode() not in kept.read_bytes(), f"the secret is in {kept}"


def test_bios_machine_with_two_cards_renders_over_https_and_installs_once(
    site: Site, tmp_path: Path
) -> None:
    qemu_parts("bios")
    mac = "52:54:00:10:00:01"
    site.goosectl("machine", "arm", "with-bios")
    with Machine(
        "bios", mac=mac, bootfile=loader(site), scratch=tmp_path, more_macs=[SECOND_CARD]
    ) as machine:
        screen = machine.wait_for_end(seconds=240)
    installs_once(site, "with-bios", mac, screen)


def test_uefi_machine_renders_over_https_and_installs_once(site: Site, tmp_path: Path) -> None:
    qemu_parts("uefi")
    mac = "52:54:00:10:00:02"
    site.goosectl("machine", "arm", "with-uefi")
    with Machine("uefi", mac=mac, bootfile=loader(site), scratch=tmp_path) as machine:
        screen = machine.wait_for_end(seconds=240)
    installs_once(site, "with-uefi", mac, screen)


@pytest.mark.timeout(1800)  # seconds; a minute on an idle machine, many on a busy one
def test_debian_installer_claims_its_preseed_over_https_with_its_token(
    site: Site, tmp_path: Path
) -> None:
    qemu_parts("bios")
    mac = "52:54:00:10:00:03"
    recipe = site.debian_installer(part("debian-installer kernel"))
    media, key = site.folder / "debian-media", site.folder / "keys" / "release"
    site.goosectl("bundle", "build", recipe, "--key", key, "--out", media)
    site.goosectl("bundle", "import", media)
    site.goosectl("machine", "arm", "with-debian")
    with Machine(
        "bios", mac=mac, bootfile=loader(site), scratch=tmp_path, memory_mb=1600
    ) as machine:
        # Only the preseed names the mirror, and what stands in for it here has no packages.
        screen = machine.wait_for("Bad archive mirror", seconds=1700)
    in_order(
        unbroken(screen),
        "goose: with-debian is about to be installed",
        "goose: profile debian12 installs debian12 by preseed",
        "/debian12/linux",
        "/debian12/initrd.gz",
        f"http://{HOST}:{site.boot_port}/v1/boot/ca/debian12.img",
        "Bad archive mirror",
    )
    requests = [
        (line["route"], line["status"])
        for line in site.logged("request")
        if line["agent"] == "debian-installer" and "Release" not in line["target"]
    ]
    assert requests == [("/boot.ipxe", 200), ("/v1/render/{installer}", 200)]
    wanted = "/v1/artifacts/debian12@2026.11.1/debian12/mirror/dists/bookworm/Release"
    assert wanted in [line["target"] for line in site.logged("request")]

    (token,) = site.goosectl("token", "list", "--mac", mac)["items"]
    assert (token["state"], token["refusals"]) == ("used", 0)
    assert events(site, "with-debian") == [
        "machine-armed",
        "token-issued",
        "token-claimed",
        "enrolment-issued",
        "install-started",
    ]
    assert "install-started" in events(site, "with-debian"), "the installer's own wget reported"


@pytest.mark.parametrize(
    ("mac", "words"),
    [
        pytest.param(STRANGER, f"no machine has MAC {STRANGER}", id="unknown"),
        pytest.param("52:54:00:10:00:04", "is not to be installed: it is not armed", id="unarmed"),
    ],
)
def test_machine_that_must_not_install_says_why_on_its_screen(
    site: Site, tmp_path: Path, mac: str, words: str
) -> None:
    qemu_parts("bios")
    with Machine("bios", mac=mac, bootfile=loader(site), scratch=tmp_path) as machine:
        screen = machine.wait_for("there is no system on the first disk", seconds=120)
    in_order(
        unbroken(screen), words, "goose: booting this machine's own disk", "no system on the first"
    )
    assert "vmlinuz" not in screen
    assert site.goosectl("token", "list", "--mac", mac)["items"] == []

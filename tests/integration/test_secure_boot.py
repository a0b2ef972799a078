"""Secure Boot: what Microsoft and a distribution signed boots a signed kernel by Goose's scripts.

Two chains, both under firmware that refuses whatever nobody vouches for: Debian's own GRUB, which
has TFTP alone, and a GRUB with http that the site signed with a key that its machines trust.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import unquote

import pytest

from goosed_daemon.render import grub
from tests.daemon.test_render_firmware import serving
from tests.integration.qemu import HOST, SECURE_VARS, Machine
from tests.integration.site import Site
from tests.integration.test_boot import events, secret_of
from tests.integration.transcript import in_order
from tests.parts import part

# What a GRUB needs for Goose's scripts over HTTP; docs/secure-boot.md has the same list.
MODULES = (
    *(
        "normal",
        "configfile",
        "echo",
        "test",
        "true",
        "sleep",
        "minicmd",
        "regexp",
        "smbios",
        "net",
        "efinet",
        "http",
    ),
    *(
        "tftp",
        "linux",
        "boot",
        "chain",
        "search",
        "search_fs_file",
        "part_gpt",
        "part_msdos",
        "fat",
    ),
)
SBAT = (
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    "grub,5,Free Software Foundation,grub,2.06,https://www.gnu.org/software/grub/\n"
)


@pytest.fixture
def tftp(tmp_path: Path) -> Path:
    """A TFTP folder with a shim that Microsoft signed."""
    part("qemu-system-x86_64")
    part("Secure Boot code")
    part("Secure Boot variables")
    folder = tmp_path / "tftp"
    (folder / "grub").mkdir(parents=True)
    shutil.copyfile(part("signed shim"), folder / "shimx64.efi")
    return folder


def publish(site: Site, folder: Path, mac: str) -> None:
    """Put what GRUB will ask for below a TFTP folder, under the paths that goosed has it at."""
    query = f"mac={mac}&uuid=00000000-0000-0000-0000-000000000000&platform=efi&buildarch=x86_64"
    path = f"/v1/boot/grub?{query}&port={site.boot_port}"
    script = boot_text(site, path)
    paths = [
        word for word in script.split("'") if word.startswith(("/v1/artifacts/", "/v1/boot/ca/"))
    ]
    assert len(paths) == 3
    put(folder, path, script.encode())
    for name in paths:
        put(folder, unquote(name), site.fetch(site.boot_url + name))


def boot_text(site: Site, path: str) -> str:
    """What the boot listener answers, as guests see this machine."""
    return site.fetch(site.boot_url + path).decode().replace("127.0.0.1", HOST)


def put(folder: Path, path: str, content: bytes) -> None:
    at = folder / path.removeprefix("/")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(content)


def installs_once(site: Site, name: str, mac: str, screen: str) -> None:
    in_order(
        screen,
        f"goose: {mac} asks (",
        f"goose: {name} is about to be installed",
        "goose: ERASES the disk vda",
        "guest: kernel arguments: BOOT_IMAGE=",
        f"BOOTIF=01-{mac.replace(':', '-')} inst.ks=https://{HOST}:{site.port}/v1/render/kickstart",
        f"guest: network is up on eth0 {mac}",
        "guest: first fetch ends with curl exit code 0",
        "guest: reported: installed",
        "guest: power off",
    )
    (token,) = site.goosectl("token", "list", "--mac", mac)["items"]
    assert (token["state"], token["refusals"]) == ("used", 1)
    assert events(site, name)[-1] == "machine-installed"
    assert secret_of(screen).encode() not in site.log.read_bytes()


@pytest.mark.timeout(400)
def test_signed_grub_of_a_distribution_installs_over_tftp(
    site: Site, tftp: Path, tmp_path: Path
) -> None:
    shutil.copyfile(part("signed grubnet"), tftp / "grubx64.efi")
    mac = "52:54:00:10:00:05"
    site.goosectl("machine", "arm", "with-signed-grub")
    chain = boot_text(site, "/boot.grub")
    (tftp / "grub" / "grub.cfg").write_text(f"set goose=tftp,{HOST}\n{chain}")
    publish(site, tftp, mac)
    with Machine(
        "secure", mac=mac, bootfile="shimx64.efi", scratch=tmp_path, tftp=tftp, memory_mb=512
    ) as machine:
        screen = machine.wait_for_end(seconds=360)
    installs_once(site, "with-signed-grub", mac, screen)


@pytest.fixture
def own_grub(tmp_path: Path, tftp: Path) -> Path:
    """Firmware variables that trust the site's key as well, which signed the GRUB beside shim."""
    part("GRUB modules")
    made, key, certificate = tmp_path / "grub.efi", tmp_path / "key.pem", tmp_path / "cert.pem"
    (tmp_path / "sbat.csv").write_text(SBAT)
    run(
        *(part("grub-mkimage"), "-O", "x86_64-efi", "-p", "/grub", "-o", made),
        *("--sbat", tmp_path / "sbat.csv", *MODULES),
    )
    run(
        *(part("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
        *("-subj", "/CN=boot key of site-a", "-keyout", key, "-out", certificate),
    )
    run(part("sbsign"), "--key", key, "--cert", certificate, "--output", tftp / "grubx64.efi", made)
    variables = tmp_path / "trusting.fd"
    run(
        *(Path(sys.executable).with_name("virt-fw-vars"), "--input", SECURE_VARS),
        *("--output", variables, "--add-db", uuid.uuid4(), certificate),
    )
    return variables


def run(*command: object) -> None:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{words}\n{done.stderr}"


@pytest.mark.timeout(900)
def test_own_grub_installs_over_http(
    site: Site, tftp: Path, own_grub: Path, tmp_path: Path
) -> None:
    mac = "52:54:00:10:00:06"
    site.goosectl("machine", "arm", "with-own-grub")
    (tftp / "grub" / "grub.cfg").write_text(boot_text(site, "/boot.grub"))
    with Machine(
        "secure",
        mac=mac,
        bootfile="shimx64.efi",
        scratch=tmp_path,
        tftp=tftp,
        variables=own_grub,
        memory_mb=512,
    ) as machine:
        screen = machine.wait_for_end(seconds=420)
    installs_once(site, "with-own-grub", mac, screen)
    assert f"goose: {mac} asks (http,{HOST}:{site.boot_port})" in screen
    seen = {fact["step"] for fact in site.goosectl("workflow", "export", "with-own-grub")["facts"]}
    assert "fetched" in seen, "GRUB tells who fetches its ramdisk"
    assert '"dyndbg=file drivers/net/* +p"' in screen, "blanks in an argument reach the kernel"


@pytest.mark.timeout(900)
def test_a_machine_waits_for_its_turn_past_failures_and_is_answered_at_last(
    tftp: Path, own_grub: Path, tmp_path: Path
) -> None:
    with serving() as server:
        wait = grub.wait(server.base, "waiting, about 3 min, position 41", 1)
        failures: list[str | None] = [None] * (grub.ATTEMPTS + 1)
        last = grub.local_disk("done waiting")
        server.answers["/v1/boot/grub"] = [*[wait] * 5, *failures, wait, last]
        (tftp / "grub" / "grub.cfg").write_text(grub.chain(server.base))
        with Machine(
            "secure",
            mac="52:54:00:10:00:09",
            bootfile="shimx64.efi",
            scratch=tmp_path,
            tftp=tftp,
            variables=own_grub,
            memory_mb=512,
        ) as machine:
            screen = machine.wait_for("goose: done waiting", seconds=600)
    assert len(server.asked) == 5 + len(failures) + 2
    waits = ["&waits=yes" in path for path in server.asked]
    assert waits == [False, *[True] * (len(server.asked) - 1)]
    assert "goose: waiting, about 3 min, position 41" in screen
    assert screen.count("goose: no answer, asking again in 10 seconds") == len(failures)


@pytest.mark.timeout(400)
def test_hostile_words_run_nothing_and_the_disk_is_booted(tftp: Path, tmp_path: Path) -> None:
    """Under the signed GRUB, which starts the shim on the disk."""
    signed = shutil.copyfile(part("signed grubnet"), tftp / "grubx64.efi")
    words = (
        "serial ${root} $root && echo ran; echo ran | 'echo ran' \" `echo ran` \\ {} #é\necho ran"
    )
    (tftp / "grub" / "grub.cfg").write_text(grub.refuse(words, "goosectl infra list"))
    disk = tmp_path / "disk" / "EFI" / "debian"
    disk.mkdir(parents=True)
    shutil.copyfile(part("signed shim"), disk / "shimx64.efi")
    shutil.copyfile(signed, disk / "grubx64.efi")
    (tmp_path / "disk" / "grub").mkdir()
    (tmp_path / "disk" / "grub" / "grub.cfg").write_text("echo 'the system on the disk is up'\n")
    with Machine(
        "secure",
        mac="52:54:00:10:00:07",
        bootfile="shimx64.efi",
        scratch=tmp_path,
        tftp=tftp,
        disk=tmp_path / "disk",
        memory_mb=512,
    ) as machine:
        screen = machine.wait_for("the system on the disk is up", seconds=360)
    shown = (
        "goose: serial ${root} $root && echo ran; echo ran | 'echo ran' \" `echo ran` \\ {} #??",
        "goose: goosectl infra list",
        "goose: booting this machine's own disk",
        "goose: starting (hd0,msdos1)/EFI/debian/shimx64.efi",
        "the system on the disk is up",
    )
    # GRUB breaks lines at blanks, and leaves those out.
    in_order("".join(screen.split()), *("".join(words.split()) for words in shown))
    assert screen.count("ran") == 5, "as words, and never as what a command printed"

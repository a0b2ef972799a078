"""The Debian installer's own wget, out of its own ramdisk with ours unpacked over it, fetches from
the daemon as the installer does: by HTTPS, verified."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goosed_daemon import ca_image
from tests.daemon.tls_site import Answer, TlsLab, authority, run, running_tls
from tests.parts import part


@pytest.fixture(scope="module")
def installer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installer's ramdisk, unpacked, less its device nodes."""
    root = tmp_path_factory.mktemp("installer")
    initrd = part("debian-installer initrd")
    unzipped = subprocess.run([part("gzip"), "-dc", initrd], check=True, capture_output=True)
    subprocess.run(
        [part("cpio"), "-idu", "--quiet", "--no-absolute-filenames", "bin/*", "lib/*", "lib64/*",
         "usr/bin/*", "usr/lib/*", "etc/ssl/*"],
        input=unzipped.stdout, cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    (root / "tmp").mkdir(exist_ok=True)
    return root


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TlsLab]:
    async with running_tls(tmp_path) as site:
        yield site


def unpack(root: Path, image: bytes) -> None:
    subprocess.run([part("cpio"), "-idu", "--quiet"], input=image, cwd=root, check=True)


async def wget(root: Path, url: str) -> Answer:
    """What fetch-url of the installer runs (debian-installer-utils), within `root`."""
    inside = ["/usr/bin/wget", "--no-verbose", "-U", "debian-installer", "-O", "-", url]
    return await run(part("unshare"), "--map-root-user", "--root", root, *inside)


async def test_the_installer_of_debian_believes_the_site_by_the_ramdisk_alone(
    site: TlsLab, installer: Path
) -> None:
    url = f"https://127.0.0.1:{site.port}/healthz"
    before = await wget(installer, url)
    assert before.code == 5, before.err  # wget(1), exit status: SSL verification failure
    image = ca_image.image("debian12", site.ca.read_bytes())
    unpack(installer, image)
    after = await wget(installer, url)
    assert (after.code, after.out) == (0, "ok\n"), after.err
    foreign = ca_image.image("debian12", authority(site.folder / "other").show().path.read_bytes())
    for file in (installer / "etc/ssl/certs").glob("*.[0-9]"):
        if not file.is_symlink():
            file.unlink()
    unpack(installer, foreign)
    assert (await wget(installer, url)).code == 5

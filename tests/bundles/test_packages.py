"""Packages: what stock tools say of them, and what hostile ones cannot do."""

from __future__ import annotations

import lzma
import os
import random
import struct
import subprocess
import time
import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import packages
from bundles.packages import NotAPackage, Package, order
from tests.bundles import packaging
from tests.parts import part


def read(path: Path) -> Package:
    return packages.read(str(path), path.name)


@pytest.mark.parametrize("source", [False, True])
def test_an_rpm_is_what_rpm_says(tmp_path: Path, source: bool) -> None:
    path = packaging.rpm(tmp_path, epoch=2, files=500, source=source)
    form = "%{NAME}|%{EPOCH}:%{VERSION}-%{RELEASE}|%{ARCH}|%{LICENSE}|%{SOURCERPM}"
    command = [part("rpm"), "-qp", "--qf", form, path]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("|")
    found = read(path)
    assert [found.name, found.version, found.license] == [told[0], told[1], told[3]]
    assert found.arch == ("src" if told[4] == "(none)" else told[2])
    assert found.purl == f"pkg:rpm/hello@1.2.3-4.el9?arch={found.arch}&epoch=2"


def test_an_rpm_without_epoch_has_none(tmp_path: Path) -> None:
    found = read(packaging.rpm(tmp_path, license="GPLv2+"))
    assert (found.version, found.license) == ("1.2.3-4.el9", "GPLv2+")
    assert found.purl == "pkg:rpm/hello@1.2.3-4.el9?arch=noarch"


@pytest.mark.parametrize("packed", ["xz", "gzip", "zstd", "none"])
def test_a_deb_is_what_dpkg_deb_says(tmp_path: Path, packed: str) -> None:
    path = packaging.deb(tmp_path, packed=packed)
    command = [part("dpkg-deb"), "--show", "--showformat=${Package}|${Version}|${Architecture}"]
    told = subprocess.run([*command, path], check=True, capture_output=True, text=True).stdout
    found = read(path)
    assert [found.name, found.version, found.arch] == told.split("|")
    assert found.purl == "pkg:deb/hello@1:1.2-3?arch=amd64"


def test_a_wheel_is_what_its_metadata_say(tmp_path: Path) -> None:
    found = read(packaging.wheel(tmp_path))
    assert (found.name, found.version, found.arch) == ("Hello_World", "1.2.0rc1", "py3-none-any")
    assert found.license == "Apache-2.0"
    expected = "pkg:pypi/hello-world@1.2.0rc1?file_name=hello_world-1.2.0rc1-py3-none-any.whl"
    assert found.purl == expected


def test_only_names_of_packages_are_opened() -> None:
    assert packages.is_package("a/b.rpm") and packages.is_package("x.udeb")
    assert not any(map(packages.is_package, ("rpm", ".rpm", "a.rpm/b", "a.RPM.txt", "a.tar.gz")))


class Real:
    """One real package of each format, as bytes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        made = [packaging.rpm(folder), packaging.wheel(folder)]
        made += [packaging.deb(folder, packed=packed) for packed in ("xz", "gzip", "zstd", "none")]
        self.files = [(path.name, path.read_bytes()) for path in made]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    return Real(tmp_path_factory.mktemp("real"))


def taken(folder: Path, name: str, data: bytes) -> Package | None:
    """What is read of a file; None if it is no package. Anything else it raises is a fault."""
    path = folder / name
    path.write_bytes(data)
    try:
        return read(path)
    except NotAPackage:
        return None


def test_a_package_cut_anywhere_is_no_fault(real: Real, tmp_path: Path) -> None:
    for name, data in real.files:
        whole = taken(tmp_path, name, data)
        assert whole is not None
        for end in range(0, len(data), max(1, len(data) // 300)):
            assert taken(tmp_path, name, data[:end]) in (None, whole)


def test_a_package_with_changed_bytes_is_no_fault(real: Real, tmp_path: Path) -> None:
    chance = random.Random(7)
    for name, data in real.files:
        for _ in range(400):
            spoiled = bytearray(data)
            for _ in range(chance.randint(1, 12)):
                # Most of what is read stands in the first bytes, or in a wheel's last ones.
                reach = min(len(spoiled), chance.choice((120, 600, 6000, len(spoiled))))
                at = chance.randrange(reach)
                at = (
                    len(spoiled) - 1 - at if name.endswith(".whl") and chance.random() < 0.5 else at
                )
                spoiled[at] = chance.choice((0, 0xFF, chance.randrange(256)))
            taken(tmp_path, name, bytes(spoiled))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.sampled_from([".rpm", ".deb", ".udeb", ".whl"]))
def test_garbage_is_no_fault(tmp_path: Path, data: bytes, suffix: str) -> None:
    magic = {".rpm": b"\xed\xab\xee\xdb", ".whl": b"PK\x05\x06"}.get(suffix, b"!<arch>\n")
    for start in (b"", magic, magic.ljust(96, b"\0") + b"\x8e\xad\xe8\x01"):
        taken(tmp_path, f"a-1-py3-none-any{suffix}", start + data)


def bounded(folder: Path, name: str, data: bytes) -> None:
    """`data` is no package, which is found within a second and in 64 MiB."""
    (folder / name).write_bytes(data)
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(NotAPackage):
        read(folder / name)
    assert time.monotonic() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def ar(member: bytes, name: bytes) -> bytes:
    head = b"".join(
        each.ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"100644".ljust(8)
        + str(len(body)).encode().ljust(10) + b"`\n" + body + b"\n" * (len(body) % 2)
        for each, body in ((b"debian-binary", b"2.0\n"), (name, member))
    )  # fmt: skip
    return b"!<arch>\n" + head


def test_a_control_archive_that_unpacks_to_gigabytes_is_cut(tmp_path: Path) -> None:
    packer = lzma.LZMACompressor()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    assert len(bomb) < 1 << 20
    bounded(tmp_path, "bomb.deb", ar(bomb, b"control.tar.xz"))


def test_a_wheel_whose_metadata_unpack_to_gigabytes_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a-1.dist-info/METADATA", "w") as file,
    ):
        for _ in range(500):
            file.write(b"X: " + bytes(1 << 20))
    bounded(tmp_path, path.name, path.read_bytes())


def test_a_wheel_with_a_directory_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    size = 1 << 30
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size, 0, 0))
    tracemalloc.start()
    with pytest.raises(NotAPackage, match="too long a directory"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_an_rpm_header_of_four_gigabytes_is_not_read(tmp_path: Path) -> None:
    lead = b"\xed\xab\xee\xdb".ljust(96, b"\0")
    intro = struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", 0x01000000, 0xFFFFFFFF)
    bounded(tmp_path, "a.rpm", lead + intro + bytes(1000))


@pytest.mark.parametrize("name", ["a b", "a/b", "", "x" * 300, "\x1b[31mred", "\u202egnp"])
def test_a_name_that_is_none_makes_no_package(tmp_path: Path, name: str) -> None:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    path = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a-1.dist-info/METADATA", text)
    with pytest.raises(NotAPackage, match="has no usable name"):
        read(path)


def test_a_file_that_became_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.rpm")
    with pytest.raises((NotAPackage, OSError)):
        read(tmp_path / "a.rpm")


PIECES = ("1", "2", "10", "01", "a", "b", "rc", "el9", "~", "^", ".", "_", "+", "1a", "0")


def versions(chance: random.Random) -> str:
    return "1" + "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 5)))


def sign(number: int | None) -> int:
    assert number is not None
    return (number > 0) - (number < 0)


def test_rpm_versions_are_ordered_as_rpm_orders_them() -> None:
    chance = random.Random(11)
    pairs = [(versions(chance), versions(chance)) for _ in range(3000)]
    pairs += [("1.0~rc1", "1.0"), ("1.0^git", "1.0"), ("1.0^git", "1.0.1"), ("1.10", "1.9")]
    pairs += [("0:1-1", "1-1"), ("1:1-1", "2-1"), ("1-2", "1-10"), ("007", "7"), ("1a", "1.1")]
    script = "".join(f'print(rpm.vercmp("{a}","{b}"),"");' for a, b in pairs)
    command = [part("rpm"), "--eval", f"%{{lua: {script}}}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for (a, b), told in zip(pairs, done.stdout.split(), strict=True):
        assert sign(order.compare("rpm", a, b)) == int(told), (a, b)
        assert sign(order.compare("rpm", b, a)) == -int(told), (b, a)


def test_debian_versions_are_ordered_as_dpkg_orders_them() -> None:
    dpkg, chance = part("dpkg"), random.Random(13)
    allowed = str.maketrans("^_", "~+")
    drawn = [versions(chance).translate(allowed) for _ in range(300)]
    pairs = [
        *zip(drawn[::2], drawn[1::2], strict=True),
        ("1:1", "2"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.2-3", "1.2-3+deb12u1"),
        ("1.10", "1.9"),
    ]
    for a, b in pairs:
        told = subprocess.run([dpkg, "--compare-versions", a, "gt", b]).returncode == 0
        assert (sign(order.compare("deb", a, b)) > 0) is told, (a, b)


def test_python_versions_are_ordered_as_pep_440_does() -> None:
    newer = ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.10", "1!0.1"]
    for a, b in pairwise(newer):
        assert (order.compare("pypi", a, b), order.compare("pypi", b, a)) == (-1, 1)
    assert order.compare("pypi", "1.0", "1.0.0") == 0


def test_where_no_order_is_known_none_is_made_up() -> None:
    assert order.compare("pypi", "one", "two") is None
    assert order.compare("npm", "1", "2") is None
    assert order.compare("npm", "1", "1") == 0

"""A volume, and a store, open with what a courier or an auditor has anyway."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bundles import digest as digests
from bundles.format import layout, statement
from bundles.signing.sshsig import BUNDLE, VOLUMES
from tests.bundles.content import Tree, artifact, lay_out, noise, take
from tests.bundles.making import Workshop
from tests.parts import part

MANY = 20_000

SMALL = {
    "bin/run": (b"#!/bin/sh\n", 0o755),
    "empty": (b"", 0o644),
    "large.bin": (noise("large", 700_000), 0o644),
    "twin.bin": (noise("large", 700_000), 0o644),
    "with space/ü": (b"text\n", 0o644),
    "{}": (b"{}", 0o644),
}


class Media:
    """A bundle `base` 1.0.0 with the tree `os/tree` and the file `fw/one.bin`, and its site."""

    def __init__(self, folder: Path, content: Tree) -> None:
        self.workshop = Workshop(folder)
        self.tree = lay_out(folder / "content", content)
        one = lay_out(folder / "one", {"one.bin": (b"firmware", 0o644)}) / "one.bin"
        sources = [artifact(self.tree, "os/tree"), artifact(one, "fw/one.bin")]
        draft = self.workshop.draft(created="2020-02-01T12:00:00Z")
        [self.volume] = self.workshop.build(draft, sources)
        self.store = folder / "store"
        take(self.workshop, self.store, self.volume)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Media:
    return Media(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """Its tree needs several manifests."""
    content = {f"d{n // 500}/file number {n}.txt": (b"%d" % n, 0o644) for n in range(MANY)}
    return Media(tmp_path_factory.mktemp("large"), content)


def run(command: Sequence[str | Path], folder: Path, given: bytes | None = None) -> bytes:
    """What `command` prints; it must succeed and have nothing to complain about."""
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_tar_lists_and_extracts_a_volume(small: Media, tmp_path: Path) -> None:
    tar = part("tar")
    names = run([tar, "tf", small.volume], tmp_path).decode().splitlines()
    assert names[:4] == [
        *("oci-layout", "index.json", "goose/statement.json", "goose/statement.sig.1")
    ]
    run([tar, "xf", small.volume], tmp_path)
    assert sorted(contents(tmp_path)) == sorted(names)
    for path in (tmp_path / "blobs/sha256").iterdir():
        assert digests.of(path.read_bytes()) == f"sha256:{path.name}"
    index = json.loads((tmp_path / "index.json").read_bytes())
    for entry in index["manifests"]:
        assert (tmp_path / "blobs/sha256" / entry["digest"][7:]).stat().st_size == entry["size"]


def test_tar_compares_a_volume_with_what_it_extracted(small: Media, tmp_path: Path) -> None:
    """Mode, size, time and every byte, as tar itself reads the headers."""
    tar = part("tar")
    run([tar, "xf", small.volume, "--no-same-owner"], tmp_path)
    differences = subprocess.run(
        [tar, "df", small.volume], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    assert all(line.endswith(("Uid differs", "Gid differs")) for line in differences)


def test_headers_are_what_pythons_tarfile_writes(small: Media) -> None:
    moment = int(statement.parse_time("2020-02-01T12:00:00Z").timestamp())
    with tarfile.open(small.volume) as archive, open(small.volume, "rb") as raw:
        for info in archive:
            assert (info.type, info.mode, info.uid, info.gid) == (tarfile.REGTYPE, 0o644, 0, 0)
            assert (info.mtime, info.uname, info.gname) == (moment, "", "")
            raw.seek(info.offset)
            ours, theirs = raw.read(512), info.tobuf(tarfile.USTAR_FORMAT)
            # Of device numbers, which only devices have, tarfile writes zeros in digits.
            assert ours[:148] == theirs[:148]
            assert ours[156:329] == theirs[156:329]
            assert ours[345:] == theirs[345:]
            assert not any(ours[329:345])


def test_ssh_keygen_accepts_the_signatures(small: Media, tmp_path: Path) -> None:
    run([part("tar"), "xf", small.volume, "goose"], tmp_path)
    (tmp_path / "allowed_signers").write_text(small.workshop.root.allowed_signers())
    [listing] = small.volume.parent.glob("*.volumes.json")
    for message, signature, namespace in (
        (tmp_path / "goose/statement.json", tmp_path / "goose/statement.sig.1", BUNDLE),
        (listing, listing.with_name(f"{listing.name}.sig"), VOLUMES),
    ):
        command = [
            *(part("ssh-keygen"), "-Y", "verify", "-f", "allowed_signers", "-I", "release"),
            *("-n", namespace, "-s", signature),
        ]
        assert b"Good" in run(command, tmp_path, message.read_bytes())
        spoiled = message.read_bytes().replace(b"base", b"bass", 1)
        bad = subprocess.run(command, cwd=tmp_path, input=spoiled, capture_output=True, check=False)
        assert bad.returncode != 0


def test_sha256sum_agrees_with_the_volume_list(small: Media) -> None:
    [listing] = small.volume.parent.glob("*.volumes.json")
    listed = {v["file"]: v for v in json.loads(listing.read_bytes())["volumes"]}
    found = run(["sha256sum", small.volume.name], small.volume.parent).decode().split()
    assert f"sha256:{found[0]}" == listed[found[1]]["digest"]
    assert small.volume.stat().st_size == listed[found[1]]["size"]


def test_skopeo_reads_root_and_artifacts_of_a_volume(small: Media, tmp_path: Path) -> None:
    skopeo, image = part("skopeo"), f"oci-archive:{small.volume}"
    root = run([skopeo, "inspect", "--raw", f"{image}:1.0.0"], tmp_path)
    assert _titles(root) == ["os/tree", "fw/one.bin"]
    for entry in json.loads(root)["manifests"]:
        title = entry["annotations"][layout.TITLE]
        raw = run([skopeo, "inspect", "--raw", f"{image}:{title}"], tmp_path)
        assert digests.of(raw) == entry["digest"]


def test_skopeo_reads_a_store(small: Media, tmp_path: Path) -> None:
    skopeo = part("skopeo")
    raw = run([skopeo, "inspect", "--raw", f"oci:{small.store}:base-1.0.0"], tmp_path)
    assert _titles(raw) == ["os/tree", "fw/one.bin"]


def test_skopeo_reads_a_tree_of_several_manifests(large: Media, tmp_path: Path) -> None:
    command = [part("skopeo"), "inspect", "--raw", f"oci-archive:{large.volume}:os/tree"]
    index = json.loads(run(command, tmp_path))
    assert index["mediaType"] == layout.INDEX_TYPE
    assert len(index["manifests"]) > 1


def _titles(index: bytes) -> list[str]:
    return [entry["annotations"][layout.TITLE] for entry in json.loads(index)["manifests"]]


def test_oras_lists_what_a_volume_holds(small: Media, tmp_path: Path) -> None:
    listed = run([part("oras"), "repo", "tags", "--oci-layout", small.volume], tmp_path)
    assert sorted(listed.decode().split()) == ["1.0.0", "fw/one.bin", "os/tree"]


def test_oras_pulls_a_tree_from_a_volume(small: Media, tmp_path: Path) -> None:
    _pull(f"{small.volume}:os/tree", tmp_path)
    assert contents(tmp_path) == contents(small.tree)


def test_oras_pulls_a_file_from_a_volume(small: Media, tmp_path: Path) -> None:
    _pull(f"{small.volume}:fw/one.bin", tmp_path)
    assert contents(tmp_path) == {"one.bin": b"firmware"}


def test_oras_pulls_a_tree_of_several_manifests(large: Media, tmp_path: Path) -> None:
    _pull(f"{large.volume}:os/tree", tmp_path)
    assert contents(tmp_path) == contents(large.tree)


def test_oras_copies_a_bundle_out_of_a_store(small: Media, tmp_path: Path) -> None:
    """Everything that the root reaches, each blob verified by oras on its way."""
    command = [
        *(part("oras"), "cp", "--no-tty", "--recursive"),
        *("--from-oci-layout", f"{small.store}:base-1.0.0"),
        *("--to-oci-layout", f"{tmp_path}/copy:1.0.0"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    copied = contents(tmp_path / "copy/blobs/sha256")
    site = contents(small.store / "blobs/sha256")
    # What only Goose looks at stays behind: the statement and its signature.
    assert copied.items() < site.items()
    assert len(site) == len(copied) + 2


def _pull(reference: str, folder: Path) -> None:
    environment = {**os.environ, "HOME": str(folder.parent)}
    command = [part("oras"), "pull", "--no-tty", "--oci-layout", reference]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_long_file_is_joined_with_cat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/bundle-format.md says; the largest part is 50,000 bytes here, not a gibibyte."""
    monkeypatch.setattr(layout, "MAX_PART", 50_000)
    long = noise("parts", 333_333)
    media = Media(tmp_path / "media", {"long.iso": (long, 0o644)})
    (tmp_path / "pulled").mkdir()
    _pull(f"{media.volume}:os/tree", tmp_path / "pulled")
    assert run(["sh", "-c", "cat long.iso.part-*"], tmp_path / "pulled") == long


def test_no_document_is_larger_than_stock_clients_read(large: Media) -> None:
    """Walks from index.json to every layer's descriptor, with nothing of ours."""
    with tarfile.open(large.volume) as archive:

        def read(name: str) -> dict[str, Any]:
            file = archive.extractfile(name)
            assert file is not None
            data = file.read()
            assert len(data) <= 2 * 1024 * 1024
            found: dict[str, Any] = json.loads(data)
            return found

        pending, layers = [read("index.json")], 0
        while pending:
            document = pending.pop()
            layers += len(document.get("layers", ()))
            children = {entry["digest"][7:] for entry in document.get("manifests", ())}
            pending += [read(f"blobs/sha256/{child}") for child in children]
    # The root refers to both artifacts a second time.
    assert layers == 2 * (MANY + 1)

"""Images in bundles: from registries, layouts and archives that real tools wrote, to layouts that
real tools read, byte for byte."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bundles import digest as digests
from bundles.making import provenance, recipe, repair, repairbuild, sbom
from bundles.packages import listed
from bundles.progress import SILENT
from bundles.signing.policy import Policy
from bundles.site import compare
from bundles.site.catalog import Catalog
from bundles.sources import Artifact, credentials, lock
from bundles.sources.registry import RegistryRefused
from bundles.sources.url import Downloads
from bundles.store import fsck
from tests import registry_server
from tests.bundles.content import served
from tests.bundles.making import NOW, Workshop
from tests.images import Layout, several
from tests.parts import part

RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.0.0
audience: any
contents:
  - image: {image}
    as: images/app
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with registry_server.running(tmp_path / "registry") as address:
        yield address


def write(folder: Path, image: str, more: str = "") -> Path:
    path = folder / "bundle.yaml"
    path.write_text(RECIPE.format(image=image) + more)
    return path


def locked(path: Path, downloads: Downloads) -> lock.Lock:
    made = recipe.make_lock(recipe.load(path), downloads, NOW, SILENT)
    lock.write(lock.path_for(path), made)
    return made


def expand(path: Path, downloads: Downloads) -> Artifact:
    pins = lock.read(lock.path_for(path))
    (artifact,) = recipe.expand(recipe.load(path), path, pins, downloads, SILENT)
    return artifact


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def push(layout: Layout, address: str, *more: str | Path) -> None:
    source = [part("oras"), "cp", "--from-oci-layout", f"{layout.folder}:v1"]
    run(*source, "--to-plain-http", f"{address}/team/app:v1", *more)


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}


def taken_out(workshop: Workshop, folder: Path, artifact: Artifact, **more: Any) -> Path:
    """The image after a build, an import and an extraction."""
    workshop.import_(*workshop.build(artifacts=[artifact], **more))
    store = workshop.store
    for file in Catalog(store).list("base", None):
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(store.read(p.digest, p.size) for p in file.parts))
    return folder / "images/app"


def test_a_registrys_image_arrives_byte_for_byte(registry: str, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    push(layout, registry)
    path = write(tmp_path, f"{registry}/team/app:v1")
    downloads = Downloads(tmp_path / "cache")
    (pin,) = locked(path, downloads).pins
    assert (pin.url, pin.digest) == (f"docker://{registry}/team/app:v1", top["digest"])
    out = taken_out(Workshop(tmp_path / "shop"), tmp_path / "out", expand(path, downloads))
    assert blobs(out) == blobs(layout.folder)
    shown = run(part("skopeo"), "inspect", "--raw", f"oci:{out}:v1")
    assert digests.of(shown.encode()) == top["digest"]
    run(part("skopeo"), "copy", "--all", f"oci:{out}:v1", f"dir:{tmp_path / 'again'}")


def test_a_filled_cache_needs_no_registry(tmp_path: Path) -> None:
    layout, _ = several(tmp_path / "layout")
    downloads = Downloads(tmp_path / "cache", lambda _: None)
    with registry_server.running(tmp_path / "registry") as address:
        push(layout, address)
        path = write(tmp_path, f"{address}/team/app:v1")
        locked(path, downloads)
    assert len(expand(path, downloads).files) == 2 + len(blobs(layout.folder))


def test_what_the_cache_lacks_is_fetched_by_digest(registry: str, tmp_path: Path) -> None:
    """The tag has moved since the lock was made."""
    layout, top = several(tmp_path / "layout")
    push(layout, registry)
    path = write(tmp_path, f"{registry}/team/app:v1")
    locked(path, Downloads(tmp_path / "first"))
    other, moved = several(tmp_path / "other", size=2000)
    push(other, registry)
    artifact = expand(path, Downloads(tmp_path / "second"))
    assert artifact.named is not None
    assert (artifact.named.digest, artifact.named.tag) == (top["digest"], "v1")
    before, after = (lock.read(lock.path_for(path)), locked(path, Downloads(tmp_path / "third")))
    assert before is not None
    assert [new.digest for _, new in lock.changed(before, after)] == [moved["digest"]]


def test_chosen_platforms_under_an_index_that_stays_as_it_is(tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    path = write(tmp_path, "oci:layout", "    platforms: [linux/arm64, linux/arm]\n")
    out = taken_out(
        Workshop(tmp_path / "shop"), tmp_path / "out", expand(path, Downloads(tmp_path / "cache"))
    )
    found, whole = blobs(out), blobs(layout.folder)
    assert found.items() < whole.items()
    assert digests.hex_of(top["digest"]) in found
    skopeo = [part("skopeo"), "--override-os", "linux"]
    copied = [f"oci:{out}:v1", f"dir:{tmp_path / 'again'}"]
    run(*skopeo, "--override-arch", "arm64", "copy", *copied)
    run(*skopeo, "--override-arch", "arm", "--override-variant", "v7", "copy", *copied)
    done = subprocess.run([*skopeo, "--override-arch", "amd64", "copy", *copied], check=False)
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("platforms", "taken"), [("[linux/amd64]", True), ("[linux/arm64]", False)]
)
def test_the_platform_of_an_image_without_an_index(
    tmp_path: Path, platforms: str, taken: bool
) -> None:
    layout = Layout(tmp_path / "layout")
    layout.name(v1=layout.image("linux/amd64"))
    path = write(tmp_path, "oci:layout:v1", f"    platforms: {platforms}\n")
    if taken:
        assert len(expand(path, Downloads(tmp_path / "cache")).files) == 6
    else:
        with pytest.raises(Exception, match="no image for linux/arm64") as caught:
            expand(path, Downloads(tmp_path / "cache"))
        assert caught.value.hint == "there is: linux/amd64"  # type: ignore[attr-defined]


@pytest.mark.parametrize("program", ["skopeo", "crane"])
def test_archives_that_real_tools_write(program: str, registry: str, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    push(layout, registry)
    archive = tmp_path / "app.tar"
    if program == "skopeo":
        source = ["--override-arch", "amd64", "copy", f"oci:{layout.folder}:v1"]
        run(part("skopeo"), *source, f"docker-archive:{archive}:app:1.2")
    else:
        run(part("crane"), "pull", f"{registry}/team/app:v1", archive, "--platform=linux/amd64")
    path = write(tmp_path, "docker-archive:app.tar")
    artifact = expand(path, Downloads(tmp_path / "cache"))
    assert artifact.named is not None
    assert artifact.named.tag == ("1.2" if program == "skopeo" else "v1")
    out = taken_out(Workshop(tmp_path / "shop"), tmp_path / "out", artifact)
    config = json.loads(run(part("skopeo"), "inspect", "--config", "--raw", f"oci:{out}"))
    (amd64, *_) = json.loads((layout.folder / "blobs/sha256" / top["digest"][7:]).read_bytes())[
        "manifests"
    ]
    manifest = json.loads((layout.folder / "blobs/sha256" / amd64["digest"][7:]).read_bytes())
    original = json.loads(
        (layout.folder / "blobs/sha256" / manifest["config"]["digest"][7:]).read_bytes()
    )
    assert config["rootfs"] == original["rootfs"]
    run(part("skopeo"), "copy", f"oci:{out}", f"dir:{tmp_path / 'again'}")
    again = expand(path, Downloads(tmp_path / "other"))
    assert again.named == artifact.named


def test_an_oci_archive(tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    archive = tmp_path / "app.tar"
    run(part("skopeo"), "copy", "--all", f"oci:{layout.folder}:v1", f"oci-archive:{archive}:v2")
    artifact = expand(write(tmp_path, "oci-archive:app.tar"), Downloads(tmp_path / "cache"))
    assert artifact.named is not None
    assert (artifact.named.digest, artifact.named.tag) == (top["digest"], "v2")


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    several(tmp_path / "layout")
    path = write(tmp_path, "oci:layout")
    shop, built = Workshop(tmp_path / "shop"), []
    for out in ("one", "two"):
        for file in (tmp_path / "layout").rglob("*"):
            file.chmod(0o755 if file.is_dir() or out == "one" else 0o600)
        artifact = expand(path, Downloads(tmp_path / f"cache-{out}"))
        built += shop.build(artifacts=[artifact], out=out)
    assert built[0].read_bytes() == built[1].read_bytes()


def test_a_damaged_image_is_repaired(tmp_path: Path) -> None:
    """By a bundle of the one blob that the store's check names."""
    layout, top = several(tmp_path / "layout")
    shop = Workshop(tmp_path / "shop")
    artifact = expand(write(tmp_path, "oci:layout"), Downloads(tmp_path / "cache"))
    volumes = shop.build(artifacts=[artifact])
    shop.import_(*volumes)
    hurt = shop.store.path(top["digest"])
    assert hurt is not None
    hurt.write_bytes(b"?" * top["size"])
    [request] = fsck.requests(fsck.check(shop.store, SILENT), "site-a")
    assert [each.digest for each in request.layers] == [top["digest"]]
    with ExitStack() as stack:
        found = repair.find(request, volumes, shop.root, Policy(NOW), SILENT, stack)
        built = repairbuild.build(request, found, [shop.signer], tmp_path / "repair", SILENT)
    shop.import_(*built.volumes)
    assert not fsck.check(shop.store, SILENT).faults
    assert served(shop.store)[f"images/app/blobs/sha256/{top['digest'][7:]}"][0] == (
        (layout.folder / "blobs/sha256" / top["digest"][7:]).read_bytes()
    )


def test_volumes_parts_and_delta(tmp_path: Path) -> None:
    """A layer larger than a part is served whole; a delta brings what changed."""
    shop = Workshop(tmp_path / "shop")
    several(tmp_path / "one" / "layout", size=3_000_000)
    first = expand(write(tmp_path / "one", "oci:layout"), Downloads(tmp_path / "cache"))
    volumes = shop.build(artifacts=[first], volume_size=4_000_000)
    assert len(volumes) > 1
    shop.check(*volumes)
    shop.import_(*volumes)
    parts = [len(file.parts) for file in Catalog(shop.store).list("base", None)]
    assert max(parts) > 1
    layout, _ = several(tmp_path / "two" / "layout", size=3_000_000)
    layout.name(v2=layout.index([layout.image("linux/amd64", 3_100_000)]))
    second = expand(write(tmp_path / "two", "oci:layout"), Downloads(tmp_path / "cache"))
    draft = shop.draft(version="1.1.0", sequence=2)
    (delta,) = shop.build(draft, artifacts=[second], base=shop.since(*volumes), out="delta")
    shop.import_(delta)
    files = served(shop.store)
    assert len(files) == len(second.files)
    for file in second.files:
        assert files[f"images/app/{file.path}"][0] == Path(file.location).read_bytes()


def test_bill_and_provenance_name_the_image(registry: str, tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    push(layout, registry)
    path = write(tmp_path, f"{registry}/team/app:v1", "    platforms: [linux/amd64]\n")
    downloads = Downloads(tmp_path / "cache")
    locked(path, downloads)
    loaded, digest = recipe.load_with_digest(path)
    pins = lock.read(lock.path_for(path))
    shop = Workshop(tmp_path / "shop")
    draft = recipe.draft(loaded, pins, None)
    artifacts = recipe.expand(loaded, path, pins, downloads, SILENT)
    artifacts.append(sbom.expand(draft, artifacts, SILENT))
    artifacts.append(provenance.expand(loaded, digest, pins, draft, None, artifacts))
    shop.import_(*shop.build(draft, artifacts))
    files = served(shop.store)
    (package,) = listed.read(files["goose/sbom.cdx.json"][0], "bill").packages
    assert (package.kind, package.name, package.version) == ("oci", "images/app", "v1")
    assert package.digest == digests.hex_of(top["digest"])
    told = provenance.read(files["goose/provenance.json"][0], "provenance")
    assert told.sources == (
        provenance.Source("images/app", f"{registry}/team/app:v1", top["digest"]),
    )
    bill = json.loads(files["goose/sbom.cdx.json"][0])
    assert bill["components"][0]["purl"] == (
        f"pkg:oci/app@{top['digest']}?repository_url={registry}/team/app&tag=v1"
    )


def test_a_registrys_image_that_the_lock_does_not_pin(tmp_path: Path) -> None:
    path = write(tmp_path, "127.0.0.1:9/team/app:v1")
    with pytest.raises(lock.NotLocked, match=r"docker://127\.0\.0\.1:9/team/app:v1 is not pinned"):
        expand(path, Downloads(tmp_path / "cache"))


def test_what_changed_between_two_bundles_names_the_image(tmp_path: Path) -> None:
    """By where it stands, with both tags, as of any package."""
    bills = []
    for tag in ("v1", "v2"):
        layout = Layout(tmp_path / tag / "layout")
        layout.name(**{tag: layout.image("linux/amd64", 1000 + len(bills))})
        path = write(tmp_path / tag, "oci:layout")
        artifacts = [expand(path, Downloads(tmp_path / "cache"))]
        draft = recipe.draft(recipe.load(path), None, None)
        artifacts.append(sbom.expand(draft, artifacts, SILENT))
        shop = Workshop(tmp_path / tag / "shop")
        shop.import_(*shop.build(draft, artifacts))
        bills.append(listed.read(served(shop.store)["goose/sbom.cdx.json"][0], "bill").packages)
    (change,) = compare.packages(*bills)
    assert (change.kind, change.name, change.old, change.new) == (
        "oci", "images/app", ("v1",), ("v2",)
    )  # fmt: skip


def test_a_registry_behind_a_password(tmp_path: Path) -> None:
    setting = registry_server.password_file(tmp_path / "auth")
    layout, top = several(tmp_path / "layout")
    with registry_server.running(tmp_path / "registry", setting) as address:
        config = registry_server.login(tmp_path / "config.json", address)
        push(layout, address, "--to-registry-config", config)
        path = write(tmp_path, f"{address}/team/app:v1")
        with pytest.raises(RegistryRefused, match="a name and a password") as caught:
            locked(path, Downloads(tmp_path / "nobody"))
        assert "skopeo login" in caught.value.hint
        wrong = registry_server.login(tmp_path / "wrong.json", address, "release:guess")
        with pytest.raises(RegistryRefused):
            locked(path, Downloads(tmp_path / "wrong", credentials=credentials.of_files([wrong])))
        known = credentials.of_files([tmp_path / "none.json", config])
        (pin,) = locked(path, Downloads(tmp_path / "cache", credentials=known)).pins
        assert pin.digest == top["digest"]


def test_a_registry_behind_tokens(tmp_path: Path) -> None:
    layout, top = several(tmp_path / "layout")
    with (
        registry_server.tokens(tmp_path / "auth") as (setting, asked),
        registry_server.running(tmp_path / "registry", setting) as address,
    ):
        config = registry_server.login(tmp_path / "config.json", address)
        push(layout, address, "--to-registry-config", config)
        asked.clear()
        path = write(tmp_path, f"{address}/team/app:v1")
        with pytest.raises(RegistryRefused, match="gives no token"):
            locked(path, Downloads(tmp_path / "nobody"))
        known = credentials.of_files([config])
        (pin,) = locked(path, Downloads(tmp_path / "cache", credentials=known)).pins
        assert pin.digest == top["digest"]
        assert asked[-1] == {"service": ["registry"], "scope": ["repository:team/app:pull"]}
        assert len(asked) == 2

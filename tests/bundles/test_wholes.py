"""The digest of a whole file in parts: told to be false where it is, by who reads all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundles.errors import GooseError
from bundles.progress import SILENT
from bundles.signing import keys, trust
from bundles.signing.policy import Policy
from bundles.site.check import check_volumes
from tests.bundles.content import artifact, lay_out, noise
from tests.bundles.making import Workshop
from tests.bundles.vectors import NOW as VECTOR_NOW
from tests.vectors import forge
from tests.vectors.case import split

WHOLE = noise("whole", 700_000)


@pytest.mark.parametrize("size", [300_000, 100_000])  # larger and smaller than what is read at once
@pytest.mark.parametrize("claimed", [WHOLE, WHOLE[:-1]])
def test_a_false_digest_of_a_whole_file(tmp_path: Path, size: int, claimed: bytes) -> None:
    def claim(layers: list[dict[str, Any]]) -> None:
        for layer in layers:
            layer["annotations"]["goose.file.digest"] = forge.digest(claimed)

    volume = tmp_path / "v.goose.tar"
    volume.write_bytes(forge.volume(split(WHOLE, size, claim).entries()))
    root = trust.first([(keys.parse_public(forge.Key("release").openssh)[0], "release")], 1)
    checked = check_volumes([volume], root, Policy(VECTOR_NOW), SILENT)
    if claimed is WHOLE:
        assert checked.faults == ()
        return
    (fault,) = checked.faults
    assert fault.code == "inconsistent-bundle"
    assert fault.details == {
        "path": "os/c",
        "expected": forge.digest(claimed),
        "found": forge.digest(WHOLE),
    }


def test_files_across_volumes_and_with_like_parts_are_no_false_alarm(tmp_path: Path) -> None:
    """Volumes in any order, a part that stands in two files, and one that comes twice in one."""
    shop, part = Workshop(tmp_path), noise("part", 300_000)
    content = {
        "a": (part + noise("a", 300_000) + part, 0o644),
        "b": (noise("b", 300_000) + part, 0o644),
        "c": (noise("c", 900_000), 0o644),
        "d": (part + noise("a", 300_000) + part, 0o644),
    }
    tree = artifact(lay_out(tmp_path / "more", content), "os")
    volumes = shop.build(artifacts=[tree], volume_size=700_000)
    assert len(volumes) > 2
    checked = shop.check(*reversed(volumes))
    assert checked.faults == () and checked.volumes == tuple(range(1, len(volumes) + 1))


def test_a_damaged_part_is_told_alone(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    tree = artifact(lay_out(tmp_path / "more", {"c": (noise("c", 900_000), 0o644)}), "os")
    first, *others = shop.build(artifacts=[tree], volume_size=700_000)
    bad = shop.spoiled(first, lambda data: data.__setitem__(200_000, data[200_000] ^ 1))
    with pytest.raises(GooseError) as caught:
        shop.check(bad, *others).raise_faults()
    assert caught.value.code == "damaged-blob"

"""Makes the test vectors of this folder anew, with a new key whose private half is not kept.

    python tests/vectors/generate.py

Run it only when the format changes: the vectors that are committed are what shows that a later
release still reads what an earlier one wrote. Each file whose name begins with `refuse-` has one
fault, which its name states and `expected.json` maps to the refusal's code.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from bundles import build, keys, layout, recipe, trust  # noqa: E402
from bundles import digest as digests  # noqa: E402
from bundles.plan import Plan  # noqa: E402
from bundles.progress import SILENT  # noqa: E402
from bundles.sources.url import Downloads  # noqa: E402
from bundles.sshsig import BUNDLE, signature_length  # noqa: E402

RECIPE = HERE / "v1-open.yaml"
VOLUME_SIZE = 24_000  # bytes
PART_SIZE = 4096  # bytes; the format says at most 1 GiB
CONTENT: dict[str, tuple[bytes, int]] = {
    "bin/run.sh": (b"#!/bin/sh\necho run\n", 0o755),
    "empty": (b"", 0o644),
    "etc/issue": (b"welcome\n", 0o644),
    "etc/motd": (b"welcome\n", 0o644),  # the same bytes: stored once
    "long.bin": (bytes(n * n % 251 for n in range(9_000)), 0o644),  # in parts
    "private": (b"for its owner\n", 0o600),
    "with space/\N{LATIN SMALL LETTER U WITH DIAERESIS} \\ {}": (b"a name\n", 0o644),
    "{}": (b"{}", 0o644),  # the empty config, which every bundle has
}
FIRMWARE = b"firmware\n"


def _flip(data: bytearray) -> None:
    data[data.rindex(b"blobs/sha256/") + 512] ^= 1


def _change_statement(data: bytearray) -> None:
    data[:] = data.replace(b'"sequence":1', b'"sequence":9', 1)


def _cut(data: bytearray) -> None:
    del data[-512:]


def _append(data: bytearray) -> None:
    data.append(0)


FAULTS: dict[str, tuple[str, Callable[[bytearray], None]]] = {
    "changed-statement": ("signature-invalid", _change_statement),
    "damaged-layer": ("damaged-blob", _flip),
    "no-end": ("truncated-volume", _cut),
    "one-byte-too-many": ("trailing-data", _append),
}


def main() -> None:
    layout.MAX_PART = PART_SIZE
    for old in HERE.glob("*.goose.tar"):
        old.unlink()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, (data, mode) in {**CONTENT, "../one.bin": (FIRMWARE, 0o755)}.items():
            file = folder / "content" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(mode)
        source = folder / RECIPE.name
        source.write_text(RECIPE.read_text("utf-8"), "utf-8")
        key, public = keys.new_signing(folder / "key", "vectors")
        loaded = recipe.load(source)
        artifacts = recipe.expand(loaded, source, None, Downloads(folder / "cache"), SILENT)
        draft = recipe.draft(loaded, None, None)
        signer, lengths = keys.load_private(key), [signature_length(public, BUNDLE)]
        planned = Plan(artifacts, draft, lengths, VOLUME_SIZE)
        built = build.build(planned, [signer], HERE, SILENT)
        # The faults stand in a smaller bundle: only the one file.
        planned = Plan(artifacts[1:], draft, lengths)
        [small] = build.build(planned, [signer], folder / "small", SILENT).volumes
        for fault, (_, change) in FAULTS.items():
            spoiled = bytearray(small.read_bytes())
            change(spoiled)
            (HERE / f"refuse-{fault}.goose.tar").write_bytes(spoiled)
        (HERE / "v1.pub").write_bytes(key.with_suffix(".pub").read_bytes())
    root = trust.first([(public, "vectors")], 1)
    (HERE / "v1.allowed_signers").write_text(root.allowed_signers())
    served = {f"os/tree/{path}": file for path, file in CONTENT.items()}
    served["firmware/one.bin"] = (FIRMWARE, 0o755)
    expected = {
        "bundle": built.statement.name,
        "version": built.statement.version,
        "sequence": built.statement.sequence,
        "created": built.statement.created,
        "signer": "vectors",
        "volumes": [volume.name for volume in built.volumes],
        "files": {
            path: {"digest": digests.of(data), "size": len(data), "mode": f"{mode:04o}"}
            for path, (data, mode) in sorted(served.items())
        },
        "refusals": {f"refuse-{fault}.goose.tar": code for fault, (code, _) in FAULTS.items()},
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n")
    print(f"new vectors, signed by a new key {public.fingerprint}; the old ones are gone")


if __name__ == "__main__":
    main()

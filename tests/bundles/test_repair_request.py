"""A repair request: written, read, and refused when it is anything but one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical, repair_request
from bundles.format.canonical import NotCanonical
from bundles.format.repair_request import BadRepairRequest, RepairRequest, wanted
from tests.parts import part

BLOBS = st.lists(
    st.tuples(st.binary(max_size=4).map(digests.of), st.integers(0, 1000)),
    unique_by=lambda blob: blob[0],
    max_size=5,
)
REQUEST = RepairRequest(
    name="base",
    version="1.0.0",
    root=digests.of(b"root"),
    documents=wanted([(digests.of(b"manifest"), 300)]),
    layers=wanted([(digests.of(b"b"), 1), (digests.of(b"a"), 0), (digests.of(b"b"), 1)]),
    site="site-a",
)


@given(BLOBS, BLOBS, st.none() | st.just("site-a"))
def test_a_request_comes_back(
    documents: list[tuple[str, int]], layers: list[tuple[str, int]], site: str | None
) -> None:
    request = RepairRequest(
        "base", "1.0.0", digests.of(b"root"), wanted(documents), wanted(layers), site
    )
    assert repair_request.read(request.encode(), "it") == request


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("format", 2, "format is not 1"),
        ("format", True, "format is True"),
        ("name", "../base", "which is no name"),
        ("version", "", "which is no version"),
        ("root", "sha256:00", "root: 'sha256:00' is not a digest"),
        ("site", "Site A", "which is no site"),
        ("layers", {}, "layers is not a list"),
        ("layers", [{"digest": digests.of(b"")}], "layers 1 has fields missing or unknown: size"),
        ("layers", [{"digest": digests.of(b""), "size": -1}], "layers 1: size is -1"),
        ("layers", [{"digest": digests.of(b""), "size": 2**30 + 1}], "at most 1073741824"),
        ("documents", [{"digest": digests.of(b""), "size": 2**21 + 1}], "at most 2097152"),
        ("layers", [{"digest": digests.of(b""), "size": 1}] * 2, "not sorted by digest"),
        ("more", 1, "fields missing or unknown: more"),
    ],
)
def test_what_is_not_a_request(field: str, value: Any, words: str) -> None:
    data = {**json.loads(REQUEST.encode()), field: value}
    with pytest.raises(BadRepairRequest) as caught:
        repair_request.read(canonical.dumps(data), "asked.json")
    assert words in caught.value.message
    assert caught.value.message.startswith("asked.json")


def test_another_spelling_is_refused() -> None:
    with pytest.raises(NotCanonical):
        repair_request.read(json.dumps(json.loads(REQUEST.encode()), indent=1).encode(), "it")


def test_a_request_too_large_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_request, "MAX_REQUEST", 10)
    with pytest.raises(BadRepairRequest, match="at most 10"):
        repair_request.read(b"[" * 11, "it")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_value_is_answered_with_another_exception(value: object) -> None:
    try:
        data = canonical.dumps({**json.loads(REQUEST.encode()), "layers": value})
        repair_request.read(data, "it")
    except GooseError:
        pass


def test_jq_reads_a_request(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_bytes(REQUEST.encode())
    query = '.name + " " + .version + " " + (.layers | map(.size) | add | tostring)'
    done = subprocess.run([part("jq"), "-r", query, file], capture_output=True, check=True)
    assert done.stdout == b"base 1.0.0 1\n"

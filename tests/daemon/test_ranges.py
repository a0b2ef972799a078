"""RFC 9110, sections 13 and 14, in its own examples and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goosed_daemon.web.ranges import Span, Unsatisfiable, matches, parse, range_still_wanted

SIZE = 10_000  # the representation of the examples of section 14.1.2
ETAG = '"sha256:' + "a" * 64 + '"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-999", Span(500, 500)),
        ("bytes=-500", Span(9500, 500)),
        ("bytes=9500-", Span(9500, 500)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=9999-", Span(9999, 1)),
        ("bytes=0-999999", Span(0, SIZE)),
        ("bytes=-999999", Span(0, SIZE)),
        ("BYTES=0-0", Span(0, 1)),
        ("bytes= 0-0 ,", Span(0, 1)),
        ("bytes=,,0-0", Span(0, 1)),
        ("bytes=0-" + "9" * 5000, Span(0, SIZE)),
        ("bytes=-" + "9" * 5000, Span(0, SIZE)),
        ("bytes=10000-", Unsatisfiable()),
        ("bytes=" + "9" * 5000 + "-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=0-0,-1", None),
        ("bytes=500-600,601-999", None),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=1--2", None),
        ("bytes=0x1-2", None),
        ("bytes=\N{ARABIC-INDIC DIGIT ONE}-2", None),
        ("items=0-1", None),
        (None, None),
    ],
)
def test_what_a_range_field_asks_for(header: str | None, expected: object) -> None:
    found = parse(header, SIZE)
    assert found == expected and type(found) is type(expected)


def test_content_without_bytes_has_no_ranges() -> None:
    assert parse("bytes=0-", 0) == Unsatisfiable()
    assert parse("bytes=-5", 0) is None


@given(st.text(max_size=40), st.integers(0, 100))
def test_any_field_gives_a_span_inside_of_the_content(header: str, size: int) -> None:
    for field in (header, "bytes=" + header):
        found = parse(field, size)
        if isinstance(found, Span):
            assert 0 <= found.start < found.start + found.length <= size


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_first_and_last_are_a_slice(first: int, last: int, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    found = parse(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    elif first >= size:
        assert found == Unsatisfiable()
    else:
        assert isinstance(found, Span)
        assert content[found.start :][: found.length] == content[first : last + 1]


@given(st.integers(1, 300), st.integers(1, 200))
def test_a_suffix_is_the_end(length: int, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    found = parse(f"bytes=-{length}", size)
    assert isinstance(found, Span)
    assert content[found.start :][: found.length] == content[-length:]


@pytest.mark.parametrize(
    ("header", "strong", "weak"),
    [
        (ETAG, True, True),
        ("W/" + ETAG, False, True),
        ("*", True, True),
        (f'"x", {ETAG}', True, True),
        (f'"x" , W/"y",{ETAG} ', True, True),
        ('"x"', False, False),
        (ETAG.strip('"'), False, False),
        ("", False, False),
        (f'"x" {ETAG}', False, False),
        (f"{ETAG[:-1]}", False, False),
        ('"x,' + ETAG, False, False),
    ],
)
def test_which_fields_match_an_entity_tag(header: str, strong: bool, weak: bool) -> None:
    assert matches(header, ETAG, weak=False) is strong
    assert matches(header, ETAG, weak=True) is weak


@given(st.text(max_size=60))
def test_no_field_breaks_the_comparison(header: str) -> None:
    matches(header, ETAG, weak=True)


def test_a_range_is_wanted_only_of_the_same_content() -> None:
    assert range_still_wanted(None, ETAG)
    assert range_still_wanted(ETAG, ETAG)
    assert not range_still_wanted("W/" + ETAG, ETAG)
    assert not range_still_wanted('"other"', ETAG)
    assert not range_still_wanted("Tue, 24 Nov 2026 12:00:00 GMT", ETAG)

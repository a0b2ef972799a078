"""MAC addresses in every spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goosed_daemon.infra import mac


@pytest.mark.parametrize(
    "text",
    [
        "52:54:00:ab:cd:ef",
        "52:54:00:AB:CD:EF",
        "52-54-00-ab-cd-ef",  # iPXE's hexhyp, Windows
        "5254.00ab.cdef",  # switches
        "525400-abcdef",
        "525400ABCDEF",  # barcodes
        "01-52-54-00-ab-cd-ef",  # PXELINUX, BOOTIF
        " 52:54:00:ab:cd:ef\n",
    ],
)
def test_spellings(text: str) -> None:
    assert mac.normalise(text) == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:ab:cd",
        "52:54:00:ab:cd:ef:01",
        "52:54:00:ab:cd:eg",
        "52:54-00:ab-cd:ef",
        "5:54:00:ab:cd:ef",
        "02-52-54-00-ab-cd-ef",
        "52:54:00:ab:cd:\uff10\uff11",  # digits, but not ours
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",  # a group of cards
        "52:54:00:ab:cd:ef\necho",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(mac.BadMac):
        mac.normalise(text)


@given(st.binary(min_size=6, max_size=6).filter(lambda b: any(b) and not b[0] & 1))
def test_every_address_of_a_card_survives_every_spelling(octets: bytes) -> None:
    plain = octets.hex(":")
    spelt = [plain, plain.upper(), octets.hex("-"), octets.hex(), octets.hex(".", -2)]
    assert {mac.normalise(text) for text in [*spelt, f"01-{octets.hex('-')}"]} == {plain}

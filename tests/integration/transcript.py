"""Looks for words in what a machine or a script printed."""

from __future__ import annotations


def in_order(text: str, *words: str) -> None:
    """Assert that all of `words` are in `text`, one after the other."""
    position = 0
    for word in words:
        found = text.find(word, position)
        where = "out of order" if word in text else "missing"
        assert found >= 0, f"{word!r} is {where}:\n{text}"
        position = found + len(word)


def between(text: str, first: str, last: str) -> str:
    """The lines between those that begin with `first` and with `last`."""
    after = text.split(f"\n{first}", 1)[1].split("\n", 1)[1]
    return after.split(f"\n{last}", 1)[0]


def unbroken(screen: str) -> str:
    """A screen without line ends: the BIOS's has 80 columns and breaks longer lines anywhere."""
    return screen.replace("\n", "")

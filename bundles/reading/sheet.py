"""The courier's sheet: what lies on the media, to print, to tick off and to sign for.

For people, and not signed: what counts is the volume list, which the commands on the sheet check
with stock tools alone. The same bundle gives the same sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bundles import digest as digests
from bundles.errors import shown
from bundles.format.statement import Statement
from bundles.reading import volumelist
from bundles.reading.volumelist import ListedVolume, VolumeList

if TYPE_CHECKING:
    from jinja2 import Environment

HTML, TEXT = ".sheet.html", ".sheet.txt"

_SHOWN = 8  # entries of content that are named
_LONGEST = 60  # characters of a title
_GROUP = 8  # digits of a digest that are read at once


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that the bundle holds."""

    title: str
    files: int
    bytes: int

    @property
    def shown(self) -> str:
        """Its title on one line, and not longer than that line."""
        text = shown(self.title)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of the list: its file, and the key that made it."""

    file: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the sheet tells. `statement` is None where sealed volumes cannot be opened."""

    listed: VolumeList
    signatures: Sequence[Signed]
    statement: Statement | None = None
    entries: Sequence[Entry] = ()

    @property
    def list_file(self) -> str:
        """The name of the volume list."""
        return self.listed.stem + volumelist.SUFFIX

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is said of the bundle as a whole."""
        said, count = self.statement, len(self.listed.volumes)
        size = sum(volume.size for volume in self.listed.volumes)
        facts = [("Media", f"{count} {'volume' if count == 1 else 'volumes'}, {_size(size)}")]
        if said is None:
            return [*facts, ("Sealed", "sequence, audience and dates can be read by its site only")]
        facts += [
            ("Sequence", str(said.sequence)),
            ("For", ", ".join(said.audience) or "any site"),
            ("Created", said.created or "not stated"),
            ("Expires", said.expires or "never"),
        ]
        if self.listed.stem != volumelist.stem(said.name, said.version):
            facts.append(("Repair", "brings what the site asked for, and needs the rest there"))
        elif said.base:
            facts.append(("Delta", "needs the bundle that it builds on"))
        return facts

    @property
    def contents(self) -> list[str]:
        """What it holds, in a few lines. Not of sealed volumes: they are sealed to hide it."""
        if self.listed.sealed:
            return ["sealed: what it holds is not told here"]
        lines = [
            f"{entry.shown}: {entry.files} {'file' if entry.files == 1 else 'files'},"
            f" {_size(entry.bytes)}"
            for entry in self.entries[:_SHOWN]
        ]
        if more := len(self.entries) - _SHOWN:
            lines += [f"and {more} more"] if more > 0 else []
        return lines

    @property
    def verify(self) -> str:
        """The command that checks the signatures; one line for each."""
        return "\n".join(
            f"ssh-keygen -Y verify -f allowed_signers -n goose-volumes@v1 \\\n"
            f'  -I "$(ssh-keygen -Y find-principals -f allowed_signers -s {each.file})" \\\n'
            f"  -s {each.file} < {self.list_file}"
            for each in self.signatures
        )

    @property
    def sums(self) -> str:
        """The command that checks the volumes in the current folder against the list."""
        return (
            f'grep -o \'"digest":"sha256:[0-9a-f]*","file":"[^"]*"\' {self.list_file} \\\n'
            '  | sed \'s/"digest":"sha256:\\(.*\\)","file":"\\(.*\\)"/\\1  \\2/\' \\\n'
            "  | sha256sum -c -"
        )

    def label(self, number: int) -> str:
        """What to write on the medium of volume `number`, from 1."""
        return f"{self.listed.name} {self.listed.version}  {number}/{len(self.listed.volumes)}"

    def html(self) -> str:
        """One page for A4 or Letter, with nothing from outside and no script."""
        return _environment().get_template("sheet.html.j2").render(sheet=self)

    def text(self) -> str:
        """The same in 80 columns, but for the names of files."""
        return _environment().get_template("sheet.txt.j2").render(sheet=self)


def groups(volume: ListedVolume) -> list[str]:
    """The digest in two lines of groups that an eye can hold."""
    word = digests.hex_of(volume.digest)
    parts = [word[at : at + _GROUP] for at in range(0, len(word), _GROUP)]
    half = len(parts) // 2
    return [" ".join(parts[:half]), " ".join(parts[half:])]


def _size(count: int) -> str:
    """Bytes in full, and in a unit where that reads better."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(groups=groups, size=_size)
    return environment

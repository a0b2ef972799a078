"""The shell blocks of a page: those that a test runs, and the few that it cannot."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Languages of blocks that are no commands.
OTHER = {"text", "yaml"}

_FENCE = re.compile(
    r"(?:^<!-- not run by tests: (?P<why>.*) -->\n)?"
    r"^```(?P<language>.*)\n(?P<text>(?:.*\n)*?)^```$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block; `why` says why no test runs it, in a comment that a reader does not see."""

    text: str
    why: str | None

    def commands(self) -> list[list[str]]:
        """The words of each line's command, without comments and without what is done with it."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in re.split(r"&&|&|2?>\S*", _uncommented(line))]
        return [words for part in parts if (words := shlex.split(part))]


def shell_blocks(page: str) -> list[Block]:
    """The shell blocks of a page of the checkout, in their order.

    A block in no language could be one that nobody looks at, so it is refused.
    """
    text = (ROOT / page).read_text()
    fences = list(_FENCE.finditer(text))
    assert text.count("```") == 2 * len(fences), f"{page}: a fence that does not end"
    assert {each["language"] for each in fences} <= OTHER | {"sh"}, page
    return [Block(each["text"], each["why"]) for each in fences if each["language"] == "sh"]


def _uncommented(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line)

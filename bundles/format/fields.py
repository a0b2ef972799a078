"""Reading the fields of an unsigned or signed JSON object strictly, each with a refusal of its own.

A document type hands in its error class, so that a reader learns which kind of document is wrong
and where; afterwards the document is written again and compared, which catches what no field
check sees.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.canonical import MAX_INTEGER


class Fields:
    """The fields of one object: exactly those in `names`. Raises `refusal`, as every method does.

    `where` names the object in errors.
    """

    def __init__(
        self, value: object, names: Collection[str], where: str, refusal: type[GooseError]
    ) -> None:
        self._where, self._refusal = where, refusal
        if not isinstance(value, dict):
            raise refusal(f"{where} is not an object")
        if odd := sorted(set(value) ^ set(names)):
            raise refusal(f"{where} has fields missing or unknown: {', '.join(odd)}")
        self._value: dict[str, Any] = value

    def whole(self, name: str, most: int = MAX_INTEGER) -> int:
        """A whole number of 0 to `most`."""
        number = self._value[name]
        if type(number) is not int or not 0 <= number <= most:
            raise self.wrong(name, f"is {number!r}, not a whole number of at most {most}")
        return number

    def truth(self, name: str) -> bool:
        """true or false."""
        if not isinstance(value := self._value[name], bool):
            raise self.wrong(name, f"is {value!r}, neither true nor false")
        return value

    def text(self, name: str, form: re.Pattern[str]) -> str:
        """A text of the given form."""
        value = self._value[name]
        if not isinstance(value, str) or not form.fullmatch(value):
            raise self.wrong(name, f"is {value!r}, which is no {name}")
        return value

    def digest(self, name: str) -> str:
        """A digest."""
        try:
            return digests.check(self._value[name], name)
        except digests.BadDigest as error:
            raise self._refusal(f"{self._where}: {error.message}") from error

    def items(self, name: str) -> list[Any]:
        """An array."""
        if not isinstance(value := self._value[name], list):
            raise self.wrong(name, "is not a list")
        return value

    def part(self, name: str, names: Collection[str]) -> Fields:
        """An object within this one, with exactly the fields in `names`."""
        return Fields(self._value[name], names, f"{self._where}: {name}", self._refusal)

    def null(self, name: str) -> bool:
        """Whether the field is null."""
        return self._value[name] is None

    def wrong(self, name: str, what: str) -> GooseError:
        """The refusal of a field: `what` says what is wrong with it."""
        return self._refusal(f"{self._where}: {name} {what}")

"""`SecretText`: text that the installer must be told and nobody else."""

from __future__ import annotations


class SecretText(str):
    """A secret's value. As text it is the value, so that a renderer can write it; what is shown to
    people (`repr`, and so tracebacks and logs of whole objects) never has it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(not shown)"

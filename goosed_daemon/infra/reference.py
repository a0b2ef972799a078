"""The tables of docs/profiles.md, made from the models."""

from __future__ import annotations

import re

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from goosed_daemon.infra.models import Disk, Machine, Network, OSProfile, Site, User

TABLES: tuple[type[BaseModel], ...] = (Site, OSProfile, Disk, User, Machine, Network)
_TABLE = re.compile(r"(<!-- fields of (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def renewed(page: str) -> str:
    """`page` with the tables between its comments as the models have them now.

    Raises ValueError when a kind has no place in it, and KeyError when a place has no kind.
    """
    models = {model.__name__: model for model in TABLES}
    seen = [match[2] for match in _TABLE.finditer(page)]
    if missing := models.keys() - set(seen):
        raise ValueError(f"no table for {', '.join(sorted(missing))}")
    return _TABLE.sub(lambda match: match[1] + table(models[match[2]]) + match[3], page)


def table(model: type[BaseModel]) -> str:
    """The fields of one model as a Markdown table."""
    rows = ["| field | default | what |", "|---|---|---|"]
    for field in model.model_fields.values():
        what = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{field.alias}` | {_default(field)} | {what} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return f"`{field.default}`" if isinstance(field.default, str) else ""

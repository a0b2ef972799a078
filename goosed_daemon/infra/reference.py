"""The tables of docs/profiles.md, made from the models."""

from __future__ import annotations

import re

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from goosed_daemon.infra.models import (
    MERGE,
    Addressing,
    Bond,
    Disk,
    Driver,
    Ethernet,
    Filesystem,
    Firewall,
    Group,
    Image,
    Inherited,
    Machine,
    Network,
    OSProfile,
    Requirement,
    Route,
    SecretSource,
    Selector,
    Services,
    Site,
    User,
    Variable,
    Vlan,
    Windows,
)

TABLES: tuple[type[BaseModel], ...] = (
    Site,
    OSProfile,
    Disk,
    Filesystem,
    Services,
    Firewall,
    Windows,
    Image,
    Driver,
    User,
    Variable,
    SecretSource,
    Group,
    Selector,
    Requirement,
    Machine,
    Network,
    Addressing,
    Route,
    Ethernet,
    Bond,
    Vlan,
    Inherited,
)
_SHARED: tuple[type[BaseModel], ...] = (Inherited, Addressing)  # with a table of their own
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


def _adds_to(model: type[BaseModel], shared: type[BaseModel]) -> bool:
    return model is not shared and issubclass(model, shared)


def table(model: type[BaseModel]) -> str:
    """The fields of one model as a Markdown table; what groups and machines share has its own."""
    if model is Inherited:
        return _merging()
    rows = ["| field | default | what |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if not any(name in shared.model_fields for shared in _SHARED if _adds_to(model, shared)):
            rows.append(f"| `{field.alias}` | {_default(field)} | {_what(field)} |")
    return "\n".join(rows) + "\n"


def _merging() -> str:
    rows = ["| field | given more than once | what |", "|---|---|---|"]
    rows += [
        f"| `{field.alias}` | {MERGE[field.alias or ''].value} | {_what(field)} |"
        for field in (*Inherited.model_fields.values(), Group.model_fields["network"])
    ]
    return "\n".join(rows) + "\n"


def _what(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if isinstance(field.default, str | int) else ""

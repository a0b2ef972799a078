"""`Group`: what machines have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, create_model

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.inherited import Inherited
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.part import Kind
from goosed_daemon.infra.models.selector import Selector


def _open(model: type[BaseModel], name: str) -> type[BaseModel]:
    """`model` with none of its fields required, since the machine gives the rest."""
    required = {
        key: (field.rebuild_annotation() | None, Field(None, description=field.description))
        for key, field in model.model_fields.items()
        if field.is_required()
    }
    made: type[BaseModel] = create_model(
        name, __base__=model, __module__=__name__, __doc__=model.__doc__, **required
    )  # type: ignore[call-overload]
    return made


if TYPE_CHECKING:
    NetworkDefaults = Network
else:
    NetworkDefaults = _open(Network, "NetworkDefaults")


class Group(Inherited, Kind):
    """What the machines that it selects have in common, where they say nothing themselves."""

    kind: Literal["Group"] = Field(description="Always `Group`.")
    selector: Selector = Field(description="Which machines, by their labels.")
    priority: f.Integer = Field(
        0,
        description="Of the groups of a machine, one with a higher number overrules one with a"
        " lower; of equals, the later name in the alphabet.",
    )
    network: NetworkDefaults | None = Field(
        None,
        description="Fields of `network` for those machines that have a `network` of their own,"
        " be it `{}`.",
    )

"""`Group`: what machines have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.inherited import Inherited
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.part import Kind
from goosed_daemon.infra.models.selector import Selector


class Group(Inherited, Kind):
    """What the machines that it selects have in common, where they say nothing themselves."""

    kind: Literal["Group"] = Field(description="Always `Group`.")
    selector: Selector = Field(description="Which machines, by their labels.")
    priority: f.Integer = Field(
        0,
        description="Of the groups of a machine, one with a higher number overrules one with a"
        " lower; of equals, the later name in the alphabet.",
    )
    network: Network | None = Field(
        None,
        description="Fields of `network` for those machines that have a `network` of their own,"
        " be it `{}`.",
    )

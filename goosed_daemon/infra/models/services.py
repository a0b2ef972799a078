"""`Services` and `Firewall`: what runs on an installed system, and what may reach it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part


class Services(Part):
    """Which services start with the system."""

    enabled: tuple[f.ServiceName, ...] = Field((), description="Units that do, such as `chronyd`.")
    disabled: tuple[f.ServiceName, ...] = Field((), description="Units that do not.")

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if both := set(self.enabled) & set(self.disabled):
            raise ValueError(f"{min(both)} is both enabled and disabled")
        return self


class Firewall(Part):
    """What may reach an installed system (kickstart)."""

    enabled: f.Boolean = Field(True, description="Whether there is one at all.")
    services: tuple[f.FirewallService, ...] = Field(
        ("ssh",), description="Services of firewalld, by their names there."
    )
    ports: tuple[f.Port, ...] = Field((), description="Ports, such as `8080/tcp`.")

"""`User`: an account of an installed system."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part
from goosed_daemon.infra.models.secret import PasswordHash


class User(Part):
    """An account."""

    name: f.UserName = Field(description="Login name.")
    groups: tuple[f.UserName, ...] = Field((), description="Further groups, such as `wheel`.")
    password_hash: PasswordHash | None = Field(
        None, description="Password hash (crypt); not set: no password."
    )
    sudo: Literal["password", "nopasswd"] | None = Field(
        None, description="May become root by sudo, with the own password or without one."
    )
    uid: f.Integer | None = Field(None, ge=1, le=4294967293, description="User number.")
    full_name: f.FullName | None = Field(None, description="Of the person, in ASCII.")
    shell: f.LoginShell | None = Field(None, description="Login shell; not set: `/bin/bash`.")
    ssh_keys: tuple[f.SshKey, ...] = Field((), description="Public keys that may log in.")

    @model_validator(mode="after")
    def _can_become_root(self) -> Self:
        if self.sudo == "password" and self.password_hash is None:
            raise ValueError(f"{self.name} has no password that sudo could ask for")
        return self

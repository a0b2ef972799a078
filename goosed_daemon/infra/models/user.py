"""`User`: an account of an installed system."""

from __future__ import annotations

from pydantic import Field

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
    ssh_keys: tuple[f.SshKey, ...] = Field((), description="Public keys that may log in.")

"""What operations on install receipts are asked with, and what they answer."""

from __future__ import annotations

from pydantic import Field

from goosed_daemon.admin.models import Answer, Query, Time


class ReceiptQuery(Query):
    """Which receipt of a machine."""

    token: str | None = Field(
        None, description="Of the installation that this boot token, by id, began; else the newest."
    )


class ReceiptDetail(Answer):
    """The receipt of one installation, as docs/receipts.md describes it."""

    mac: str
    machine: str | None = Field(description="As the profiles call it now.")
    token: str = Field(description="Id of the boot token that began the installation.")
    signed_at: Time
    document: str = Field(description="What is signed, to the byte, in UTF-8.")
    signature: str = Field(description="SSH signature of it, as ssh-keygen -Y sign writes them.")
    remarks: list[str] = Field([], description="What a person should know beside it.")


class InstallKey(Answer):
    """The key that checks a site's install receipts."""

    key: str = Field(description="As in a .pub file of OpenSSH, without a comment.")
    fingerprint: str

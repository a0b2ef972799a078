"""Operations on install receipts: what a machine was built from, and the key that says so."""

from __future__ import annotations

from typing import Any

from goosed_daemon import install_key, receipts
from goosed_daemon.admin.naming import resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin.receipt_models import InstallKey, ReceiptDetail, ReceiptQuery
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import NoInstallKey, NoReceipt, ReceiptNotSigned
from goosed_daemon.state.sql import is_uuid


def _show(of: Context, machine: str, query: ReceiptQuery) -> ReceiptDetail:
    named = resolve(of.infra, machine, needs_profiles=False)
    who, token = named.name or named.mac, query.token
    known = token is None or is_uuid(token)
    found = receipts.newest(of.state, named.mac, token) if known else None
    if found is None:
        about = f" by the boot token {token}" if token is not None else ""
        raise NoReceipt(f"nothing is known of an installation of {who}{about}", mac=named.mac)
    if found.document is None or found.signature is None or found.signed_at is None:
        raise ReceiptNotSigned(
            f"the installation of {who} that boot token {found.token} began has no receipt:"
            " one is signed when the machine is ready",
            mac=named.mac,
            token=found.token,
        )
    return ReceiptDetail(
        mac=named.mac,
        machine=named.name,
        token=found.token,
        signed_at=found.signed_at,
        document=found.document,
        signature=found.signature,
        remarks=list(named.remarks),
    )


def _key(of: Context) -> InstallKey:
    public = install_key.look(of.settings.home.install_key).public
    return InstallKey(key=public.openssh, fingerprint=public.fingerprint)


SHOW = Operation(
    "GET", "/v1/machines/{machine}/receipt", Role.VIEWER,
    "Give the signed receipt of a machine's installation", ReceiptDetail, _show,
    query=ReceiptQuery, refusals=(NoReceipt, ReceiptNotSigned),
)  # fmt: skip
KEY = Operation(
    "GET", "/v1/install-key", Role.VIEWER, "Give the key that checks install receipts", InstallKey,
    _key, refusals=(NoInstallKey,),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (SHOW, KEY)

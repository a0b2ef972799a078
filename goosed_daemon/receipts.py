"""Install receipts in the state: written down at the render, signed once the machine is ready.

What a render was made of is kept in the transaction that uses its boot token, with a tag by the
site's key: whoever writes into the database makes none. The transaction in which an orchestrator
finds the machine ready says so in the row, and any orchestrator signs what it then finds, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bundles import __version__, digest
from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.statement import format_time
from bundles.signing import sshsig
from bundles.site import install_receipt
from bundles.site.install_receipt import Artifact, BadInstallReceipt, InstallReceipt, Origin
from bundles.store.protocol import BundleRef
from goosed_daemon import audit
from goosed_daemon.state.protocol import Row, State, Transaction
from goosed_daemon.token_key import TokenKey
from goosed_daemon.token_rows import Token
from goosed_daemon.workflow.transition import Change, attempts

BATCH = 100  # receipts of a turn
_ACTOR = "orchestrator"


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What a render was made of: one machine's effective documents, and the bundle they install."""

    site: str
    machine: str
    installer: str
    profile: str
    profile_digest: str
    bundle: BundleRef
    artifacts: tuple[Artifact, ...]  # sorted by path


@dataclass(frozen=True, slots=True)
class Kept:
    """The receipt of one installation; `document` and `signature` are None until it is signed."""

    token: str
    claimed_at: datetime
    document: str | None
    signature: str | None
    signed_at: datetime | None


def keep(transaction: Transaction, key: TokenKey, token: Token, made: MadeOf, event: int) -> None:
    """Keeps what the file that `token` was just used for is made of; `event` is the number of its
    use in the audit log."""
    if token.used_at is None or token.used_by is None or token.rendered is None:
        raise AssertionError("the token was not used for a file")
    bundle = made.bundle
    origin = Origin(
        site=made.site,
        mac=token.mac,
        machine=made.machine,
        installer=made.installer,
        rendered=f"sha256:{token.rendered}",
        profile=made.profile,
        profile_digest=made.profile_digest,
        bundle=bundle.name,
        version=bundle.version,
        sequence=bundle.sequence,
        statement=bundle.statement,
        root=bundle.root,
        imported=bundle.imported,
        artifacts=made.artifacts,
        token=token.id,
        issued=format_time(token.issued_at),
        issued_to=token.issued_to,
        used=format_time(token.used_at),
        used_by=token.used_by,
        event=event,
    )
    text = canonical.dumps(origin.encode()).decode()
    transaction.execute(
        "insert into receipts (token, mac, claimed_at, origin, tag) values (?, ?, ?, ?, ?)",
        (token.id, token.mac, token.used_at, text, key.receipt_tag(text)),
    )


def ready(transaction: Transaction, change: Change, now: datetime) -> None:
    """A sink of the orchestrator: has the receipt of an installation signed that is at its end."""
    if change.position.state != "ready" or change.before.state == "ready":
        return
    workflow, attempt = change.workflow, attempts(change.workflow)[-1]
    if attempt.number:
        transaction.execute(
            "update receipts set workflow = ?, attempt = ?, armed_at = ?, ready_at = ?"
            " where token = ? and ready_at is null",
            (
                workflow.id, attempt.number, workflow.began_at, change.position.since,
                attempt.token,
            ),
        )  # fmt: skip


def turn(
    state: State,
    made: Callable[[str, str], bool],
    signer: sshsig.Signer,
    now: datetime,
    limit: int = BATCH,
) -> int:
    """Signs the receipts of installations that are at their end; gives how many. Any number of
    orchestrators may do so at once. `made` tells of an origin and its tag whether a render of this
    site made it. Raises `StateError`."""
    waiting = "from receipts where ready_at is not null and signature is null"
    with state.read() as transaction:
        if not transaction.execute(f"select 1 {waiting} limit 1"):
            return 0
    with state.write() as transaction:
        rows = transaction.execute(
            "select token, mac, origin, tag, workflow, attempt, armed_at, ready_at"
            f" {waiting} order by ready_at limit ?{state.skip_locked}",
            (limit,),
        )
        return sum(_sign(transaction, row, made, signer, now) for row in rows)


def _sign(
    transaction: Transaction,
    row: Row,
    made: Callable[[str, str], bool],
    signer: sshsig.Signer,
    now: datetime,
) -> bool:
    token, mac, text, tag, workflow, attempt, armed_at, ready_at = row
    try:
        if not made(text, tag):
            raise BadInstallReceipt("no render of this site wrote it")
        document = InstallReceipt(
            install_receipt.read_origin(text.encode(), f"the receipt of {token}"),
            workflow, attempt, format_time(armed_at), format_time(ready_at), __version__,
        ).encode()  # fmt: skip
    except GooseError as error:
        # Nobody gets the site's word for it, and it is not looked at again.
        transaction.execute("update receipts set ready_at = null where token = ?", (token,))
        audit.record(
            transaction, now, "receipt-refused", _ACTOR, mac=mac, token=token, why=error.message
        )
        return False
    signature = sshsig.sign(document, signer, sshsig.MACHINE)
    transaction.execute(
        "update receipts set document = ?, signature = ?, signed_at = ? where token = ?",
        (document.decode(), signature.decode(), now, token),
    )
    audit.record(
        transaction, now, "receipt-signed", _ACTOR,
        mac=mac, token=token, digest=digest.of(document),
    )  # fmt: skip
    return True


def newest(state: State, mac: str, token: str | None = None) -> Kept | None:
    """The receipt of a machine's newest installation, or of the one that `token` began."""
    which, more = (" and token = ?", (token,)) if token is not None else ("", ())
    with state.read() as transaction:
        rows = transaction.execute(
            "select token, claimed_at, document, signature, signed_at from receipts"
            f" where mac = ?{which} order by claimed_at desc limit 1",
            (mac, *more),
        )
    return Kept(*rows[0]) if rows else None

"""What `doctor` looks at: each check says in words that all is well, or what is wrong and how to
mend it. A check looks and changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from bundles.errors import GooseError
from goosed_daemon.home import Home
from goosed_daemon.setting_forms import Address
from goosed_daemon.settings import Settings

ENDS_SOON = timedelta(days=14)  # of admin tokens
LITTLE_SPACE = 5 * 1024**3  # bytes: less than a small operating system's tree
EARLIEST = datetime.fromisoformat("2026-11-01T00:00:00+00:00")  # no clock that is right says less

GOOD, REMARK, WRONG = "good", "remark", "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    state: str  # good, remark or wrong
    text: str
    hint: str = ""

    def row(self) -> dict[str, object]:
        """The finding for scripts."""
        return asdict(self)


def examine(now: datetime) -> Iterator[Finding]:
    """All checks of this machine's site, in the order in which things are set up."""
    home = Home.find()
    yield _home(home)
    yield _clock(now)
    try:
        settings = Settings.load()
    except GooseError as error:
        yield _wrong("settings", error)
        return
    yield Finding("settings", GOOD, "every setting is known and has a value that it can have")
    checks: tuple[tuple[str, Callable[[Settings, datetime], Finding]], ...] = (
        ("space", _space),
        ("keys", _keys),
        ("trust", _trust),
        ("store", _store),
        ("state", _state),
        ("admins", _admins),
        ("profiles", _profiles),
        ("content", _content),
        ("certificate", _certificate),
        ("port", _port),
    )
    for name, check in checks:
        try:
            yield check(settings, now)
        except GooseError as error:
            yield _wrong(name, error)


def _wrong(check: str, error: GooseError) -> Finding:
    return Finding(check, WRONG, error.message, error.hint or "")


def _home(home: Home) -> Finding:
    if not home.path.is_dir():
        hint = "name the site's folder by GOOSE_HOME; `goosectl trust init` makes a new one"
        return Finding("home", WRONG, f"there is no folder {home.path}", hint)
    if not os.access(home.path, os.W_OK):
        return Finding("home", WRONG, f"{home.path} cannot be written", "run it as its owner")
    if home.path.stat().st_mode & stat.S_IWOTH:
        hint = f"chmod o-w {home.path}"
        return Finding("home", WRONG, f"everybody may write in {home.path}", hint)
    return Finding("home", GOOD, f"{home.path} is there and can be written")


def _clock(now: datetime) -> Finding:
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < EARLIEST:
        hint = "set it: signers, tokens and bundles are judged by it"
        return Finding("clock", WRONG, f"the clock says {shown}", hint)
    return Finding("clock", GOOD, f"it is {shown}, the clock says; is that so?")


def _space(settings: Settings, now: datetime) -> Finding:
    from goosectl import site, sizes

    free = site.store().free()
    if free is None:
        return Finding(
            "space", REMARK, "the store cannot say how much room it has; S3_QUOTA would tell"
        )
    state = GOOD if free >= LITTLE_SPACE else REMARK
    hint = "" if state == GOOD else "`goosectl store gc` removes what no imported version uses"
    return Finding("space", state, f"{sizes.text(free)} are free for the store", hint)


def _keys(settings: Settings, now: datetime) -> Finding:
    from goosed_daemon import install_key, token_key

    if not settings.home.token_key.exists():
        return Finding("keys", REMARK, "no token key yet: the first token or daemon makes it")
    token_key.load(settings.home.token_key)
    if not settings.home.install_key.exists():
        text = "no key for install receipts yet: the orchestrator makes it when it starts"
        return Finding("keys", REMARK, text)
    install_key.load(settings.home.install_key)
    return Finding("keys", GOOD, "the site's keys are there, and nobody else can read them")


def _trust(settings: Settings, now: datetime) -> Finding:
    from goosectl import site
    from goosectl.trust import words

    root = site.trust_root()
    warnings = words.warnings(root, now)
    text = f"version {root.version}, {root.threshold} of {len(root.signers)} signers must sign"
    if warnings:
        told = "; ".join([text, *(warning["text"] for warning in warnings)])
        return Finding("trust", REMARK, told, "see `goosectl trust rotate`")
    return Finding("trust", GOOD, text)


def _store(settings: Settings, now: datetime) -> Finding:
    from bundles.site.catalog import Catalog
    from goosectl import site, sizes

    store = site.store()
    catalog = Catalog(store)
    refs = store.refs()
    for ref in refs.bundles:
        for _ in catalog.list(ref.name, ref.version):
            break
    if not refs.bundles:
        hint = "`goosectl bundle import` brings some"
        return Finding("store", REMARK, f"{store} holds no bundle yet", hint)
    names = {ref.name for ref in refs.bundles}
    versions = sizes.amount(len(refs.bundles), "version")
    text = f"{store} holds {versions} of {sizes.amount(len(names), 'bundle')}"
    return Finding("store", GOOD, text, "`goosectl store fsck` reads every byte of them")


def _state(settings: Settings, now: datetime) -> Finding:
    from goosectl import operator
    from goosed_daemon import audit_chain
    from goosed_daemon.errors import AuditBroken
    from goosed_daemon.state.migrate import status

    with operator.state_if_any(migrated=False) as state:
        if state is None:
            return Finding("state", REMARK, "no state yet: the first armed machine makes it")
        pending = [str(step.migration) for step in status(state) if step.applied_at is None]
        if pending:
            hint = "`goosectl db migrate`, or the daemon's next start, applies them"
            return Finding("state", REMARK, f"{state} waits for {', '.join(pending)}", hint)
        verdict = audit_chain.verify(state)
        if verdict.faults:
            hint = AuditBroken.default_hint
            return Finding("state", WRONG, f"{state}: {'; '.join(verdict.faults)}", hint)
        return Finding("state", GOOD, f"{state} is of this version, its audit log whole")


def _admins(settings: Settings, now: datetime) -> Finding:
    from goosectl import operator
    from goosed_daemon import admin_tokens
    from goosed_daemon.state.migrate import status

    with operator.state_if_any(migrated=False) as state:
        if state is None or any(step.applied_at is None for step in status(state)):
            return Finding("admins", GOOD, "nobody uses the administration over HTTP yet")
        known = [token for token in admin_tokens.known(state) if token.ended is None]
    over = [token.name for token in known if token.expires_at <= now]
    soon = [
        f"{token.name} ({token.expires_at:%Y-%m-%d})"
        for token in known
        if now < token.expires_at < now + ENDS_SOON
    ]
    if soon or over:
        told = [f"end soon: {', '.join(soon)}"] if soon else []
        told += [f"ended: {', '.join(over)}"] if over else []
        hint = "`goosectl admin-token revoke NAME` and `new NAME --role ROLE` make the next"
        return Finding("admins", REMARK, f"admin tokens {'; '.join(told)}", hint)
    return Finding("admins", GOOD, f"{len(known)} admin tokens are in force")


def _profiles(settings: Settings, now: datetime) -> Finding:
    from goosectl import operator, sizes

    infra = operator.infra()
    if infra is None:
        hint = f"write them into {settings.home.infra}; examples/infra shows how"
        return Finding("profiles", REMARK, "no profiles yet", hint)
    if infra.error is not None:
        raise infra.error
    profiles = sizes.amount(len(infra.profiles), "profile")
    text = f"{sizes.amount(len(infra.machines), 'machine')} and {profiles} without an error"
    return Finding("profiles", GOOD, text, "`goosectl infra validate` asks their releases too")


def _content(settings: Settings, now: datetime) -> Finding:
    from bundles.site.catalog import Catalog
    from goosectl import operator, site
    from goosed_daemon import boot

    infra = operator.infra()
    if infra is None or not infra.profiles:
        return Finding("content", REMARK, "no profile asks for content yet")
    catalog = Catalog(site.store())
    for profile in infra.profiles.values():
        boot.check_content(catalog, profile)
    return Finding("content", GOOD, "what the profiles install from is in the store")


def _certificate(settings: Settings, now: datetime) -> Finding:
    if settings.lab:
        text = "a lab: everything is served over plain HTTP, for who can listen to read"
        return Finding("certificate", GOOD, text)
    from goosed_daemon.tls import SOON, ServerTls

    client_ca = settings.tls_client_ca if settings.agent_certificates else None
    served = ServerTls(settings.tls_certificate, settings.tls_key, client_ca)
    if (refusal := served.refusal(now)) is not None:
        return _wrong("certificate", refusal)
    until = f"{served.not_after:%Y-%m-%d}"
    if served.not_after - now < SOON:
        hint = "`goosectl pki issue goosed --renew` with its names makes the next one"
        return Finding("certificate", REMARK, f"it ends soon, at {until}", hint)
    if settings.authority() is None:
        hint = "set `tls_ca` to what vouches for it, unless installers trust it as they are"
        text = f"there are no authorities in {settings.tls_ca} to bring to installers"
        return Finding("certificate", REMARK, text, hint)
    return Finding("certificate", GOOD, f"it can be served with until {until}")


def _port(settings: Settings, now: datetime) -> Finding:
    found = [_free(settings, settings.listen, tls=not settings.lab)]
    if settings.boot_listen is not None:
        found.append(_free(settings, settings.boot_listen, tls=False))
    wrong = [finding for finding in found if finding.state != GOOD]
    text = "; ".join(finding.text for finding in found)
    return wrong[0] if wrong else Finding("port", GOOD, text)


def _free(settings: Settings, address: Address, *, tls: bool) -> Finding:
    host, port = address.host, address.port
    if port == 0:
        return Finding("port", GOOD, "the system chooses a free port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        if _answers(settings, address, tls=tls):
            return Finding("port", GOOD, f"a daemon answers on {address}")
        ss = "`ss -ltnp` shows who has it" if shutil.which("ss") else "see who has it"
        text = f"{address} cannot be had: {error.strerror or error}"
        name = "listen" if address == settings.listen else "boot_listen"
        return Finding("port", WRONG, text, f"{ss}; or set `{name}` to another")
    return Finding("port", GOOD, f"{address} is free for the daemon")


def _answers(settings: Settings, address: Address, *, tls: bool) -> bool:
    """Whether what listens there is a daemon of ours."""
    import ssl
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    host = "127.0.0.1" if address.host in ("0.0.0.0", "::") else address.host  # noqa: S104
    connection = HTTPConnection(host, address.port, timeout=3)
    if tls:
        # It is to be this site's daemon; whether under this name is not what is asked.
        context = ssl.create_default_context(cadata=settings.authority())
        context.check_hostname = False
        connection = HTTPSConnection(host, address.port, timeout=3, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()

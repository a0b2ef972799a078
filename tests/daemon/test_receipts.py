"""Install receipts in the state: written down at the render, signed once, and by nobody else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bundles import digest as digests
from bundles.site import install_receipt, install_trust
from bundles.site.catalog import Catalog
from bundles.store import open_store
from goosed_daemon import admin_tokens, audit, boot, install_key, machines, made_of, receipts
from goosed_daemon.admin_tokens import Role
from goosed_daemon.agents import Agents
from goosed_daemon.errors import BadInstallKey, NoInstallKey, TokenUsed
from goosed_daemon.infra import load
from goosed_daemon.receipts import Kept
from goosed_daemon.state import State
from goosed_daemon.state.migrate import migrate
from goosed_daemon.token_key import TokenKey
from goosed_daemon.token_rows import Token
from goosed_daemon.tokens import Tokens
from goosed_daemon.web import orchestration
from goosed_daemon.workflow import rows
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.content import make_store
from tests.daemon.receipts import MADE, SIGNER
from tests.daemon.state_backends import KEY, MAC, NOW, OTHER, TTL, postgres
from tests.daemon.test_web_agents import beat, enrolled
from tests.daemon.web_site import FILES, PROFILES, Lab

HERE = "192.0.2.7"
RENDERED = "a" * 64


def rendered(state: State, tokens: Tokens, mac: str = MAC, at: datetime = NOW) -> Token:
    """A machine whose installer was told its answers."""
    machines.arm(state, mac, 3, at, "operator")
    return tokens.claim(tokens.offer(mac, at, HERE).secret, at, HERE, RENDERED, at + TTL, MADE)


def installed(state: State, token: Token) -> None:
    """Until its agent was heard."""
    agents = Agents(state, TokenKey(KEY), timedelta(days=1))
    lease = agents.register(agents.enrolment(token.id), None, NOW, HERE)
    assert lease.token is not None
    agents.heartbeat(token.mac, lease.token, NOW, HERE, "1")
    orchestrate(state)


def orchestrate(state: State) -> None:
    Orchestrator(state, (receipts.ready,)).turn(NOW)


def sign(state: State, tokens: Tokens) -> int:
    return receipts.turn(state, tokens.made, SIGNER, NOW)


def kinds(state: State, mac: str = MAC) -> list[str]:
    return [event.kind for event in audit.events(state, mac=mac)]


def test_a_receipt_says_what_the_render_was_made_of(state: State, tokens: Tokens) -> None:
    token = rendered(state, tokens)
    assert sign(state, tokens) == 0, "the machine is not ready"
    kept = receipts.newest(state, MAC)
    assert kept is not None and kept.document is None
    installed(state, token)
    assert sign(state, tokens) == 1
    kept = receipts.newest(state, MAC)
    assert kept is not None and kept.document is not None and kept.signature is not None
    data = kept.document.encode()
    found = install_trust.believe(data, kept.signature.encode(), SIGNER.public, "it")
    origin = found.origin
    assert (origin.mac, origin.token, origin.used_by) == (MAC, token.id, HERE)
    assert (origin.rendered, origin.artifacts) == (f"sha256:{RENDERED}", MADE.artifacts)
    assert (found.attempt, found.armed, found.ready) == (1, *["2026-11-24T12:00:00Z"] * 2)
    events = {event.kind: event for event in audit.events(state, mac=MAC)}
    assert events["token-claimed"].id == origin.event
    assert events["receipt-signed"].detail == {"digest": digests.of(data)}


def test_a_receipt_is_signed_once(state: State, tokens: Tokens) -> None:
    installed(state, rendered(state, tokens))
    assert [sign(state, tokens) for _ in range(3)] == [1, 0, 0]
    orchestrate(state)
    assert sign(state, tokens) == 0
    assert kinds(state).count("receipt-signed") == 1


def test_each_installation_has_a_receipt_and_the_newest_is_shown(
    state: State, tokens: Tokens
) -> None:
    first = rendered(state, tokens)
    installed(state, first)
    sign(state, tokens)
    second = rendered(state, tokens, at=NOW + TTL)
    newest, older = receipts.newest(state, MAC), receipts.newest(state, MAC, first.id)
    assert newest is not None and older is not None
    assert (newest.token, newest.document) == (second.id, None)
    assert older.document is not None
    assert receipts.newest(state, OTHER) is receipts.newest(state, OTHER, first.id) is None


def test_a_token_that_was_used_leaves_no_second_receipt(state: State, tokens: Tokens) -> None:
    machines.arm(state, MAC, 3, NOW, "operator")
    secret = tokens.offer(MAC, NOW, HERE).secret
    tokens.claim(secret, NOW, HERE, RENDERED, None, MADE)
    with pytest.raises(TokenUsed):
        tokens.claim(secret, NOW, HERE, "b" * 64, None, MADE)
    with state.read() as transaction:
        assert transaction.execute("select count(*) from receipts") == [(1,)]


PLANTED = (
    "insert into receipts (token, mac, claimed_at, origin, tag, workflow, attempt, armed_at,"
    " ready_at) values (?, ?, ?, ?, ?, ?, 1, ?, ?)"
)


def test_a_receipt_planted_in_the_database_is_not_signed(state: State, tokens: Tokens) -> None:
    token = rendered(state, tokens)
    with state.write() as transaction:
        ((text, tag),) = transaction.execute("select origin, tag from receipts")
        forged = text.replace(MAC, OTHER)
        for number, (origin, its_tag) in enumerate(((forged, tag), (forged, ""), ("{}", tag))):
            planted = str(UUID(int=number))
            transaction.execute(PLANTED, (planted, OTHER, NOW, origin, its_tag, planted, NOW, NOW))
    installed(state, token)
    assert sign(state, tokens) == 1
    assert kinds(state)[-1] == "receipt-signed"
    assert kinds(state, OTHER) == ["receipt-refused"] * 3
    assert sign(state, tokens) == 0, "they are not looked at again"
    with state.read() as transaction:
        assert transaction.execute("select mac from receipts where signature is not null") == [
            (MAC,)
        ]


def test_an_agent_that_was_there_before_has_no_receipt_signed(state: State, tokens: Tokens) -> None:
    installed(state, rendered(state, tokens))
    agents = Agents(state, TokenKey(KEY), timedelta(days=1))
    lease = agents.register(agents.permit(MAC, NOW, TTL, "operator:me"), None, NOW, HERE)
    assert lease.token is not None
    rendered(state, tokens)
    agents.heartbeat(MAC, lease.token, NOW, HERE, "1")
    orchestrate(state)
    assert sign(state, tokens) == 1, "of the first installation alone"


_SIGNER = """
import sys, time
from datetime import timedelta
from pathlib import Path
from goosed_daemon import receipts
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from tests.daemon.receipts import SIGNER
from tests.daemon.state_backends import KEY, NOW, TTL, postgres

folder = Path(sys.argv[1])
state = postgres(folder)
tokens = Tokens(state, TokenKey(KEY), TTL)
print("up", flush=True)
sys.stdin.readline()
signed = 0
while new := receipts.turn(state, tokens.made, SIGNER, NOW, limit=3):
    signed += new
print(signed)
"""


def test_of_three_orchestrators_each_receipt_is_signed_by_one(tmp_path: Path) -> None:
    state = postgres(tmp_path)
    migrate(state, NOW)
    tokens = Tokens(state, TokenKey(KEY), TTL)
    macs = [f"52:54:00:00:01:{number:02x}" for number in range(40)]
    for mac in macs:
        installed(state, rendered(state, tokens, mac))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _SIGNER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
    signed = 0
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        signed += int(out)
    signed += sign(state, tokens)  # what one of them passed over, since another had it in hand
    assert signed == len(macs)
    for mac in macs:
        assert kinds(state, mac).count("receipt-signed") == 1
    state.close()


# Over HTTP


async def test_from_the_render_to_the_receipt(lab: Lab) -> None:
    told = await enrolled(lab)
    state, tokens = lab.deps.state, lab.deps.tokens
    lab.clock.forward(timedelta(minutes=20))
    assert (await beat(lab, told["token"])).status == 200
    Orchestrator(state, (receipts.ready,)).turn(lab.clock.now)
    assert receipts.turn(state, tokens.made, SIGNER, lab.clock.now) == 1
    kept = receipts.newest(state, MAC)
    assert kept is not None and kept.document is not None
    found = install_receipt.read(kept.document.encode(), "it")
    assert (found.origin.site, found.origin.machine) == ("lab", "web1")
    assert (found.armed, found.ready) == ("2026-11-24T12:00:00Z", "2026-11-24T12:20:00Z")
    ref = lab.deps.catalog.ref("site-base", None)
    assert ref is not None
    assert (found.origin.version, found.origin.statement) == ("1.0", ref.statement)
    kernel, initrd = ("rhel9/images/pxeboot/vmlinuz", "rhel9/images/pxeboot/initrd.img")
    assert {artifact.path: artifact.digest for artifact in found.origin.artifacts} == {
        path: digests.of(FILES[path])  # type: ignore[arg-type]
        for path in (kernel, initrd)
    }


# The orchestrator beside the listeners


async def until_signed(lab: Lab) -> Kept:
    for _ in range(600):
        kept = await lab.deps.in_state(receipts.newest, lab.deps.state, MAC)
        if kept is not None and kept.document is not None:
            return kept
        await asyncio.sleep(0.05)
    raise AssertionError("not signed in half a minute")


async def test_a_running_orchestrator_signs_what_it_finds_ready(lab: Lab) -> None:
    async with orchestration.running(lab.deps):
        told = await enrolled(lab)
        await beat(lab, told["token"])
        kept = await until_signed(lab)
    signer = install_key.look(lab.home.install_key)
    assert kept.document is not None and kept.signature is not None
    message, armored = kept.document.encode(), kept.signature.encode()
    assert install_trust.believe(message, armored, signer.public, "it").origin.token == kept.token


async def test_without_a_key_receipts_wait_and_nothing_else_does(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestration, "_FAULT", 0.05)
    monkeypatch.setattr(orchestration, "RECEIPTS_EVERY", 0.05)
    key = lab.home.install_key
    key.write_bytes(b"short")
    key.chmod(0o600)
    async with orchestration.running(lab.deps):
        told = await enrolled(lab)
        await beat(lab, told["token"])
        for _ in range(600):
            if rows.count(lab.deps.state)["ready"]:
                break
            await asyncio.sleep(0.05)
        assert rows.count(lab.deps.state)["ready"] == 1
        kept = receipts.newest(lab.deps.state, MAC)
        assert kept is not None and kept.signature is None
        key.write_bytes(bytes(32))
        assert (await until_signed(lab)).signature is not None


# What the profile's digest covers


def profile_digest(folder: Path, text: str) -> str:
    infra = folder / "infra"
    infra.mkdir(exist_ok=True)
    (infra / "site.yaml").write_text(text)
    loaded = load(infra)
    if not (folder / "store").exists():
        make_store(folder / "store", FILES)
    machine = loaded.machine("web1")
    assert machine is not None
    catalog = Catalog(open_store(folder / "store"))
    context = boot.context(loaded, catalog, machine, "https://goose.example.org")
    found = made_of.look(context, catalog).profile_digest
    assert found == made_of.profile_digest(loaded, machine), "an auditor finds the same"
    return found


def hashed(fill: str) -> str:
    return f"rootPasswordHash: $6$saltsalt${fill * 86}\n"


def test_the_profiles_digest_covers_what_groups_and_machine_add(tmp_path: Path) -> None:
    before = profile_digest(tmp_path, PROFILES)
    assert before == profile_digest(tmp_path, PROFILES + "\n# a remark\n")
    assert before != profile_digest(tmp_path, PROFILES + "timezone: Europe/Berlin\n")
    group = "---\napiVersion: goose/v1\nkind: Group\nname: all\nselector: {}\ndomain: a.example\n"
    assert before != profile_digest(tmp_path, PROFILES + group)


def test_no_password_can_be_tried_out_against_a_receipt(tmp_path: Path) -> None:
    with_hash = profile_digest(tmp_path, PROFILES + hashed("a"))
    assert with_hash == profile_digest(tmp_path, PROFILES + hashed("b"))
    assert with_hash != profile_digest(tmp_path, PROFILES)


# The key


def test_the_install_key_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "install.key"
    with pytest.raises(NoInstallKey):
        install_key.look(path)
    made = install_key.load(path).public
    assert install_key.look(path).public == install_key.load(path).public == made
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_size == 32
    path.chmod(0o644)
    with pytest.raises(BadInstallKey, match="0644"):
        install_key.load(path)


async def test_the_api_gives_the_receipt_as_it_was_signed(lab: Lab) -> None:
    state, now = lab.deps.state, lab.clock.now
    _, secret = admin_tokens.new(
        state, "viewer", Role.VIEWER, timedelta(hours=1), now, "operator:me"
    )

    async def ask(path: str) -> tuple[int, dict[str, Any]]:
        answer = await lab.get(path, Authorization=f"Bearer {secret}")
        value: dict[str, Any] = json.loads(await answer.text())
        return answer.status, value.get("error", value)

    where = "/v1/machines/web1/receipt"
    assert (await lab.get(where)).status == 401
    assert (await ask(where))[1]["code"] == "no-receipt"
    assert (await ask("/v1/install-key"))[1]["code"] == "no-install-key"
    told = await enrolled(lab)
    assert (await ask(where))[1]["code"] == "receipt-not-signed"
    await beat(lab, told["token"])
    signer = install_key.load(lab.deps.settings.home.install_key)
    Orchestrator(state, (receipts.ready,)).turn(lab.clock.now)
    assert receipts.turn(state, lab.deps.tokens.made, signer, lab.clock.now) == 1
    status, value = await ask(where)
    assert status == 200
    message, armored = (str(value[part]).encode() for part in ("document", "signature"))
    assert install_trust.believe(message, armored, signer.public, "it").origin.mac == MAC
    assert (await ask(f"{where}?token={value['token']}"))[1] == value
    assert (await ask(f"{where}?token=nonsense"))[0] == 404
    key = (await ask("/v1/install-key"))[1]
    assert key == {"key": signer.public.openssh, "fingerprint": signer.public.fingerprint}

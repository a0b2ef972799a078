"""A site is destroyed and comes back out of its backup: on SQLite and on PostgreSQL."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest

from goosectl.main import main
from goosed_daemon.backup import archive, tables
from goosed_daemon.backup.archive import About, Backup, Entry
from goosed_daemon.backup.errors import BadBackup
from tests.daemon.content import make_store
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC
from tests.daemon.test_roles import ask, found
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES
from tests.parts import part


@dataclass
class Vault:
    """The key that opens backups, kept apart from the site."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        key = pyrage.x25519.Identity.generate()
        self.identity = self.folder / "vault.agekey"
        self.identity.write_text(f"{key}\n")
        self.identity.chmod(0o600)
        self.recipient = str(key.to_public())


@dataclass
class Bench:
    """Commands at a site, whose home may be moved away."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    backend: str

    def __post_init__(self) -> None:
        self.vault = Vault(self.folder / "vault")
        self.file = self.folder / "site.backup.age"
        self.at("home", "one")

    def at(self, home: str, state: str) -> None:
        """Goes to another home, and another state."""
        self.home = self.folder / home
        self.monkeypatch.setenv("GOOSE_HOME", str(self.home))
        if self.backend == "postgres":
            (self.folder / state).mkdir(exist_ok=True)
            self.dsn = database(self.folder / state)
            self.monkeypatch.setenv("DB_DSN", self.dsn)

    @property
    def environ(self) -> dict[str, str]:
        return {"DB_DSN": self.dsn} if self.backend == "postgres" else {}

    def run(self, *words: object) -> tuple[int, Any, str]:
        code = main([*map(str, words), "--json"])
        told = self.capsys.readouterr()
        return code, json.loads(told.out) if told.out else None, told.err

    def make(self) -> None:
        (self.home / "infra").mkdir(parents=True)
        (self.home / "infra" / "site.yaml").write_text(PROFILES)
        make_store(self.home / "store", FILES)
        assert self.run("pki", "init", "--permit", "127.0.0.0/8")[0] == 0
        assert self.run("pki", "issue", "goosed", "--ip", "127.0.0.1")[0] == 0

    def back_up(self) -> dict[str, Any]:
        code, told, err = self.run("site", "backup", self.file, "--to", self.vault.recipient)
        assert code == 0, err
        assert isinstance(told, dict)
        return told

    def restore(self, *more: object) -> tuple[int, Any, str]:
        identity = ("--identity", self.vault.identity)
        return self.run("site", "restore", self.file, *identity, *more)


@pytest.fixture(params=["sqlite", "postgres"])
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys, request.param)


@pytest.fixture
def lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    made = Bench(tmp_path, monkeypatch, capsys, "sqlite")
    made.make()
    return made


def test_a_site_that_was_destroyed_goes_on_where_it_was(bench: Bench) -> None:
    bench.make()
    assert bench.run("machine", "arm", MAC)[0] == 0
    log = bench.folder / "log"
    with log.open("w") as out, daemon(bench.home, log=out.fileno(), **bench.environ) as (_, url):
        _, script = ask(f"{url}/v1/boot/ipxe?mac={MAC}")
        _, text = ask(found(r"inst\.ks=(\S+)", script))
        secret = found(r"printf 'enrolment=%s\\n' (\S+) ", text)
        _, told = ask(f"{url}/v1/agents/register", {"enrolment": secret})
    token = json.loads(told)["token"]
    assert bench.run("audit", "verify", "--write-anchor", bench.folder / "anchor")[0] == 0
    ca = (bench.home / "pki" / "ca.crt").read_bytes()
    whole = bench.back_up()
    assert whole["bundles"] == 1

    shutil.rmtree(bench.home)
    bench.at("home", "another")
    code, told, err = bench.restore()
    assert code == 0, err
    assert told["missing"] == ["site-base 1.0"]
    assert (bench.home / "pki" / "ca.crt").read_bytes() == ca
    assert (bench.home / "keys" / "token.key").stat().st_mode & 0o777 == 0o600
    code, told, err = bench.run("audit", "verify", "--anchor", bench.folder / "anchor")
    assert code == 0, err
    kinds = [event["kind"] for event in bench.run("audit", "show")[1]["items"]]
    assert kinds[-2:] == ["site-backed-up", "site-restored"]

    make_store(bench.home / "store", FILES)
    with log.open("a") as out, daemon(bench.home, log=out.fileno(), **bench.environ) as (_, url):
        said, bearer = {"machine_id": MAC, "agent": "test/1"}, f"Bearer {token}"
        status, answer = ask(f"{url}/v1/agents/heartbeat", said, Authorization=bearer)
        assert status == 200, f"the agent's token is still its own: {answer}"
        used = found(r"inst\.ks=\S+/v1/render/(\S+)", script)
        assert ask(f"{url}/v1/render/{used}")[0] == 410, "a token that was used stays used"
        assert bench.run("machine", "arm", MAC)[0] == 0  # ids go on after the highest
        _, script = ask(f"{url}/v1/boot/ipxe?mac={MAC}")
        assert ask(found(r"inst\.ks=(\S+)", script))[0] == 200


def test_a_site_moves_from_one_database_to_the_other(lab: Bench) -> None:
    """The rows are the same from either, to the microsecond: the chain of the audit log holds."""
    assert lab.run("machine", "arm", MAC)[0] == 0
    assert lab.run("audit", "verify", "--write-anchor", lab.folder / "anchor")[0] == 0
    lab.back_up()
    lab.backend = "postgres"
    lab.at("moved", "postgres")
    assert lab.restore()[0] == 0
    assert lab.run("audit", "verify", "--anchor", lab.folder / "anchor")[0] == 0
    lab.file = lab.folder / "again.age"
    lab.back_up()
    lab.monkeypatch.delenv("DB_DSN")
    lab.backend = "sqlite"
    lab.at("back", "")
    assert lab.restore()[0] == 0
    assert lab.run("audit", "verify", "--anchor", lab.folder / "anchor")[0] == 0
    assert lab.run("machine", "list")[1]["items"][0]["armed"] is True


def test_stock_tools_open_it(lab: Bench) -> None:
    lab.back_up()
    out = lab.folder / "out"
    out.mkdir()
    plain = subprocess.run(
        [part("age"), "-d", "-i", lab.vault.identity, lab.file], check=True, capture_output=True
    ).stdout
    subprocess.run([part("tar"), "-x", "-C", out], input=plain, check=True)
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out)
    assert done.returncode == 0
    assert json.loads((out / "backup.json").read_text())["bundles"][0][:2] == ["site-base", "1.0"]
    assert (out / "home" / "infra" / "site.yaml").read_text() == PROFILES
    assert not list(out.rglob("state.db")) and not (out / "home" / "store").exists()


def test_nothing_of_it_can_be_read_without_the_identity(lab: Bench) -> None:
    lab.back_up()
    sealed = lab.file.read_bytes()
    for secret in (lab.home.glob("keys/*"), lab.home.glob("pki/*.key")):
        for path in secret:
            assert path.read_bytes() not in sealed
    assert PROFILES.encode() not in sealed
    assert lab.file.stat().st_mode & 0o777 == 0o600


def unchanged(bench: Bench, code: str, words: str) -> None:
    """The restore is refused with exactly `code`, and leaves nothing."""
    before = sorted(bench.folder.rglob("*"))
    status, _, err = bench.restore()
    assert status == 1
    told = json.loads(err.splitlines()[-1])
    assert told["code"] == code, told
    assert words in told["error"], told
    assert sorted(bench.folder.rglob("*")) == before


def test_a_wrong_identity_is_named_before_any_work(lab: Bench) -> None:
    lab.back_up()
    lab.vault = Vault(lab.folder / "another")
    lab.at("new", "")
    unchanged(lab, "wrong-identity", "not sealed to this identity")


@pytest.mark.parametrize("at", [0.3, 0.6, 0.999])
def test_a_flipped_bit_is_refused_and_nothing_is_left(lab: Bench, at: float) -> None:
    lab.back_up()
    data = bytearray(lab.file.read_bytes())
    data[int(len(data) * at)] ^= 1
    lab.file.write_bytes(data)
    lab.at("new", "")
    unchanged(lab, "damaged-seal", "cannot be opened")


def test_a_file_that_is_cut_short_is_refused(lab: Bench) -> None:
    lab.back_up()
    lab.file.write_bytes(lab.file.read_bytes()[:-70_000])
    lab.at("new", "")
    unchanged(lab, "damaged-seal", "cannot be opened")


def test_a_site_that_is_there_is_not_overwritten(bench: Bench) -> None:
    bench.make()
    assert bench.run("machine", "arm", MAC)[0] == 0
    bench.back_up()
    unchanged(bench, "site-there", "is not empty")


def test_a_database_that_holds_a_site_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path, monkeypatch, capsys, "postgres")
    bench.make()
    assert bench.run("machine", "arm", MAC)[0] == 0
    bench.back_up()
    bench.at("new", "one")
    unchanged(bench, "site-there", "holds a site already")
    assert bench.run("machine", "list")[1]["items"][0]["armed"] is True


def sealed(bench: Bench, entries: list[tuple[tarfile.TarInfo, bytes]], sums: bytes = b"") -> None:
    """A file that age opens, with these entries: what somebody makes who has the recipient."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in entries:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    who = [pyrage.x25519.Recipient.from_str(bench.vault.recipient)]
    bench.file.write_bytes(pyrage.encrypt(out.getvalue(), who))


def about(**more: object) -> tuple[tarfile.TarInfo, bytes]:
    told = {"created": "2026-11-26T12:00:00+00:00", "goose": "0.1.0", "bundles": [], "format": 1}
    told["migration"] = tables.version("sqlite")
    return tarfile.TarInfo("backup.json"), json.dumps(told | more).encode()


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


FORGED: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "path-traversal": ([about(), (tarfile.TarInfo("home/infra/../../x"), b"x")], "no entry of"),
    "absolute-path": ([about(), (tarfile.TarInfo("/etc/cron.d/x"), b"x")], "no entry of"),
    "another-folder": ([about(), (tarfile.TarInfo("home/store/index.json"), b"x")], "no entry of"),
    "the-state-itself": ([about(), (tarfile.TarInfo("home/state.db"), b"x")], "no entry of"),
    "symlink": ([about(), (link("home/infra/x", tarfile.SYMTYPE), b"")], "is no file"),
    "hard-link": ([about(), (link("home/keys/x", tarfile.LNKTYPE), b"")], "is no file"),
    "device": ([about(), (link("home/keys/x", tarfile.CHRTYPE), b"")], "is no file"),
    "twice": ([about(), *[(tarfile.TarInfo("home/infra/x"), b"x")] * 2], "there twice"),
    "no-sums": ([about(), (tarfile.TarInfo("home/infra/x"), b"x")], "ends before its SHA256SUMS"),
    "wrong-sums": (
        [about(), (tarfile.TarInfo("SHA256SUMS"), b"00  backup.json\n")],
        "does not hold what its SHA256SUMS names",
    ),
    "another-format": ([about(format=2)], "of format 2"),
    "another-version": ([about(migration=1)], "has migration 1"),
    "no-about": ([(tarfile.TarInfo("home/infra/x"), b"x")], "does not begin with"),
    "unknown-table": (
        [about(), (tarfile.TarInfo("state/schema_migrations.00001.jsonl"), b"[]\n")],
        "that this version has not",
    ),
    "no-rows": (
        [about(), (tarfile.TarInfo("state/machines.00001.jsonl"), b"{\n")],
        "is not rows of a table",
    ),
    "other-columns": (
        [about(), (tarfile.TarInfo("state/machines.00001.jsonl"), b'["mac"]\n')],
        "columns of another version",
    ),
    "sql-in-a-column": (
        [about(), (tarfile.TarInfo("state/machines.00001.jsonl"), b'["mac) values (1); --"]\n')],
        "columns of another version",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_backup_is_refused_and_nothing_is_left(lab: Bench, name: str) -> None:
    entries, words = FORGED[name]
    sealed(lab, entries)
    lab.at("new", "")
    unchanged(lab, "bad-backup", words)


def test_what_is_no_tar_is_refused(lab: Bench) -> None:
    who = [pyrage.x25519.Recipient.from_str(lab.vault.recipient)]
    lab.file.write_bytes(pyrage.encrypt(b"no tar at all" * 100, who))
    lab.at("new", "")
    unchanged(lab, "bad-backup", "tar")


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def entries() -> Iterator[Entry]:
        yield Entry("home/infra/x", b"x" * 1_000_000)
        raise BadBackup("it went wrong")

    key = pyrage.x25519.Identity.generate()
    told = About("2026-11-26T12:00:00+00:00", "0.1.0", 9, ())
    with pytest.raises(BadBackup, match="it went wrong"):
        archive.write(tmp_path / "x.age", told, entries(), [key.to_public()])
    assert list(tmp_path.iterdir()) == []


def test_many_rows_are_more_than_one_file(lab: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS", 3)
    for number in range(8):
        assert lab.run("machine", "arm", f"52:54:00:00:00:{number:02x}")[0] == 0
    lab.back_up()
    from bundles.sealing import identity

    with Backup(lab.file, identity.read(lab.vault.identity)) as backup:
        names = [entry.name for entry in backup.entries()]
    assert "state/machines.00003.jsonl" in names and "state/machines.00004.jsonl" not in names
    lab.at("new", "")
    assert lab.restore()[0] == 0
    assert len(lab.run("machine", "list")[1]["items"]) >= 8

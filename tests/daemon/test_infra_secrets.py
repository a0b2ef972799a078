"""Secrets by reference: read for the machine alone, hidden from everyone else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pyrage
import pytest
from pydantic import ValidationError

from bundles.files.document import InvalidDocument
from goosed_daemon import infra
from goosed_daemon.errors import DaemonError, SecretExposed, SecretMissing, SecretUnreadable
from goosed_daemon.infra import secrets, validate
from goosed_daemon.infra.models import SecretRef
from goosed_daemon.infra.secret_text import SecretText
from goosed_daemon.infra.secrets import Secrets
from goosed_daemon.render import kickstart, preseed
from tests.daemon.infra_site import (
    HASH,
    MACHINE_YAML,
    PROFILE_YAML,
    SITE_YAML,
    boot,
    machine,
    profile,
    site,
)
from tests.daemon.web_site import PROFILES, Lab
from tests.parts import part

PASSWORD = "correct horse 'battery' $taple"


@pytest.fixture
def kept(tmp_path: Path) -> Secrets:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return Secrets(folder, tmp_path / "site.agekey", {"GOOSE_SECRET_ROOT": HASH, "DB_DSN": "x"})


def write(where: Secrets, name: str, text: str | bytes, mode: int = 0o600) -> SecretRef:
    path = where.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return ref(file=name)


def ref(**source: str) -> SecretRef:
    return SecretRef.model_validate({"secretFrom": source})


def test_from_a_file_less_its_newline(kept: Secrets) -> None:
    assert kept.value(write(kept, "a", f"{PASSWORD}\n")) == PASSWORD
    assert kept.value(write(kept, "b", PASSWORD)) == PASSWORD
    assert kept.value(write(kept, "c", f"{PASSWORD}\r\n")) == PASSWORD


def test_from_the_environment(kept: Secrets) -> None:
    assert kept.value(ref(env="GOOSE_SECRET_ROOT")) == HASH


def test_age_itself_encrypts_and_we_read(kept: Secrets) -> None:
    identity = pyrage.x25519.Identity.generate()
    kept.identity.write_text(f"# made by a test\n{identity}\n")
    kept.identity.chmod(0o600)
    done = subprocess.run(
        [part("age"), "-a", "-r", str(identity.to_public())],
        input=f"{PASSWORD}\n".encode(),
        capture_output=True,
        check=True,
    )
    assert kept.value(ref(age=done.stdout.decode())) == PASSWORD


def test_we_encrypt_and_age_itself_reads(kept: Secrets, tmp_path: Path) -> None:
    """What a profile may hold is what age calls its format, in either direction."""
    identity = pyrage.x25519.Identity.generate()
    kept.identity.write_text(f"{identity}\n")
    kept.identity.chmod(0o600)
    sealed = pyrage.encrypt(PASSWORD.encode(), [identity.to_public()], armored=True)
    text = sealed.decode()
    assert kept.value(ref(age=text)) == PASSWORD
    done = subprocess.run(
        [part("age"), "-d", "-i", kept.identity], input=sealed, capture_output=True, check=True
    )
    assert done.stdout.decode() == PASSWORD


def test_an_ssh_key_is_an_identity_too(kept: Secrets, tmp_path: Path) -> None:
    keygen = part("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", kept.identity], check=True)
    public = kept.identity.with_name("site.agekey.pub").read_text()
    done = subprocess.run(
        [part("age"), "-a", "-r", public.strip()],
        input=PASSWORD.encode(),
        capture_output=True,
        check=True,
    )
    assert kept.value(ref(age=done.stdout.decode())) == PASSWORD


# What is refused, by name.


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_may_read(kept: Secrets, mode: int) -> None:
    with pytest.raises(SecretExposed, match=f"has mode {mode:04o}: others may read it"):
        kept.value(write(kept, "a", PASSWORD, mode))


def test_what_cannot_be_had(kept: Secrets) -> None:
    with pytest.raises(SecretMissing, match=r"there is no secret file .*/secrets/gone"):
        kept.value(ref(file="gone"))
    with pytest.raises(SecretMissing, match="GOOSE_SECRET_GONE is not set"):
        kept.value(ref(env="GOOSE_SECRET_GONE"))
    (kept.folder / "folder").mkdir()
    with pytest.raises(SecretUnreadable, match=r"cannot be read: Is a directory|not a regular"):
        kept.value(ref(file="folder"))
    with pytest.raises(SecretUnreadable, match="is not text"):
        kept.value(write(kept, "a", b"\xff\xfe"))
    with pytest.raises(SecretUnreadable, match="larger than 65536 bytes"):
        kept.value(write(kept, "a", "x" * 65537))
    for text in ("", "\n", "a\nb", "a\x00b", " a"):
        with pytest.raises(SecretUnreadable, match="from the file a: "):
            kept.value(write(kept, "a", text))


@pytest.mark.timeout(10)
def test_a_fifo_is_not_waited_for(kept: Secrets) -> None:
    os.mkfifo(kept.folder / "fifo", 0o600)
    with pytest.raises(SecretUnreadable, match="not a regular file"):
        kept.value(ref(file="fifo"))


def test_no_name_leads_out_of_the_folder(kept: Secrets, tmp_path: Path) -> None:
    (tmp_path / "token.key").write_text(PASSWORD)
    (tmp_path / "token.key").chmod(0o600)
    for name in ("../token.key", "/etc/shadow", "a/../../token.key"):
        with pytest.raises(ValidationError):
            ref(file=name)
    (kept.folder / "link").symlink_to(tmp_path / "token.key")
    with pytest.raises(SecretUnreadable, match="leads out of"):
        kept.value(ref(file="link"))
    (kept.folder / "loop").symlink_to("loop")
    with pytest.raises(DaemonError):
        kept.value(ref(file="loop"))
    # As Kubernetes mounts them: a link to a link, all within.
    (kept.folder / "..2026").mkdir()
    (kept.folder / "..data").symlink_to("..2026")
    write(kept, "..2026/root", PASSWORD)
    (kept.folder / "root").symlink_to("..data/root")
    assert kept.value(ref(file="root")) == PASSWORD


@pytest.mark.parametrize("name", ["DB_DSN", "PATH", "GOOSE_SECRET_", "S3_SECRET_KEY", "GOOSE_HOME"])
def test_no_other_variable_of_the_daemon_is_read(name: str) -> None:
    with pytest.raises(ValidationError, match="GOOSE_SECRET_"):
        ref(env=name)


def test_age_without_the_identity(kept: Secrets) -> None:
    other = pyrage.x25519.Identity.generate()
    sealed = pyrage.encrypt(PASSWORD.encode(), [other.to_public()], armored=True).decode()
    with pytest.raises(SecretMissing, match=r"site\.agekey: No such file") as caught:
        kept.value(ref(age=sealed))
    assert "key new-recipient site --out" in (caught.value.hint or "")
    kept.identity.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    kept.identity.chmod(0o644)
    with pytest.raises(SecretExposed):
        kept.value(ref(age=sealed))
    kept.identity.chmod(0o600)
    with pytest.raises(SecretUnreadable, match="does not open with"):
        kept.value(ref(age=sealed))


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"file": "a", "env": "GOOSE_SECRET_A"},
        {"age": "aGVsbG8="},
        {"age": "-----BEGIN AGE ENCRYPTED FILE-----\nAA\n-----END AGE ENCRYPTED FILE-----"},
        {"age": "x" * (64 << 10) + "y"},
        {"vault": "a"},
    ],
)
def test_a_source_is_exactly_one_and_of_its_form(source: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ref(**source)


# Rendering.


def context(release: str = "rhel9") -> Any:
    by = {"secretFrom": {"file": "root"}}
    return boot(
        site(rootPasswordHash=by),
        profile(
            release,
            users=[{"name": "ops", "passwordHash": {"secretFrom": {"env": "GOOSE_SECRET_ROOT"}}}],
            commands=["true"],
        ),
        machine(variables={"PASSWORD": {"secretFrom": {"file": "db"}}}),
    )


@pytest.mark.parametrize(
    ("release", "render"), [("rhel9", kickstart.render), ("debian12", preseed.render)]
)
def test_the_machine_is_told_and_people_are_not(release: str, render: Any, kept: Secrets) -> None:
    write(kept, "root", HASH)
    write(kept, "db", PASSWORD)
    plain = boot(
        site(rootPasswordHash=HASH),
        profile(release, users=[{"name": "ops", "passwordHash": HASH}], commands=["true"]),
        machine(variables={"PASSWORD": PASSWORD}),
    )
    assert render(secrets.resolved(context(release), kept)) == render(plain)
    shown = render(secrets.hidden(context(release)))
    assert HASH not in shown
    assert "horse" not in shown
    assert "(secret from the file root)" in shown
    assert HASH not in render(secrets.hidden(plain)), "a hash that is written out is a secret too"


def test_a_reference_is_never_rendered_in_place_of_its_secret() -> None:
    with pytest.raises(TypeError, match="a reference to a secret"):
        kickstart.render(context())
    with pytest.raises(TypeError, match="a reference to a secret"):
        preseed.render(context("debian12"))


def test_what_is_not_a_password_hash_is_refused_and_not_repeated(kept: Secrets) -> None:
    write(kept, "root", "hunter2")
    with pytest.raises(SecretUnreadable) as caught:
        secrets.resolved(context(), kept)
    assert caught.value.message.startswith(
        "Site lab: rootPasswordHash: the secret from the file root: this is not a password hash"
    )
    assert "hunter2" not in str(caught.value)


def test_the_field_is_named_as_it_is_written(kept: Secrets) -> None:
    write(kept, "root", HASH)
    empty = Secrets(kept.folder, kept.identity, {})
    with pytest.raises(SecretMissing, match=r"OSProfile base: users\[0\]\.passwordHash: the var"):
        secrets.resolved(context(), empty)


def test_a_whole_object_shows_no_secret(kept: Secrets) -> None:
    write(kept, "root", HASH)
    write(kept, "db", PASSWORD)
    for shown in (repr(secrets.resolved(context(), kept)), repr(site(rootPasswordHash=HASH))):
        assert HASH not in shown
        assert "horse" not in shown
    assert repr(SecretText(PASSWORD)) == "(not shown)"


def test_validation_names_every_secret_that_cannot_be_had(tmp_path: Path, kept: Secrets) -> None:
    folder = tmp_path / "infra"
    folder.mkdir()
    write(kept, "weak", HASH, 0o644)
    users = "users: [{name: a, passwordHash: {secretFrom: {file: weak}}}]\n"
    variables = "variables: {A: {secretFrom: {env: GOOSE_SECRET_GONE}}}\n"
    documents = [
        SITE_YAML + "rootPasswordHash:\n  secretFrom: {file: gone}\n",
        PROFILE_YAML + users,
        MACHINE_YAML + variables,
    ]
    (folder / "x.yaml").write_text("---\n".join(documents))
    found = infra.load(folder)
    with pytest.raises(InvalidDocument) as caught:
        validate.require_accepted(found, kept)
    said = [str(p).removeprefix(f"{folder}/x.yaml:") for p in caught.value.problems]
    assert [p.split(" ", 2)[:2] for p in said] == [
        ["5:3:", "rootPasswordHash:"],
        ["18:33:", "users[0].passwordHash:"],
        ["25:16:", "variables.A:"],
    ]
    write(kept, "gone", HASH)
    write(kept, "weak", HASH, 0o600)
    validate.require_accepted(
        found, Secrets(kept.folder, kept.identity, {"GOOSE_SECRET_GONE": "x"})
    )


def test_a_parser_that_quotes_what_it_refuses_quotes_no_secret(
    tmp_path: Path, kept: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    monkeypatch.setattr(validate, "check", lambda profile, text: judged.append(text) or [])
    folder = tmp_path / "infra"
    folder.mkdir()
    write(kept, "root", HASH)
    text = SITE_YAML + "rootPasswordHash:\n  secretFrom: {file: root}\n"
    (folder / "x.yaml").write_text(f"{text}---\n{PROFILE_YAML}---\n{MACHINE_YAML}")
    validate.require_accepted(infra.load(folder), kept)
    assert len(judged) == 1
    assert HASH not in judged[0]


# The daemon.


async def test_a_token_is_not_wasted_on_a_secret_that_cannot_be_had(lab: Lab) -> None:
    lab.write_profiles(
        PROFILES.replace("name: lab\n", "name: lab\nrootPasswordHash: {secretFrom: {file: root}}\n")
    )
    lab.arm()
    script = await lab.script()
    assert "there is no secret file" in script
    assert "token=" not in script
    lab.home.secrets.mkdir()
    (lab.home.secrets / "root").write_text(HASH)
    (lab.home.secrets / "root").chmod(0o644)
    assert "others may read it" in await lab.script()
    (lab.home.secrets / "root").chmod(0o600)
    secret = await lab.token()
    (lab.home.secrets / "root").rename(lab.home.secrets / "gone")
    response = await lab.get(f"/v1/render/kickstart?token={secret}")
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "secret-missing"
    (lab.home.secrets / "gone").rename(lab.home.secrets / "root")
    response = await lab.get(f"/v1/render/kickstart?token={secret}")
    assert response.status == 200, "a failure of ours costs no token"
    assert f"rootpw --iscrypted '{HASH}'" in await response.text()

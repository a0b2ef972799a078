"""What commands share: the site's folder, its trust root, store and policy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from goosed_daemon.home import Home

if TYPE_CHECKING:
    from bundles.sealing.agefile import Unwrapper
    from bundles.signing.policy import Policy
    from bundles.signing.trust import TrustRoot
    from bundles.signing.truststore import TrustStore
    from bundles.sources.url import Downloads
    from bundles.store import Store
    from goosectl.witness import Witness
    from goosed_daemon.infra.secrets import Secrets


def home() -> Home:
    """The site's folder."""
    return Home.find()


def store() -> Store:
    """The site's store: a folder of its home, or the bucket that `S3_*` name."""
    from bundles.store import open_store
    from goosed_daemon.settings import Settings

    return open_store(Settings.load().store())


def secrets() -> Secrets:
    """Where the site keeps the secrets that its profiles name."""
    from goosed_daemon.infra.secrets import Secrets
    from goosed_daemon.settings import Settings

    return Secrets.of(Settings.load())


def trust_store() -> TrustStore:
    """The site's trust roots."""
    from bundles.signing.truststore import TrustStore

    return TrustStore(home().trust)


def trust_root() -> TrustRoot:
    """The site's trust root. Raises `NoTrustRoot`."""
    return trust_store().root()


def witness() -> Witness:
    """Who looks on with the site's trust root, where it has one, and refuses no signer."""
    from bundles.signing.truststore import NoTrustRoot
    from goosectl.witness import Witness

    try:
        return Witness(trust_root())
    except NoTrustRoot:
        return Witness(None)


def policy(of: Store, overrides: frozenset[str]) -> Policy:
    """What the site accepts now, less what a person overruled."""
    from bundles.signing.policy import Policy

    refs = of.refs()
    held = frozenset(ref.root for ref in refs.bundles)
    return Policy(datetime.now(UTC), site_id, refs.sequences, overrides, held)


def lenient_policy() -> Policy:
    """Refuses nothing that an import would, but remarks on it."""
    from bundles.signing.policy import OVERRIDABLE, Policy

    return Policy(datetime.now(UTC), site_id, None, frozenset(OVERRIDABLE))


def identities(paths: Sequence[Path] | None) -> list[Unwrapper]:
    """The identities in files that a person named; a passphrase is asked for on the terminal.
    Raises what `identity.read` raises."""
    from bundles.sealing import identity
    from goosectl import ask

    return [key for path in paths or () for key in identity.read(path, ask.passphrase_of)]


def downloads() -> Downloads:
    """The cache of downloaded inputs: `goose/downloads` in the user's cache folder (XDG Base
    Directory Specification, `XDG_CACHE_HOME`). Who fetches from registries is in the files of
    containers-auth.json(5) and of Docker."""
    from bundles.sources import credentials
    from bundles.sources.url import Downloads

    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    docker = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    logins = [Path(docker) / "config.json"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        logins.insert(0, Path(runtime) / "containers" / "auth.json")
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        logins = [Path(named)]
    return Downloads(cache / "goose" / "downloads", credentials=credentials.of_files(logins))


def site_id() -> str | None:
    """The name of the `Site` among the infra profiles."""
    from goosed_daemon import infra

    folder = home().infra
    if not folder.is_dir():
        return None
    return infra.load(folder).site.name

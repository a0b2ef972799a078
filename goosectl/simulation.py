"""What `machine why` and `infra simulate` share: asking as a machine would, leaving no trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goosectl import operator, site

if TYPE_CHECKING:
    from goosed_daemon.infra import Infra
    from goosed_daemon.simulate import Simulation


def run(
    mac: str, uuid: str | None = None, serial: str | None = None, infra: Infra | None = None
) -> Simulation:
    """The answer that a machine with these identities would get from this site's daemon, with the
    profiles of `infra`, or else the site's."""
    from bundles.catalog import Catalog
    from goosed_daemon import token_key
    from goosed_daemon.errors import MachineUnknown
    from goosed_daemon.settings import Settings
    from goosed_daemon.simulate import simulate
    from goosed_daemon.tokens import Tokens

    settings = Settings.load()
    infra = infra or operator.infra()
    if infra is None:
        raise MachineUnknown(
            "this site has no profiles", hint=f"write them into {settings.home.infra}"
        )
    base = settings.public_url or infra.site.url or settings.url()
    path = settings.home.token_key
    # A site without a key has issued nothing yet, and must not get one by being looked at.
    key = token_key.load(path) if path.exists() else token_key.TokenKey(bytes(token_key.SIZE))
    with operator.state_to_look_at() as state:
        tokens = Tokens(state, key, settings.token_ttl)
        return simulate(
            infra, Catalog(site.store()), tokens, operator.now(), base, settings, mac, uuid, serial
        )


def verb(found: Simulation) -> str:
    """What the machine would do, after ``would``."""
    return "INSTALL" if found.outcome == "install" else "boot its disk"

"""What `bundle build --since` and `bundle verify --base` are given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from goosectl import site
from goosectl.bundle import receipt

if TYPE_CHECKING:
    from bundles.format.statement import Statement
    from bundles.making.volumebase import BaseVolumes
    from bundles.reading.base import Base
    from bundles.site.check import Known


def base(paths: list[Path], signers: list[str] | None, draft: Statement) -> Base:
    """What the site has: by its receipt, which one of `signers` must have signed, or by the
    volumes of the bundle that it was sent."""
    if found := receipt.only(paths):
        return receipt.base(found, signers, draft)
    return volumes(paths).base()


def volumes(paths: Sequence[Path]) -> BaseVolumes:
    """The volumes of a base. Whoever signed them: nothing rests on it."""
    from bundles.making.volumebase import BaseVolumes
    from bundles.signing.policy import OVERRIDABLE, Policy

    policy = Policy(datetime.now(UTC), lambda: None, None, frozenset(OVERRIDABLE))
    return BaseVolumes(paths, site.witness(), policy)


def known(paths: Sequence[Path] | None) -> Known:
    """What a delta builds on: in the volumes at `paths`, or in the site's store."""
    from bundles.site.stored_base import StoredBase

    return volumes(paths) if paths else StoredBase(site.store())

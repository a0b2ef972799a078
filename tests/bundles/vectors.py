"""The vectors of tests/vectors as tests meet them: each with the site that judges it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundles.progress import SILENT
from bundles.sealing.identity import X25519Key
from bundles.signing import keys
from bundles.signing.policy import Policy
from bundles.signing.trust import TrustedSigner, TrustRoot
from bundles.site.check import check_volumes
from bundles.site.ingest import import_volumes
from bundles.store.local import LocalStore
from tests.vectors.forge import Key

FOLDER = Path(__file__).parents[1] / "vectors"
DECLARED: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_bytes())
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Vector:
    """One case of `cases.json`."""

    declared: dict[str, Any]

    @property
    def path(self) -> Path:
        """The volume, open or sealed."""
        [found] = (FOLDER / "volumes").glob(f"{self.declared['name']}.goose.tar*")
        return found

    @property
    def root(self) -> TrustRoot:
        """The trust root of the case's site."""
        site = self.declared["site"]
        release = {"name": "release", "key": Key("release").openssh}
        signers = [
            TrustedSigner(
                signer["name"],
                keys.parse_public(signer["key"])[0],
                **({"namespaces": tuple(n)} if (n := signer.get("namespaces")) else {}),
                valid_after=signer.get("validAfter"),
                valid_before=signer.get("validBefore"),
            )
            for signer in site.get("signers", [release])
        ]
        return TrustRoot(1, site.get("threshold", 1), tuple(signers))

    @property
    def policy(self) -> Policy:
        """What the case's site accepts."""
        site = self.declared["site"]
        sequences = {"vector": site["sequence"]} if "sequence" in site else {}
        return Policy(NOW, lambda: site.get("id", "site-a"), sequences)

    def check(self) -> None:
        """Raises the refusal of a reader without a store, if it has one."""
        checked = check_volumes([self.path], self.root, self.policy, SILENT, [identity()])
        checked.raise_faults()
        for remark in checked.remarks:  # what a reader without a site tells, and an import refuses
            raise AssertionError(remark)

    def import_(self, store: LocalStore) -> None:
        """Raises the refusal of an import, if it has one."""
        import_volumes([self.path], store, self.root, self.policy, SILENT, [identity()])


def identity() -> X25519Key:
    """The identity that the sealed ones are for: with the mode that git gives its file, which
    `identity.read` refuses to read."""
    lines = (FOLDER / "identity.agekey").read_text("ascii").splitlines()
    return X25519Key(lines[-1])


VECTORS = [Vector(declared) for declared in DECLARED]

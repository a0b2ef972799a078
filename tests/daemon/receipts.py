"""What a receipt is made of, where only the state is at hand."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.signing.keys import FileSigner
from bundles.site.install_receipt import Artifact
from bundles.store.protocol import BundleRef
from goosed_daemon.receipts import MadeOf

SIGNER = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ZEROS = "sha256:" + "0" * 64
MADE = MadeOf(
    site="lab",
    machine="web1",
    installer="kickstart",
    profile="rhel9-base",
    profile_digest=ZEROS,
    bundle=BundleRef("site-base", "1.0", 1, ZEROS, 2, ZEROS, (), "2026-11-24T11:00:00Z", True),
    artifacts=(Artifact("rhel9/initrd.img", ZEROS, 7), Artifact("rhel9/vmlinuz", ZEROS, 6)),
)

"""An install receipt as people see it, and as scripts do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from goosectl import sizes

if TYPE_CHECKING:
    from bundles.site.install_receipt import InstallReceipt


def value(found: InstallReceipt) -> dict[str, Any]:
    """The document, for scripts."""
    told: dict[str, Any] = json.loads(found.encode())
    return told


def lines(found: InstallReceipt) -> Iterator[str]:
    """A line for each thing that it says, for people."""
    of = found.origin
    yield f"{of.machine}  {of.mac}  at site {of.site}"
    for label, text in (
        ("bundle", f"{of.bundle} {of.version}, imported {of.imported}"),
        ("", f"statement {of.statement}"),
        ("", f"root      {of.root}"),
        ("profile", f"{of.profile}, {of.profile_digest}"),
        (of.installer, of.rendered),
        ("token", f"{of.token}, event {of.event} of the audit log"),
        ("", f"issued {of.issued} to {of.issued_to}"),
        ("", f"used   {of.used} by {of.used_by}"),
        ("workflow", f"{found.workflow}, attempt {found.attempt}"),
        ("armed", found.armed),
        ("ready", found.ready),
    ):
        yield f"  {label:12}{text}".rstrip()
    for artifact in of.artifacts:
        yield f"  {artifact.digest}  {sizes.text(artifact.size):>9}  {artifact.path}"
    if of.imported > of.issued:
        yield (
            f"  {of.bundle} {of.version} came after the boot token was issued: the machine may have"
            " booted the kernel of the version before"
        )

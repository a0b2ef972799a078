"""All vectors: each a volume with at most one fault, which its name says.

A case's site trusts the key `release` alone, has the id `site-a`, stands at 2026-11-24T12:00:00Z
and has imported nothing, unless the case says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from tests.vectors.accepted import accepted
from tests.vectors.case import Case
from tests.vectors.documents import document_faults, index_faults, path_faults
from tests.vectors.entries import blob_faults, end_faults, entry_faults
from tests.vectors.heads import layout_faults, policy_faults, signature_faults, statement_faults

MAKERS = (
    accepted,
    layout_faults,
    signature_faults,
    statement_faults,
    policy_faults,
    document_faults,
    path_faults,
    index_faults,
    entry_faults,
    blob_faults,
    end_faults,
)


def all_cases() -> list[Case]:
    """The cases, their names with what is expected in front."""
    found = [case for maker in MAKERS for case in maker()]
    return [replace(c, name=f"{'refuse' if c.check else 'accept'}-{c.name}") for c in found]

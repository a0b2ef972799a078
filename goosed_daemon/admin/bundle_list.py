"""What was imported."""

from __future__ import annotations

from typing import Any

from goosed_daemon.admin import cursor
from goosed_daemon.admin.models import Bundle, BundlePage, BundleQuery
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role


def _list(of: Context, query: BundleQuery) -> BundlePage:
    after = cursor.decode(query.cursor, str, int, str) or ("", -1, "")
    refs = sorted(
        of.catalog().refs().bundles, key=lambda ref: (ref.name, ref.sequence, ref.version)
    )
    found = [
        ref
        for ref in refs
        if (ref.name, ref.sequence, ref.version) > after and query.name in (None, ref.name)
    ]
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        following = cursor.encode(shown[-1].name, shown[-1].sequence, shown[-1].version)
    return BundlePage(
        items=[
            Bundle(
                name=ref.name,
                version=ref.version,
                sequence=ref.sequence,
                current=ref.current,
                pinned=ref.pinned,
                imported=ref.imported,
                root=ref.root,
                overruled=list(ref.overruled),
            )
            for ref in shown
        ],
        next=following,
    )


LIST = Operation(
    "GET", "/v1/bundles", Role.VIEWER, "List imported bundles", BundlePage, _list,
    query=BundleQuery,
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST,)

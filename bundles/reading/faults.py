"""Several faults as one refusal: damaged media are read to their ends, and all is told."""

from __future__ import annotations

from collections.abc import Sequence

from bundles.errors import GooseError

_SHOWN = 20  # in the message; the details have all


class DamagedVolumes(GooseError):
    """Several faults were found in the volumes of a bundle."""

    code = "damaged-volumes"
    default_hint = "copy these volumes again; if it stays, ask for a repair bundle with --request"


def raise_any(faults: Sequence[GooseError]) -> None:
    """Raises the one fault that was found, or `DamagedVolumes` naming all; nothing for none."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        lines = [fault.message for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"and {len(faults) - _SHOWN} more, which --json lists")
        raise DamagedVolumes(
            f"{len(faults)} faults:\n  " + "\n  ".join(lines),
            faults=[{"code": f.code, "message": f.message, **f.details} for f in faults],
        )

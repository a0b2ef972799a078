"""Writes `volumes/` and `cases.json` of this folder: the same bytes every time, for the keys are
derived from their names. Only sealed volumes, in which age puts random bytes, are kept when they
are there.

    python -m tests.vectors.generate
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.vectors import sealed
from tests.vectors.cases import all_cases

HERE = Path(__file__).parent
VOLUMES = HERE / "volumes"


def main() -> None:
    VOLUMES.mkdir(exist_ok=True)
    plain, closed = all_cases(), sealed.all_cases()
    named = {f"{case.name}.goose.tar" for case in plain}
    named |= {f"{case.name}.goose.tar.age" for case in closed}
    for old in VOLUMES.iterdir():
        if old.name not in named:
            old.unlink()
    for case in plain:
        (VOLUMES / f"{case.name}.goose.tar").write_bytes(case.data)
    for case in closed:
        path = VOLUMES / f"{case.name}.goose.tar.age"
        if not path.exists():
            path.write_bytes(case.data)
    listed = [case.declared() for case in (*plain, *closed)]
    (HERE / "cases.json").write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(listed)} vectors")


if __name__ == "__main__":
    main()

"""goosectl doctor: what is wrong at this site, and how to mend it."""

from __future__ import annotations

import typer

from goosectl import output

app = typer.Typer(help="Look for what is wrong at this site, and say how to mend it.")

_MARKS = {"good": "ok    ", "remark": "note  ", "wrong": "WRONG "}


@app.command()
def doctor() -> None:
    """Look at folder, clock, settings, space, keys, trust, store, state, profiles and port.

    Changes nothing. Exit code 1 when something is wrong; remarks are no fault.

    Example: goosectl doctor
    """
    from datetime import UTC, datetime

    from goosectl.checkup import WRONG, examine

    out = output.get()
    findings = list(examine(datetime.now(UTC)))
    wrong = [finding for finding in findings if finding.state == WRONG]
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]}{finding.check:9} {finding.text}")
        if finding.hint and finding.state != "good":
            lines.append(f"{'':16}{finding.hint}")
    lines.append(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    out.result(
        {"wrong": len(wrong), "findings": [finding.row() for finding in findings]},
        text="\n".join(lines),
    )
    if wrong:
        raise typer.Exit(1)

"""When the daemon calls itself ready."""

from __future__ import annotations

from goosed_daemon.state.sqlite import SqliteState
from tests.daemon.web_site import Lab


async def test_a_state_that_takes_no_changes_is_not_ready(lab: Lab) -> None:
    assert (await lab.get("/readyz")).status == 200
    refuse_changes(lab, True)
    response = await lab.get("/readyz")
    assert response.status == 503
    assert await response.json() == {
        "ready": False,
        "checks": {"state": "state-failed", "store": "ok", "profiles": "ok"},
    }
    assert (await lab.get("/healthz")).status == 200
    refuse_changes(lab, False)
    assert (await lab.get("/readyz")).status == 200


async def test_to_look_changes_nothing(lab: Lab) -> None:
    lab.arm()
    await lab.get("/readyz")  # its connection exists from here on
    before = changes(lab)
    assert (await lab.get("/readyz")).status == 200
    assert changes(lab) == before


def refuse_changes(lab: Lab, on: bool) -> None:
    """As SQLite does on a disk that was mounted again read-only after an error."""
    assert isinstance(lab.deps.state, SqliteState)
    for connection in lab.deps.state._connections:
        connection.execute(f"pragma query_only = {on:d}")


def changes(lab: Lab) -> int:
    assert isinstance(lab.deps.state, SqliteState)
    return sum(connection.total_changes for connection in lab.deps.state._connections)

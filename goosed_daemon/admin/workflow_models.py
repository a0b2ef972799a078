"""What operations on workflows are asked with, and what they answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from goosed_daemon.admin.models import Answer, Page, PageQuery, Time


class WorkflowQuery(PageQuery):
    """Which workflows."""

    state: Literal["running", "ready", "failed", "cancelled"] | None = Field(
        None, description="Only these: running, ready, failed or cancelled."
    )


class WorkflowRow(Answer):
    """Where a machine is, and what it waits for."""

    workflow: str
    mac: str
    machine: str | None
    profile: str | None
    trace: str = Field(description="W3C trace id of the installation.")
    state: str = Field(description="running, ready, failed or cancelled.")
    step: str
    attempt: int
    since: Time
    deadline: Time | None = Field(description="When being in this step becomes a failure.")
    reason: str | None
    words: str = Field(description="What it waits for, or why not.")
    position: int | None = Field(
        None, description="In the queue of machines that wait for their turn to install."
    )


class WorkflowPage(Page):
    """Where every machine is, by MAC."""

    items: list[WorkflowRow]


class WorkflowPhase(Answer):
    """What the installer said of itself."""

    phase: str
    at: Time


class WorkflowStep(Answer):
    """A step of one attempt, and how long it took."""

    attempt: int
    step: str
    began_at: Time
    seconds: float
    outcome: str = Field(description="done, failed, timeout, cancelled, restarted or running.")
    median_seconds: float | None = Field(description="Of other machines of the profile.")
    odd: bool = Field(description="Whether it takes far longer than it does elsewhere.")
    phases: list[WorkflowPhase]


class WorkflowOdd(Answer):
    """The step that lost most against the fleet."""

    attempt: int
    step: str


class WorkflowFact(Answer):
    """Something that was seen of the machine."""

    at: Time
    step: str
    token: str | None = Field(description="Id of the boot token that began the attempt.")
    detail: dict[str, str]


class WorkflowDetail(WorkflowRow):
    """A machine's installation, step by step."""

    began_at: Time
    installer: str | None
    steps: list[WorkflowStep]
    odd: WorkflowOdd | None
    facts: list[WorkflowFact] = Field(description="All that was seen, in the order of time.")
    remarks: list[str] = Field([], description="What a person should know beside it.")

"""Which status a task, an order, an assignment and an execution may go to from which.

They move together: `MOVES` says, for each event, what each of the four becomes (schema.md,
section 3), and the rules below say whether each single step is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autovibe.domains.work.errors import InvalidTransitionError
from autovibe.kernel.transitions import Rule, decide

TASK_RULES: Final = (
    Rule(
        ("completed", "cancelled"),
        ("pending", "queued", "in_progress", "blocked", "completed", "failed", "cancelled"),
        "a finished task is forked, not started again",
        allowed=False,
    ),
    Rule(("pending",), ("queued",), "it was started"),
    Rule(("pending", "queued", "in_progress"), ("blocked",), "it waits for something"),
    Rule(("blocked",), ("queued",), "it was resumed"),
    Rule(("queued",), ("in_progress",), "a worker claimed it"),
    Rule(("in_progress",), ("queued",), "it is tried again"),
    Rule(("in_progress",), ("completed",), "its execution completed"),
    Rule(("in_progress", "queued"), ("failed",), "no retries are left, or nobody claimed it"),
    Rule(("failed",), ("queued",), "it is retried by hand"),
    Rule(
        ("pending", "queued", "in_progress", "blocked", "failed"),
        ("cancelled",),
        "it was cancelled",
    ),
)

ORDER_RULES: Final = (
    Rule(
        ("completed", "expired"),
        ("pending", "claimed", "completed", "failed", "expired"),
        "a finished order is final",
        allowed=False,
    ),
    Rule(("pending",), ("claimed",), "a worker claimed it"),
    Rule(("claimed",), ("pending",), "it was paused, or is tried again"),
    Rule(("claimed",), ("completed",), "its execution completed"),
    Rule(("claimed", "pending"), ("failed",), "no retries are left, or its task was cancelled"),
    Rule(("pending",), ("expired",), "nobody claimed it in time"),
    Rule(("failed",), ("pending",), "it is retried by hand"),
)

ASSIGNMENT_RULES: Final = (
    Rule(("active",), ("completed", "failed", "timeout"), "its execution ended"),
    Rule(("failed", "timeout"), ("active",), "the same worker claimed the order again"),
)

EXECUTION_RULES: Final = (
    Rule(("running",), ("completed", "failed", "timeout", "cancelled"), "the attempt ended"),
)

_RULES: Final = {
    "task": TASK_RULES,
    "work order": ORDER_RULES,
    "assignment": ASSIGNMENT_RULES,
    "execution": EXECUTION_RULES,
}


@dataclass(frozen=True)
class Move:
    """What order, assignment, execution and task become on one event."""

    order: str
    assignment: str
    execution: str
    task: str


MOVES: Final = {
    "completed": Move("completed", "completed", "completed", "completed"),
    "retried": Move("pending", "failed", "failed", "queued"),
    "failed": Move("failed", "failed", "failed", "failed"),
    "timeout_retried": Move("pending", "timeout", "timeout", "queued"),
    "timeout": Move("failed", "timeout", "timeout", "failed"),
    "paused": Move("pending", "failed", "cancelled", "blocked"),
}


def check_transition(what: str, current: str, target: str) -> None:
    """Refuse a change of status that no rule allows.

    Args:
        what: task, work order, assignment or execution.
        current: its status now.
        target: the wanted status.

    Raises:
        InvalidTransitionError: the pair is not allowed.
    """
    verdict = decide(_RULES[what], current, target)
    if not verdict.allowed:
        raise InvalidTransitionError(
            f"The {what} is {current} and cannot become {target}: {verdict.why}.",
            what=what,
            current=current,
            target=target,
        )

from __future__ import annotations

import itertools

import pytest

from autovibe.domains.work.errors import InvalidTransitionError
from autovibe.domains.work.models import (
    AssignmentStatus,
    ExecutionStatus,
    TaskStatus,
    WorkOrderStatus,
)
from autovibe.domains.work.transitions import MOVES, Move, check_transition

ALLOWED = {
    "task": {
        "pending": {"queued", "blocked", "cancelled"},
        "queued": {"in_progress", "blocked", "failed", "cancelled"},
        "in_progress": {"queued", "completed", "failed", "blocked", "cancelled"},
        "blocked": {"queued", "cancelled"},
        "failed": {"queued", "cancelled"},
        "completed": set(),
        "cancelled": set(),
    },
    "work order": {
        "pending": {"claimed", "failed", "expired"},
        "claimed": {"pending", "completed", "failed"},
        "failed": {"pending"},
        "completed": set(),
        "expired": set(),
    },
    "assignment": {
        "active": {"completed", "failed", "timeout"},
        "failed": {"active"},
        "timeout": {"active"},
        "completed": set(),
    },
    "execution": {
        "running": {"completed", "failed", "timeout", "cancelled"},
        "completed": set(),
        "failed": set(),
        "timeout": set(),
        "cancelled": set(),
    },
}
STATUSES = {
    "task": TaskStatus,
    "work order": WorkOrderStatus,
    "assignment": AssignmentStatus,
    "execution": ExecutionStatus,
}
PAIRS = [
    (what, current, target)
    for what, table in ALLOWED.items()
    for current, target in itertools.product(table, table)
]


@pytest.mark.parametrize("what", ALLOWED)
def test_each_table_speaks_of_every_status(what: str):
    assert set(ALLOWED[what]) == {str(status) for status in STATUSES[what]}


@pytest.mark.req("S3-30", "S3-41")
@pytest.mark.parametrize(("what", "current", "target"), PAIRS)
def test_a_status_changes_only_as_its_table_says(what: str, current: str, target: str):
    if target in ALLOWED[what][current]:
        check_transition(what, current, target)
        return
    with pytest.raises(InvalidTransitionError) as refused:
        check_transition(what, current, target)
    assert refused.value.params == {"what": what, "current": current, "target": target}


def test_the_moves_are_those_of_the_schema_and_every_single_step_is_allowed():
    assert {
        "completed": Move("completed", "completed", "completed", "completed"),
        "retried": Move("pending", "failed", "failed", "queued"),
        "failed": Move("failed", "failed", "failed", "failed"),
        "timeout_retried": Move("pending", "timeout", "timeout", "queued"),
        "timeout": Move("failed", "timeout", "timeout", "failed"),
        "paused": Move("pending", "failed", "cancelled", "blocked"),
    } == MOVES
    for move in MOVES.values():
        check_transition("work order", "claimed", move.order)
        check_transition("assignment", "active", move.assignment)
        check_transition("execution", "running", move.execution)
        check_transition("task", "in_progress", move.task)

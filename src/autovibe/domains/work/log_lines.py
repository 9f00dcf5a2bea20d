"""Reading logs: the next lines that are wanted, behind a cursor, in bounded pages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.messages import log_message
from autovibe.domains.work.models import Execution, ExecutionLog, ExecutionStatus, Task, TaskStatus
from autovibe.domains.work.repository import logs
from autovibe.domains.work.repository.logs import LineFilter
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import logs_pb2, work_pb2

PAGE_CHARS: Final = 256 * 1024
"""Characters of the lines of one page, but for a single longer line."""
_OPEN: Final = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.IN_PROGRESS})
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LEAST: Final = "INFO"

Wanted = (
    work_pb2.ListTaskLogsRequest
    | logs_pb2.StreamTaskLogsRequest
    | logs_pb2.StreamExecutionLogsRequest
    | logs_pb2.ListExecutionLogsRequest
)


def log_topic(task_id: uuid.UUID) -> str:
    """Return the bell that rings when a task has logged something, or has ended."""
    return f"log:{task_id}"


def task_has_ended(task: Task) -> bool:
    """Return whether nothing more is logged for a task before it is started again."""
    return task.status not in _OPEN


def execution_has_ended(execution: Execution) -> bool:
    """Return whether an execution has ended; its last lines may be on their way."""
    return execution.status != ExecutionStatus.RUNNING


async def task_lines(
    tx: ReadTx | WriteTx, task: Task, request: Wanted, size: int
) -> tuple[list[work_pb2.LogEntry], str, bool]:
    """Return the next lines of a task's executions, the cursor behind them, whether there are more.

    The cursor names the attempt and the last line that was looked at.
    """
    wanted = line_filter(request)
    attempt, seq = (int(part) for part in (request.cursor or "0:0").split(":"))
    entries: list[work_pb2.LogEntry] = []
    room = PAGE_CHARS
    for execution in await repository.executions_of(tx, task.id):
        if execution.attempt < attempt:
            continue
        after = seq if execution.attempt == attempt else 0
        rows, reached = await logs.lines_after(tx, execution.id, after, size - len(entries), wanted)
        fitting = _fitting(rows, room, at_least_one=not entries)
        entries += [log_message(row) for row in rows[:fitting]]
        room -= sum(len(row.message) for row in rows[:fitting])
        if fitting < len(rows):
            if fitting:
                attempt, seq = execution.attempt, rows[fitting - 1].seq
            return entries, f"{attempt}:{seq}", True
        if reached:
            attempt, seq = execution.attempt, reached
        if len(entries) >= size:
            return entries, f"{attempt}:{seq}", True
    return entries, f"{attempt}:{seq}", False


async def execution_lines(
    tx: ReadTx, execution: Execution, request: Wanted, size: int
) -> tuple[list[work_pb2.LogEntry], str, bool]:
    """Return the next lines of an execution, the cursor behind them, whether there are more."""
    rows, reached = await logs.lines_after(
        tx, execution.id, int(request.cursor or 0), size, line_filter(request)
    )
    fitting = _fitting(rows, PAGE_CHARS, at_least_one=True)
    if fitting < len(rows):
        reached = rows[fitting - 1].seq
    more = fitting < len(rows) or len(rows) >= size
    return [log_message(row) for row in rows[:fitting]], str(reached), more


def line_filter(request: Wanted) -> LineFilter:
    """Return which lines a request wants."""
    least = _LEVELS.index(request.level or _LEAST)
    return LineFilter(
        levels=_LEVELS[least:] if least else (),
        kinds=tuple(request.kinds),
        events=tuple(request.events),
        stream=request.stream,
        search=request.search,
        since=from_timestamp(request.since) if request.HasField("since") else None,
    )


def _fitting(rows: Sequence[ExecutionLog], room: int, *, at_least_one: bool) -> int:
    """Return how many of some lines have room."""
    for count, row in enumerate(rows):
        room -= len(row.message)
        if room < 0 and (count or not at_least_one):
            return count
    return len(rows)

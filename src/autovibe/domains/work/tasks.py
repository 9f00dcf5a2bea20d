"""Finding tasks."""

from __future__ import annotations

import uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.errors import TaskNotFoundError
from autovibe.domains.work.models import ExecutionStatus, Task
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range


async def get_task(tx: ReadTx | WriteTx, id_or_prefix: str) -> Task:
    """Return one task by its id or the beginning of it.

    Raises:
        TaskNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await repository.find_tasks_between(tx, *id_range(id_or_prefix, "task"))
    if not found:
        raise TaskNotFoundError(
            f"There is no task {id_or_prefix}; see `autovibe task list`.", task_id=id_or_prefix
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several tasks begin with {id_or_prefix}; give more of the id.", field="task_id"
        )
    return found[0]


async def running_machine(tx: ReadTx | WriteTx, task_id: uuid.UUID) -> uuid.UUID | None:
    """Return the machine that works on a task now, None while none does."""
    found = await machines_of_task(tx, task_id, running=True)
    return found[-1] if found else None


async def machines_of_task(
    tx: ReadTx | WriteTx, task_id: uuid.UUID, *, running: bool = False
) -> list[uuid.UUID]:
    """Return the machines that have worked on a task, the newest last.

    Args:
        tx: the transaction.
        task_id: the task.
        running: only those of attempts that run now.
    """
    return [
        execution.machine_id
        for execution in await repository.executions_of(tx, task_id)
        if execution.machine_id is not None
        and (not running or execution.status == ExecutionStatus.RUNNING)
    ]

"""Finding tasks."""

from __future__ import annotations

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.errors import TaskNotFoundError
from autovibe.domains.work.models import Task
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

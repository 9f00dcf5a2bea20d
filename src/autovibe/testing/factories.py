"""Rows for tests: each function adds one, with sensible values for all that is not given.

Models are private to their domains, so they are found by table name, and what comes back is typed
as `Any`: an instance of the model, flushed, with its id.
"""

from __future__ import annotations

import itertools
import uuid
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final

from autovibe.db import WriteTx
from autovibe.db.base import Base
from autovibe.db.discovery import load_models

_numbers = itertools.count(1)
_ZERO_HASH: Final = "0" * 64


@cache
def model(table: str) -> type[Any]:
    """Return the model of a table."""
    load_models()
    for mapper in Base.registry.mappers:
        if mapper.local_table.name == table:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # every table has a name
            return mapper.class_
    raise LookupError(f"no model has the table {table!r}")


async def add(tx: WriteTx, table: str, **values: Any) -> Any:
    """Add one row of any table and flush it."""
    instance = model(table)(**values)
    tx.session.add(instance)
    await tx.session.flush()  # the row must exist before others name it
    return instance


async def add_user(tx: WriteTx, **values: Any) -> Any:
    """Add a developer."""
    number = next(_numbers)
    defaults = {
        "username": f"user{number}",
        "email": f"user{number}@example.org",
        "hashed_password": "not a hash",
        "role": "developer",
    }
    return await add(tx, "users", **{**defaults, **values})


async def add_project(tx: WriteTx, **values: Any) -> Any:
    """Add an active project with greediness 0.5."""
    defaults = {"name": f"project-{next(_numbers)}", "greediness": Decimal("0.5")}
    return await add(tx, "projects", **{**defaults, **values})


async def add_machine(tx: WriteTx, project_id: uuid.UUID | None, **values: Any) -> Any:
    """Add a machine that is spawning in the sandbox."""
    defaults = {"machine_type": "claude_code", "hypervisor": "sandbox"}
    return await add(tx, "intelligent_machines", project_id=project_id, **{**defaults, **values})


async def add_checkpoint(
    tx: WriteTx, project_id: uuid.UUID, parent: Any | None = None, **values: Any
) -> Any:
    """Add a checkpoint: the genesis, or a child of `parent` with depth and jump pointers set."""
    own_id = values.pop("id", None) or uuid.uuid4()
    defaults: dict[str, Any] = {
        "checkpoint_type": "genesis" if parent is None else "automatic",
        "manifest_root": _ZERO_HASH,
        "manifest_file_count": 0,
        "file_manifest": {"files": [], "deleted": [], "relative_to": None, "truncated": False},
        "depth": 0,
        "jump_checkpoint_id": own_id,
        "jump_depth": 0,
    }
    if parent is not None:
        defaults |= {"parent_checkpoint_id": parent.id, "depth": parent.depth + 1}
        defaults |= await _jump(tx, parent)
    return await add(tx, "checkpoints", project_id=project_id, id=own_id, **{**defaults, **values})


async def _jump(tx: WriteTx, parent: Any) -> dict[str, Any]:
    """Return the far ancestor of a child of `parent`.

    Source: Myers, "An applicative random-access stack" (1983): the pointers form a skew-binary
    number, so that any ancestor is reached in a logarithmic number of steps.
    """
    near: Any = await tx.session.get_one(model("checkpoints"), parent.jump_checkpoint_id)
    if parent.depth - near.depth == near.depth - near.jump_depth:
        return {"jump_checkpoint_id": near.jump_checkpoint_id, "jump_depth": near.jump_depth}
    return {"jump_checkpoint_id": parent.id, "jump_depth": parent.depth}


async def add_worker(tx: WriteTx, **values: Any) -> Any:
    """Add an idle worker for features."""
    defaults = {"name": f"worker-{next(_numbers)}", "worker_type": "feature", "status": "idle"}
    return await add(tx, "workers", **{**defaults, **values})


async def add_task(tx: WriteTx, project_id: uuid.UUID | None, **values: Any) -> Any:
    """Add a pending, autonomous feature task."""
    number = next(_numbers)
    defaults = {
        "title": f"task {number}",
        "description": f"Do task {number}.",
        "task_type": "feature",
        "permission_level": "autonomous",
    }
    return await add(tx, "tasks", project_id=project_id, **{**defaults, **values})


async def add_order(tx: WriteTx, task_id: uuid.UUID, **values: Any) -> Any:
    """Add a pending work order in the queue `default`."""
    defaults: dict[str, Any] = {"queue_name": "default", "payload": {}}
    return await add(tx, "work_orders", task_id=task_id, **{**defaults, **values})


async def add_execution(
    tx: WriteTx, task_id: uuid.UUID, worker_id: uuid.UUID, **values: Any
) -> Any:
    """Add a running first attempt."""
    defaults = {"correlation_id": uuid.uuid4().hex}
    return await add(
        tx, "executions", task_id=task_id, worker_id=worker_id, **{**defaults, **values}
    )


async def add_budget(tx: WriteTx, project_id: uuid.UUID, **values: Any) -> Any:
    """Add a total money budget of 10 CAD of a project, or of a task when `task_id` is given."""
    defaults = {
        "resource_type": "money",
        "budget_period": "total",
        "period_start": date(2026, 1, 1),
        "period_end": date(9999, 12, 31),
        "allocated_amount": Decimal(10),
        "unit": "CAD",
    }
    return await add(tx, "resource_budgets", project_id=project_id, **{**defaults, **values})

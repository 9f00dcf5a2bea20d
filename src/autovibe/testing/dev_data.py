"""A data set to develop on: some of everything that lists, reports and trees show.

Nothing in it is run by itself: no task is queued, no machine lives, no checkpoint has files.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from autovibe.db import WriteTx
from autovibe.testing.factories import (
    add,
    add_budget,
    add_checkpoint,
    add_execution,
    add_machine,
    add_order,
    add_project,
    add_task,
    add_user,
    add_worker,
    model,
)

CAPABILITIES: Final = (
    ("Python", "expert"),
    ("TypeScript", "advanced"),
    ("React", "advanced"),
    ("FastAPI", "expert"),
    ("Testing", "intermediate"),
)
"""What the first worker can do, and how well (source 003)."""
_PROJECTS: Final = (("website", "0.80"), ("command-line-tool", "0.30"))
_TASKS: Final = (
    ("Let the search find umlauts", "feature", "completed"),
    ("Mend the broken pager", "bugfix", "completed"),
    ("Test the import of large files", "test", "failed"),
    ("Rename the settings", "refactor", "cancelled"),
    ("Describe the new settings", "docs", "blocked"),
    ("Review the import", "review", "pending"),
)
_DAYS: Final = 30
_STEPS: Final = 6
_ENDED: Final = {"completed", "failed", "cancelled"}


@dataclass
class _Scene:
    """What the rows that follow hang on."""

    tx: WriteTx
    now: datetime
    chance: random.Random
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


async def has_projects(tx: WriteTx) -> bool:
    """Return whether a database has any project."""
    return await tx.session.scalar(model("projects").__table__.select().limit(1)) is not None


async def add_dev_data(tx: WriteTx, now: datetime, seed: int = 7) -> dict[str, int]:
    """Add the data set; return how many rows of what.

    Args:
        tx: of a database with the schema and without projects.
        now: the newest time in it.
        seed: the same seed, the same amounts.
    """
    scene = _Scene(tx, now, random.Random(seed))  # noqa: S311 - it guards nothing
    # No password has this hash: nobody signs in as this user.
    user = await add_user(tx, username="developer", email="dev@example.org", hashed_password="!")  # noqa: S106 - as above
    scene.count("users")
    worker = await add_worker(
        tx,
        name="dev-worker",
        capabilities=[name for name, _ in CAPABILITIES],
        status="offline",
        config={"memory_mb": 4096},
    )
    scene.count("workers")
    for name, level in CAPABILITIES:
        await add(
            tx,
            "worker_capabilities",
            worker_id=worker.id,
            capability_name=name,
            capability_level=level,
        )
        scene.count("worker_capabilities")
    for name, greediness in _PROJECTS:
        await _add_project(scene, name, Decimal(greediness), worker.id, user.id)
    await add_project(tx, name="old-prototype", status="archived")
    scene.count("projects")
    return scene.counts


async def _add_project(
    scene: _Scene, name: str, greediness: Decimal, worker_id: uuid.UUID, user_id: uuid.UUID
) -> None:
    tx = scene.tx
    project = await add_project(
        tx, name=name, greediness=greediness, description=f"Data to develop on: {name}."
    )
    scene.count("projects")
    genesis = await _checkpoint(scene, project.id, None, scene.now - timedelta(days=_DAYS))
    await add_budget(tx, project.id, allocated_amount=Decimal(200), period_start=_epoch())
    await add_budget(
        tx,
        project.id,
        resource_type="time",
        unit="minutes",
        allocated_amount=Decimal(10_000),
        period_start=_epoch(),
    )
    scene.count("resource_budgets", 2)
    project.initial_checkpoint_id = project.current_checkpoint_id = genesis.id
    tasks: list[Any] = []
    for number, (title, kind, status) in enumerate(_TASKS):
        days_ago = _DAYS - number * 4
        task = await add_task(
            tx,
            project.id,
            title=title,
            description=f"{title}, and test it.",
            task_type=kind,
            status=status,
            created_by=user_id,
            base_checkpoint_id=genesis.id,
            created_at=scene.now - timedelta(days=days_ago),
            block_reason="WAITING_FOR_DEPENDENCY" if status == "blocked" else None,
        )
        scene.count("tasks")
        tasks.append(task)
        if status in _ENDED:
            final = await _run(scene, task, genesis, worker_id, days_ago)
            if status == "completed":
                task.result_checkpoint_id = project.current_checkpoint_id = final.id
    waiting = next(task for task in tasks if task.status == "blocked")
    await add(
        tx,
        "task_dependencies",
        task_id=waiting.id,
        depends_on_task_id=tasks[-1].id,
        dependency_type="blocks",
    )
    scene.count("task_dependencies")


async def _run(scene: _Scene, task: Any, genesis: Any, worker_id: uuid.UUID, days_ago: int) -> Any:
    """Add what is left of a task that has ended: order, execution, machine, checkpoints, usage."""
    tx = scene.tx
    started = scene.now - timedelta(days=days_ago)
    ended = started + timedelta(minutes=5 * _STEPS)
    outcome = str(task.status)
    machine = await add_machine(
        tx,
        task.project_id,
        machine_type="shell",
        status="terminated",
        worker_id=worker_id,
        parent_checkpoint_id=genesis.id,
        original_prompt=task.description,
        spawned_at=started,
        terminated_at=ended,
        checkpoint_count=_STEPS,
        error_message=None if outcome == "completed" else "It did not work out.",
    )
    order = await add_order(
        tx,
        task.id,
        status="completed" if outcome == "completed" else "failed",
        enqueued_at=started,
        completed_at=ended,
    )
    execution = await add_execution(
        tx,
        task.id,
        worker_id,
        work_order_id=order.id,
        machine_id=machine.id,
        status=outcome,
        started_at=started,
        completed_at=ended,
        duration_seconds=300 * _STEPS,
        exit_code=0 if outcome == "completed" else 1,
    )
    for name in ("machines", "work_orders", "executions"):
        scene.count(name)
    parent = genesis
    for step in range(_STEPS):
        at = started + timedelta(minutes=5 * (step + 1))
        last = step == _STEPS - 1
        parent = await _checkpoint(
            scene, task.project_id, parent, at, machine_id=machine.id, last=last
        )
        await add(
            tx,
            "execution_logs",
            execution_id=execution.id,
            seq=step + 1,
            level="INFO",
            message=f"Step {step + 1} of {_STEPS}",
            logged_at=at,
            metadata={"kind": "output", "details": {}},
        )
        scene.count("execution_logs")
        await _use(scene, task.project_id, machine.id, execution.id, at)
    machine.last_checkpoint_id = parent.id
    task.completed_at = ended
    return parent


async def _checkpoint(
    scene: _Scene,
    project_id: uuid.UUID,
    parent: Any,
    at: datetime,
    *,
    machine_id: uuid.UUID | None = None,
    last: bool = False,
) -> Any:
    size = scene.chance.randrange(10_000, 2_000_000)
    changed = {"path": f"workspace/src/part_{size % 9}.py", "size": size % 5_000}
    more: dict[str, Any] = {"checkpoint_type": "final"} if last else {}
    scene.count("checkpoints")
    return await add_checkpoint(
        scene.tx,
        project_id,
        parent,
        creating_machine_id=machine_id,
        # No files in any store: nothing can miss them.
        manifest_root=None,
        file_manifest={"files": [changed], "deleted": [], "truncated": False},
        size_bytes=size,
        created_at=at,
        verification_status="verified",
        verified_at=at,
        **more,
    )


async def _use(
    scene: _Scene,
    project_id: uuid.UUID,
    machine_id: uuid.UUID,
    execution_id: uuid.UUID,
    at: datetime,
) -> None:
    """Add what five minutes of a machine cost; the database counts it in budgets and days."""
    cost = Decimal(scene.chance.randrange(1_000, 900_000)) / 1_000_000
    for kind, amount, unit, cad in (
        ("money", cost, "CAD", cost),
        ("api_calls", Decimal(scene.chance.randrange(1, 9)), "calls", None),
        ("time", Decimal(5), "minutes", None),
    ):
        await add(
            scene.tx,
            "resource_usage",
            project_id=project_id,
            machine_id=machine_id,
            execution_id=execution_id,
            resource_type=kind,
            amount=amount,
            unit=unit,
            cost_cad=cad,
            enforcement="record",
            recorded_at=at,
        )
        scene.count("resource_usage")


def _epoch() -> date:
    return date(1970, 1, 1)

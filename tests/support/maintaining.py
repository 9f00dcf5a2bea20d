"""A scheduler on a control plane without processes, for tests of jobs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from plane import Plane

from autovibe.app.jobs import make_scheduler
from autovibe.kernel.maintenance_settings import MaintenanceSettings
from autovibe.kernel.settings import Settings
from autovibe.runtime.scheduler import JobOutcome, JobRunner, Scheduler
from autovibe.testing import factories


def scheduler_of(plane: Plane, directory: Path, **maintenance: Any) -> Scheduler:
    """Return the scheduler of a control plane; its archives are in a directory."""
    settings = Settings(
        home=directory, database_url="", maintenance=MaintenanceSettings(**maintenance)
    )
    return make_scheduler(
        settings, plane.services, plane.db, uuid.UUID(plane.instance_id), plane.clock
    )


async def run_job(
    runner: JobRunner, name: str, *, before: datetime | None = None, dry: bool = False
) -> JobOutcome:
    """Run a job now; nobody else may have it."""
    job = next(job for job in await runner.jobs() if job.name == name)
    if dry:
        return await runner.dry_run(job, before=before)
    outcome = await runner.run(job, only_if_due=False, before=before)
    assert outcome is not None
    return outcome


async def log_of(plane: Plane, operation: str) -> list[tuple[Any, ...]]:
    """Return status and affected rows of an operation's runs, the oldest first."""
    return await plane.rows(
        "SELECT status, affected_rows FROM maintenance_log WHERE operation = :operation"
        " ORDER BY performed_at, id",
        operation=operation,
    )


@asynccontextmanager
async def add_rows(plane: Plane) -> AsyncGenerator[Any]:
    """Open a transaction whose session takes rows of any table."""
    async with plane.db.write() as tx:
        yield tx


async def finished_execution(plane: Plane, days_ago: float, *, logs: int = 2, **task: Any) -> Any:
    """Add a completed task with an execution that ended some days ago and its log lines."""
    now = plane.clock.now()
    at = now.fromtimestamp(now.timestamp() - days_ago * 86_400, tz=now.tzinfo)
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        worker = await factories.add_worker(tx)
        row = await factories.add_task(tx, project.id, **{"status": "completed", **task})
        execution = await factories.add_execution(
            tx,
            row.id,
            worker.id,
            status="completed",
            started_at=at,
            completed_at=at,
            metrics={"summary": "Größe ✓", "duration_s": 1.5},
        )
        for seq in range(1, logs + 1):
            await factories.add(
                tx,
                "execution_logs",
                execution_id=execution.id,
                seq=seq,
                level="INFO",
                message=f"line {seq} \x1b[1m ü",
                logged_at=at,
                metadata={"kind": "output", "details": {"n": seq}},
            )
        return execution

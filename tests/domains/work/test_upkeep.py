"""Orders, executions and workers that nobody looks after any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane
from sqlalchemy import text

from autovibe.testing import factories


async def ready(plane: Plane) -> None:
    """Make the project `website` with a checkpoint that tasks can begin at."""
    async with plane.db.write() as tx:
        project = await factories.add_project(tx, name="website")
        genesis = await factories.add_checkpoint(tx, project.id)
        project.initial_checkpoint_id = project.current_checkpoint_id = genesis.id


@pytest.mark.req("S3-46")
async def test_an_order_that_nobody_claimed_in_time_expires_and_its_task_fails(
    plane: Plane, tmp_path: Path
) -> None:
    await ready(plane)
    late, patient = await plane.task(), await plane.task()
    async with plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE work_orders SET expires_at = available_at WHERE task_id = :id"),
            {"id": late.id if plane.db.dialect.name == "postgresql" else late.id.replace("-", "")},
        )
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "expire-work-orders", dry=True)).affected_rows == 1
    assert (await run_job(runner, "expire-work-orders")).affected_rows == 1
    found = await plane.see(late.id)
    assert (found.status, found.block_reason) == ("failed", "ORDER_EXPIRED")
    assert (await plane.see(patient.id)).status == "queued"
    assert await plane.rows("SELECT status FROM work_orders ORDER BY status") == [
        ("expired",),
        ("pending",),
    ]
    assert (await run_job(runner, "expire-work-orders")).affected_rows == 0


@pytest.mark.req("S3-20", "S3-44")
async def test_an_execution_over_its_limit_that_nobody_prolongs_times_out(
    plane: Plane, tmp_path: Path
) -> None:
    await ready(plane)
    await plane.worker(slots=2)
    task = await plane.task(context={"timeout_s": 600})
    await plane.claimed()
    runner = scheduler_of(plane, tmp_path).runner
    plane.clock.advance(seconds=599)
    assert (await run_job(runner, "time-out-executions")).affected_rows == 0
    plane.clock.advance(seconds=2)
    assert (await run_job(runner, "time-out-executions", dry=True)).affected_rows == 1
    assert (await run_job(runner, "time-out-executions")).affected_rows == 1
    assert (await plane.see(task.id)).status == "failed"
    assert await plane.rows("SELECT status FROM executions") == [("timeout",)]


async def test_an_execution_whose_lease_is_held_is_left_to_its_worker(
    plane: Plane, tmp_path: Path
) -> None:
    await ready(plane)
    await plane.worker()
    await plane.task(context={"timeout_s": 600})
    await plane.claimed(lease_s=86_400)
    plane.clock.advance(hours=2)
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "time-out-executions")).affected_rows == 0
    assert await plane.rows("SELECT status FROM executions") == [("running",)]


async def test_an_execution_whose_order_went_to_another_is_closed_alone(
    plane: Plane, tmp_path: Path
) -> None:
    await ready(plane)
    await plane.worker()
    task = await plane.task(context={"timeout_s": 600})
    await plane.claimed(lease_s=86_400)
    async with plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE work_orders SET lease_generation = lease_generation + 1")
        )
    plane.clock.advance(hours=1)
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "time-out-executions")).affected_rows == 1
    assert await plane.rows("SELECT status FROM executions") == [("timeout",)]
    assert (await plane.see(task.id)).status == "in_progress"


@pytest.mark.req("S3-17")
async def test_a_silent_worker_without_an_order_goes_offline_and_comes_back_when_it_asks(
    plane: Plane, tmp_path: Path
) -> None:
    await ready(plane)
    await plane.task()
    await plane.worker("holder")
    await plane.claimed(lease_s=86_400)
    await plane.worker("idle")
    runner = scheduler_of(plane, tmp_path).runner
    plane.clock.advance(minutes=4)
    assert (await run_job(runner, "mark-workers-offline")).affected_rows == 0
    plane.clock.time += timedelta(minutes=2)
    assert (await run_job(runner, "mark-workers-offline", dry=True)).affected_rows == 1
    assert (await run_job(runner, "mark-workers-offline")).affected_rows == 1
    statuses = "SELECT name, status FROM workers ORDER BY name"
    assert await plane.rows(statuses) == [("holder", "busy"), ("idle", "offline")]
    assert await plane.claim() is None
    assert await plane.rows(statuses) == [("holder", "busy"), ("idle", "idle")]
    plane.clock.advance(minutes=4)
    assert await plane.claim() is None
    assert (await run_job(runner, "mark-workers-offline")).affected_rows == 0

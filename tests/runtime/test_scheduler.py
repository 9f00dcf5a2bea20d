"""The scheduler: what is due runs, once, whoever looks; a failure stops no other job."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from maintaining import log_of, run_job, scheduler_of
from plane import Plane, open_plane
from sqlalchemy import text

from autovibe.db import open_database
from autovibe.runtime.scheduler import Scheduler
from autovibe.testing import factories
from autovibe.v1 import checkpoints_pb2


def names(outcomes: list[Any]) -> set[str]:
    return {one.job for one in outcomes}


@pytest.mark.req("S0-109", "S0-111")
async def test_at_the_first_start_everything_runs_and_then_each_job_at_its_time(
    plane: Plane, tmp_path: Path
) -> None:
    scheduler = scheduler_of(plane, tmp_path)
    first = await scheduler.run_due()
    assert {"refresh-project-summary", "refresh-machine-performance"} <= names(first)
    assert not [one for one in first if one.error]
    assert await scheduler.run_due() == []

    plane.clock.advance(minutes=1)
    every_minute = {
        "expire-approvals",
        "expire-work-orders",
        "mark-workers-offline",
        "time-out-executions",
    }
    assert names(await scheduler.run_due()) == every_minute
    plane.clock.time = plane.clock.time.replace(day=24, hour=1, minute=0)
    assert names(await scheduler.run_due()) == every_minute | {
        "reset-budgets",
        "seal-audit",
        "sample-storage",
        "refresh-project-summary",
    }
    for name in ("refresh-project-summary", "refresh-machine-performance"):
        assert {status for status, _ in await log_of(plane, name)} == {"success"}


async def test_a_job_that_was_missed_while_nothing_ran_runs_once_at_the_next_start(
    plane: Plane, tmp_path: Path
) -> None:
    await scheduler_of(plane, tmp_path).run_due()
    plane.clock.advance(days=40)
    overdue = await scheduler_of(plane, tmp_path).run_due()
    assert {"create-next-partition", "cleanup-resource-usage", "cleanup-outbox"} <= names(overdue)
    assert len(await log_of(plane, "cleanup-outbox")) == 2


async def test_a_process_that_stays_short_runs_only_what_is_cheap(
    plane: Plane, tmp_path: Path
) -> None:
    scheduler = scheduler_of(plane, tmp_path)
    done = names(await scheduler.run_due(cheap_only=True))
    assert {"expire-work-orders", "reset-budgets", "create-next-partition"} <= done
    assert not done & {"archive-executions", "cleanup-checkpoints", "refresh-project-summary"}


async def test_of_two_control_planes_each_job_runs_in_one(
    plane: Plane, database_url: str, tmp_path: Path
) -> None:
    other = open_plane(open_database(database_url, clock=plane.clock), tmp_path / "b", plane.clock)
    schedulers = [scheduler_of(plane, tmp_path), scheduler_of(other, tmp_path)]
    try:
        done = await asyncio.gather(*(one.run_due() for one in schedulers))
    finally:
        await other.db.close()
    ran = [outcome.job for outcomes in done for outcome in outcomes]
    assert sorted(ran) == sorted(set(ran))
    rows = await plane.rows(
        "SELECT operation, count(*) FROM maintenance_log WHERE operation LIKE '%-%'"
        " GROUP BY operation"
    )
    assert {count for _, count in rows} == {1}
    assert {name for name, _ in rows} == set(ran)


async def test_a_job_that_fails_is_recorded_and_stops_no_other(
    plane: Plane, tmp_path: Path
) -> None:
    async with plane.db.write() as tx:
        await tx.session.execute(text("ALTER TABLE audit_seals RENAME TO audit_seals_away"))
    try:
        done = await scheduler_of(plane, tmp_path).run_due()
    finally:
        async with plane.db.write() as tx:
            await tx.session.execute(text("ALTER TABLE audit_seals_away RENAME TO audit_seals"))
    failed = [one.job for one in done if one.error]
    assert failed == ["seal-audit"]
    assert {"cleanup-outbox", "reset-budgets"} <= names(done)
    assert await log_of(plane, "seal-audit") == [("failed", 0)]
    plane.clock.advance(minutes=5)
    assert not [one for one in await scheduler_of(plane, tmp_path).run_due() if one.error]


async def test_a_run_that_is_cancelled_says_so(plane: Plane, tmp_path: Path) -> None:
    runner = scheduler_of(plane, tmp_path).runner
    waiting = asyncio.Event()

    async def never(_request: Any) -> Any:
        waiting.set()
        await asyncio.Event().wait()

    real = plane.services.maintenance.step_job
    plane.services.maintenance.step_job = never
    job = next(job for job in await runner.jobs() if job.name == "seal-audit")
    task = asyncio.create_task(runner.run(job, only_if_due=False))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    plane.services.maintenance.step_job = real
    (found,) = [one for one in await runner.jobs() if one.name == "seal-audit"]
    assert (found.last_status, found.last_error) == (
        "failed",
        "INTERRUPTED: the process ended.",
    )


@pytest.mark.req("S1-43")
async def test_budgets_that_start_anew_have_the_row_of_their_present_period(
    plane: Plane, tmp_path: Path
) -> None:
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        for period, auto in (("daily", True), ("weekly", True), ("monthly", False)):
            await factories.add_budget(
                tx,
                project.id,
                budget_period=period,
                period_start=date(2026, 10, 5),
                period_end=date(2026, 10, 11),
                allocated_amount=Decimal(7),
                used_amount=Decimal(3),
                auto_reset=auto,
            )
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "reset-budgets", dry=True)).affected_rows == 2
    assert (await run_job(runner, "reset-budgets")).affected_rows == 2
    assert (await run_job(runner, "reset-budgets")).affected_rows == 0
    rows = await plane.rows(
        "SELECT budget_period, count(*) FROM resource_budgets"
        " WHERE period_end >= '2026-11-23' AND used_amount = 0 GROUP BY budget_period"
        " ORDER BY budget_period"
    )
    assert rows == [("daily", 1), ("weekly", 1)]


@pytest.mark.req("S1-84", "S1-85")
async def test_usage_of_more_than_a_year_ago_is_deleted_and_the_log_has_the_true_count(
    plane: Plane, tmp_path: Path
) -> None:
    now = plane.clock.now()
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        for days in (400, 366, 364, 1):
            await factories.add(
                tx,
                "resource_usage",
                project_id=project.id,
                resource_type="cpu",
                amount=Decimal(1),
                unit="s",
                recorded_at=now - timedelta(days=days),
                enforcement="record",
            )
    runner = scheduler_of(plane, tmp_path).runner
    if plane.db.dialect.name == "sqlite":
        assert (await run_job(runner, "cleanup-resource-usage", dry=True)).affected_rows == 2
    done = await run_job(runner, "cleanup-resource-usage")
    assert done.affected_rows == 2
    assert await plane.rows("SELECT count(*) FROM resource_usage") == [(2,)]
    assert await log_of(plane, "cleanup_resource_usage") == [("success", 2)]
    assert await log_of(plane, "cleanup-resource-usage") == [("success", 2)]


@pytest.mark.req("S0-113")
async def test_partitions_are_there_for_this_month_and_three_more(
    plane: Plane, tmp_path: Path
) -> None:
    runner = scheduler_of(plane, tmp_path).runner
    made = 0 if plane.db.dialect.name == "sqlite" else 4
    assert (await run_job(runner, "create-next-partition", dry=True)).affected_rows == made
    assert (await run_job(runner, "create-next-partition")).affected_rows == made
    assert (await run_job(runner, "create-next-partition")).affected_rows == 0
    if made:
        found = await plane.rows(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'resource_usage_2%'"
            " ORDER BY relname"
        )
        months = ("2026_11", "2026_12", "2027_01", "2027_02")
        assert found == [(f"resource_usage_{month}",) for month in months]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_checkpoint_is_verified_as_soon_as_the_bell_rings(
    plane: Plane, tmp_path: Path
) -> None:
    scheduler: Scheduler = scheduler_of(plane, tmp_path)
    async with scheduler.doorbell() as rung:
        serving = asyncio.create_task(scheduler.verifier.serve(rung))
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        root = plane.store.snapshot({"workspace": workspace}).root
        async with plane.db.write() as tx:
            project = await factories.add_project(tx)
            row = await factories.add_checkpoint(
                tx, project.id, manifest_root=root, verification_status="pending"
            )
        # Long before it would have looked by itself.
        async with asyncio.timeout(10):
            while True:
                found = await plane.services.checkpoints.get_checkpoint(
                    checkpoints_pb2.GetCheckpointRequest(checkpoint_id=str(row.id))
                )
                if found.verification_status == "verified":
                    break
                await asyncio.sleep(0.02)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_work_on_a_large_store_keeps_no_other_job_waiting(
    plane: Plane, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    async def prune(_: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    plane.services.maintenance.prune_store = prune
    async with scheduler_of(plane, tmp_path).served():
        await begun.wait()
        # In the list of jobs this one comes after the other.
        while await log_of(plane, "cleanup-outbox") != [("success", 0)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await log_of(plane, "prune-store") == [("failed", 0)]

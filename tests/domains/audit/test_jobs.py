"""The registry of jobs, and runs of them: one holder at a time, each recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from maintaining import log_of
from plane import Plane

from autovibe.domains.audit import JOBS, Job
from autovibe.domains.audit.jobs import due_at
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import maintenance_pb2

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def begin(plane: Plane, job: str = "reset-budgets", *, only_if_due: bool = False) -> str:
    answer = await plane.services.maintenance.begin_job(
        maintenance_pb2.BeginJobRequest(
            job=job, instance_id=plane.instance_id, only_if_due=only_if_due
        )
    )
    return answer.run_id


async def step(plane: Plane, run_id: str, job: str = "reset-budgets") -> None:
    await plane.services.maintenance.step_job(
        maintenance_pb2.StepJobRequest(run_id=run_id, job=job)
    )


async def end(plane: Plane, run_id: str, error: str = "") -> None:
    await plane.services.maintenance.end_job(
        maintenance_pb2.EndJobRequest(run_id=run_id, duration_ms=7, error=error)
    )


@pytest.mark.req("S0-109", "S0-111", "S0-113", "S1-75", "S1-86")
def test_the_jobs_of_the_sources_have_their_names_and_lines() -> None:
    lines = {job.name: job.cron for job in JOBS}
    assert lines["refresh-project-summary"] == "0 1 * * *"
    assert lines["refresh-machine-performance"] == "0 2 * * *"
    assert lines["create-next-partition"] == "0 0 25 * *"
    assert lines["cleanup-resource-usage"] == "0 2 1 * *"
    assert lines["reset-budgets"] == "0 0 * * *"
    assert len(lines) == len(JOBS)


@pytest.mark.parametrize(
    ("cron", "last", "due"),
    [
        ("0 1 * * *", NOON, datetime(2026, 11, 24, 1, 0, tzinfo=UTC)),
        ("0 1 * * *", datetime(2026, 11, 23, 1, 0, tzinfo=UTC), NOON.replace(day=24, hour=1)),
        ("0 0 25 * *", NOON, datetime(2026, 11, 25, tzinfo=UTC)),
        ("0 2 1 * *", NOON, datetime(2026, 12, 1, 2, 0, tzinfo=UTC)),
        ("* * * * *", NOON + timedelta(seconds=30), NOON + timedelta(minutes=1)),
    ],
)
def test_a_job_is_due_at_the_first_time_of_its_line_after_its_last_success(
    cron: str, last: datetime, due: datetime
) -> None:
    assert due_at(Job("some", cron), last, NOON) == due


def test_a_job_that_never_succeeded_is_due_now() -> None:
    assert due_at(Job("some", "0 0 25 * *"), None, NOON) == NOON


async def test_a_run_is_failed_until_it_has_succeeded(plane: Plane) -> None:
    run_id = await begin(plane)
    assert await log_of(plane, "reset-budgets") == [("failed", 0)]
    await step(plane, run_id)
    await end(plane, run_id)
    rows = await plane.rows("SELECT status, affected_rows, duration_ms FROM maintenance_log")
    assert rows == [("success", 0, 7)]


async def test_a_second_run_cannot_begin_before_the_lease_of_the_first_has_expired(
    plane: Plane,
) -> None:
    first = await begin(plane)
    assert await begin(plane) == ""
    plane.clock.advance(seconds=59)
    await step(plane, first)
    plane.clock.advance(seconds=59)
    assert await begin(plane) == ""
    plane.clock.advance(seconds=2)
    second = await begin(plane)
    assert second
    for late in (step(plane, first), end(plane, first)):
        with pytest.raises(AutovibeError) as caught:
            await late
        assert caught.value.reason == "JOB_LOST"
    await step(plane, second)
    await end(plane, second)
    assert await log_of(plane, "reset-budgets") == [("failed", 0), ("success", 0)]


async def test_of_many_who_begin_at_once_one_has_the_job(plane: Plane) -> None:
    runs = await asyncio.gather(*(begin(plane) for _ in range(8)))
    assert len([run for run in runs if run]) == 1
    assert await log_of(plane, "reset-budgets") == [("failed", 0)]


async def test_a_failed_job_waits_before_it_is_tried_again(plane: Plane) -> None:
    run_id = await begin(plane, only_if_due=True)
    await end(plane, run_id, error="NO_SPACE: the disk is full")
    assert await begin(plane, only_if_due=True) == ""
    plane.clock.advance(minutes=5)
    assert await begin(plane, only_if_due=True)
    (job,) = [job for job in await scheduler_jobs(plane) if job.name == "reset-budgets"]
    assert (job.last_status, job.last_error) == ("running", "")


async def scheduler_jobs(plane: Plane) -> list[maintenance_pb2.Job]:
    answer = await plane.services.maintenance.get_jobs(maintenance_pb2.GetJobsRequest())
    return list(answer.jobs)


async def test_a_listed_job_tells_why_its_last_run_failed(plane: Plane) -> None:
    await end(plane, await begin(plane), error="NO_SPACE: the disk is full")
    (job,) = [job for job in await scheduler_jobs(plane) if job.name == "reset-budgets"]
    assert (job.last_status, job.last_error) == ("failed", "NO_SPACE: the disk is full")
    assert not job.HasField("last_success_at")


async def test_idle_runs_of_every_minute_share_one_row_of_the_log(plane: Plane) -> None:
    name = "expire-work-orders"
    for _ in range(3):
        run_id = await begin(plane, name, only_if_due=True)
        await step(plane, run_id, name)
        await end(plane, run_id)
        plane.clock.advance(minutes=1)
    assert await log_of(plane, name) == [("success", 0)]
    await end(plane, await begin(plane, name), error="X: y")
    plane.clock.advance(minutes=1)
    await end(plane, await begin(plane, name))
    assert await log_of(plane, name) == [("success", 0), ("failed", 0), ("success", 0)]


async def test_there_is_no_job_of_another_name(plane: Plane) -> None:
    with pytest.raises(AutovibeError) as caught:
        await begin(plane, "make-coffee")
    assert caught.value.reason == "JOB_NOT_FOUND"


async def test_without_pg_cron_nothing_is_registered_and_our_scheduler_runs_all(
    plane: Plane,
) -> None:
    answer = await plane.services.maintenance.register_jobs(maintenance_pb2.RegisterJobsRequest())
    assert list(answer.jobs) == []
    assert not any(job.in_database for job in await scheduler_jobs(plane))

from __future__ import annotations

import asyncio
import math
import random
import uuid
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from plane import NOON, Plane, write_files
from sqlalchemy import text

from autovibe import __version__
from autovibe.domains.work.completions import retry_pause
from autovibe.domains.work.enqueuing import next_fair_key
from autovibe.domains.work.errors import LeaseLostError, WorkerNotFoundError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import projects_pb2, queue_pb2, work_pb2


@pytest.fixture
async def base(plane: Plane, tmp_path: Path) -> str:
    """Give a project with a checkpoint, and a registered worker."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.worker()
    return (await plane.load(tmp_path / "dir")).checkpoint.id


async def _one(plane: Plane, query: str) -> tuple[object, ...]:
    (row,) = await plane.rows(query)
    return row


async def _statuses(plane: Plane) -> tuple[object, ...]:
    """Return the status of the one order, assignment, newest execution, task and worker."""
    return (
        *await _one(plane, "SELECT status FROM work_orders"),
        *await _one(plane, "SELECT status FROM worker_assignments"),
        *await _one(plane, "SELECT status FROM executions ORDER BY attempt DESC LIMIT 1"),
        *await _one(plane, "SELECT status FROM tasks"),
        *await _one(plane, "SELECT status FROM workers"),
    )


async def _set(plane: Plane, statement: str, **values: object) -> None:
    async with plane.db.write() as tx:
        await tx.session.execute(text(statement), values)


@pytest.mark.req("S3-48", "S3-19", "S3-17")
async def test_a_claim_takes_the_order_under_a_lease_and_starts_an_execution(
    plane: Plane, base: str
):
    task = await plane.task(description="the prompt", context={"timeout_s": 90})
    order = await plane.claimed()
    assert (order.task.id, order.task.status, order.lease_generation) == (task.id, "in_progress", 1)
    assert (order.payload.prompt, order.payload.base_checkpoint_id) == ("the prompt", base)
    assert (order.execution.attempt, order.execution.status, order.timeout_s) == (1, "running", 90)
    assert from_timestamp(order.lease_expires_at).timestamp() == NOON.timestamp() + 60
    assert order.task.assigned_to == plane.worker_id
    assert await _statuses(plane) == ("claimed", "active", "running", "in_progress", "busy")

    await plane.task()
    assert await plane.claim() is None  # the worker is at its limit
    with pytest.raises(WorkerNotFoundError):
        await plane.claim(worker_id=str(uuid.uuid4()))


@pytest.mark.parametrize(
    ("outcome", "retries", "expected"),
    [
        ("completed", 0, ("completed", "completed", "completed", "completed", "idle")),
        ("completed", 3, ("completed", "completed", "completed", "completed", "idle")),
        ("failed", 0, ("failed", "failed", "failed", "failed", "idle")),
        ("failed", 3, ("pending", "failed", "failed", "queued", "idle")),
        ("timeout", 0, ("failed", "timeout", "timeout", "failed", "idle")),
        ("timeout", 3, ("pending", "timeout", "timeout", "queued", "idle")),
        ("paused", 0, ("pending", "failed", "cancelled", "blocked", "idle")),
        ("paused", 3, ("pending", "failed", "cancelled", "blocked", "idle")),
    ],
)
@pytest.mark.req("S3-17")
async def test_order_assignment_execution_task_and_worker_end_together(
    plane: Plane, base: str, outcome: str, retries: int, expected: tuple[str, ...]
):
    task = await plane.task()
    await _set(plane, f"UPDATE work_orders SET max_retries = {retries}")
    order = await plane.claimed()
    plane.clock.advance(seconds=2.5)
    metrics = work_pb2.ExecutionMetrics(stop_reason="WHY", message="because", duration_s=2.5)
    ended = await plane.finish(
        order, outcome, exit_code=7, metrics=metrics, result_checkpoint_id=base
    )
    assert await _statuses(plane) == expected
    assert (ended.id, ended.assigned_to, ended.result_checkpoint_id) == (task.id, "", base)
    assert ended.block_reason == ("WHY" if outcome == "paused" else "")
    assert ended.HasField("completed_at") == (expected[3] in {"completed", "failed"})
    exit_code, duration, checkpoint = await _one(
        plane, "SELECT exit_code, duration_seconds, result_checkpoint_id FROM executions"
    )
    assert (exit_code, duration, str(uuid.UUID(str(checkpoint)))) == (7, 3, base)
    retry_count, error, lease = await _one(
        plane, "SELECT retry_count, error_message, lease_expires_at FROM work_orders"
    )
    assert retry_count == (1 if expected[3] == "queued" else 0)
    assert (error, lease) == ("because", None)

    # Whatever it was, the same report again comes too late.
    for late in (plane.finish(order, outcome), plane.finish(order, "completed")):
        with pytest.raises(LeaseLostError):
            await late
    assert await _statuses(plane) == expected


@pytest.mark.req("S3-43")
async def test_an_order_is_tried_again_after_growing_pauses_until_no_retry_is_left(
    plane: Plane, base: str
):
    await plane.task()
    await _set(plane, "UPDATE work_orders SET max_retries = 3")
    for attempt, least_s in enumerate((10, 20, 40), start=1):
        order = await plane.claimed()
        assert (order.execution.attempt, order.lease_generation) == (attempt, attempt)
        await plane.finish(order, "failed")
        pause_s = retry_pause(uuid.UUID(order.work_order_id), attempt - 1).total_seconds()
        assert least_s <= pause_s <= 1.25 * least_s
        plane.clock.advance(seconds=pause_s - 1)
        assert await plane.claim() is None
        plane.clock.advance(seconds=1)
    await plane.finish(await plane.claimed(), "failed")
    assert await _statuses(plane) == ("failed", "failed", "failed", "failed", "idle")
    plane.clock.advance(days=1)
    assert await plane.claim() is None
    assert await plane.rows("SELECT count(*) FROM worker_assignments") == [(1,)]
    assert await plane.rows("SELECT count(*) FROM executions") == [(4,)]


async def test_every_report_under_an_old_lease_is_refused(plane: Plane, base: str):
    project = (await plane.rows("SELECT id FROM projects"))[0][0]
    await plane.task()
    await _set(plane, "UPDATE work_orders SET max_retries = 1")
    first = await plane.claimed()
    await plane.say(first, "working")
    await plane.finish(first, "timeout")
    await plane.say(first, "a last word after the end")
    machine = await plane.machine(str(uuid.UUID(str(project))))
    attach = work_pb2.AttachMachineRequest(
        execution_id=first.execution.id, lease_generation=1, machine_id=machine.id
    )
    with pytest.raises(LeaseLostError):
        await plane.services.work.attach_machine(attach)

    plane.clock.advance(minutes=1)
    await plane.worker("another")
    second = await plane.claimed()
    assert second.lease_generation == 2
    heartbeat = work_pb2.HeartbeatWorkOrderRequest(
        work_order_id=first.work_order_id, lease_generation=1, lease_s=60
    )
    for report in (
        plane.services.work.heartbeat_work_order(heartbeat),
        plane.say(first, "from the grave"),
        plane.finish(first),
        plane.services.work.attach_machine(attach),
        # The old generation does not speak for the new execution, nor the other way round.
        plane.finish(second, lease_generation=1),
        plane.finish(first, lease_generation=2),
        plane.finish(second, lease_generation=3),
    ):
        with pytest.raises(LeaseLostError):
            await report
    assert await plane.rows("SELECT count(*) FROM execution_logs") == [(2,)]

    heartbeat.lease_generation = 2
    beat = await plane.services.work.heartbeat_work_order(heartbeat)
    assert from_timestamp(beat.lease_expires_at).timestamp() == plane.clock.now().timestamp() + 60
    attach.execution_id, attach.lease_generation = second.execution.id, 2
    assert (await plane.services.work.attach_machine(attach)).machine_id == machine.id
    assert await plane.rows(
        "SELECT count(*) FROM worker_assignments WHERE machine_id IS NOT NULL"
    ) == [(1,)]
    await plane.finish(second)


async def test_only_orders_of_queued_tasks_that_are_due_and_of_this_queue_are_claimed(
    plane: Plane, base: str
):
    task = await plane.task()
    for status in ("pending", "in_progress", "blocked", "completed", "failed", "cancelled"):
        await _set(plane, "UPDATE tasks SET status = :status", status=status)
        assert await plane.claim() is None
        assert await plane.claim(task_id=task.id) is None
    await _set(plane, "UPDATE tasks SET status = 'queued'")
    assert await plane.claim(queue_name="other") is None
    assert await plane.claim(task_id=str(uuid.uuid4())) is None
    plane.clock.advance(seconds=-1)
    assert await plane.claim() is None
    plane.clock.advance(seconds=1)
    assert await plane.claim() is not None


@pytest.mark.req("S3-29")
async def test_claims_go_by_priority_and_then_share_by_greediness(plane: Plane, base: str):
    await plane.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="greedy", greediness="1.00")
    )
    await plane.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="patient", greediness="0.00")
    )
    owner: dict[str, str] = {}
    for project in ("greedy", "patient"):
        found = await plane.services.projects.get_project(
            projects_pb2.GetProjectRequest(project=project)
        )
        made = await plane.checkpoint(found.id)
        await _set(
            plane,
            "UPDATE projects SET current_checkpoint_id = :checkpoint WHERE name = :name",
            checkpoint=_database_id(plane, made.id),
            name=project,
        )
    for project, count in (("patient", 2), ("website", 6), ("greedy", 6)):
        for _ in range(count):
            owner[(await plane.task(project)).id] = project
    low = await plane.task(priority="low")
    critical = await plane.task("patient", priority="critical")

    await plane.worker("many", slots=100)
    claimed = [(await plane.claimed()).task.id for _ in range(16)]
    assert await plane.claim() is None
    assert (claimed[0], claimed[-1]) == (critical.id, low.id)
    order = [owner[task_id] for task_id in claimed[1:-1]]
    # Twice the greediness is twice the share while both have work; 0 waits for everybody.
    # Keys of website: 2, 4, 6, …; of greedy, which came later: 3, 4, 5, …
    assert Counter(order[:5]) == {"greedy": 3, "website": 2}
    assert Counter(order[:10]) == {"greedy": 6, "website": 4}
    assert order[12:] == ["patient", "patient"]


def _database_id(plane: Plane, text_id: str) -> object:
    value = uuid.UUID(text_id)
    return value if plane.db.dialect.name == "postgresql" else value.hex


def test_a_fair_key_grows_by_the_inverse_of_greediness():
    half = Decimal("0.5")
    assert next_fair_key(None, None, half) == 2.0
    assert next_fair_key(6.0, 2.0, half) == 8.0
    assert next_fair_key(2.0, 6.0, half) == 8.0  # one that was away does not catch up
    assert next_fair_key(None, 6.0, Decimal(1)) == 7.0
    assert next_fair_key(5.0, None, Decimal(0)) == math.inf
    assert next_fair_key(math.inf, 3.0, half) == 5.0
    assert next_fair_key(math.inf, math.inf, half) == 2.0


@pytest.mark.req("S3-38")
async def test_of_many_who_claim_at_once_each_order_goes_to_exactly_one(plane: Plane, base: str):
    tasks = {(await plane.task()).id for _ in range(5)}
    workers = [await plane.worker(f"w{number}", slots=2) for number in range(6)]
    claims = [plane.claim(worker_id=worker) for worker in workers for _ in range(2)]
    random.Random(1).shuffle(claims)
    orders = [order for order in await asyncio.gather(*claims) if order is not None]
    # A claim may find nothing because others were looking; nobody gets one twice.
    assert len({order.work_order_id for order in orders}) == len(orders)
    for worker in workers:
        while len(orders) < 5 and (order := await plane.claim(worker_id=worker)) is not None:
            orders.append(order)
    assert {order.task.id for order in orders} == tasks
    assert await plane.rows("SELECT count(*) FROM executions") == [(5,)]
    assert (
        await plane.rows(
            "SELECT worker_id FROM worker_assignments GROUP BY worker_id HAVING count(*) > 2"
        )
        == []
    )


async def test_one_order_claimed_by_everybody_has_one_winner(plane: Plane, base: str):
    task = await plane.task()
    workers = [await plane.worker(f"w{number}") for number in range(8)]
    claims = await asyncio.gather(
        *(plane.claim(worker_id=worker, task_id=task.id) for worker in workers)
    )
    winners = [order for order in claims if order is not None]
    assert len(winners) == 1
    assert winners[0].lease_generation == 1


async def test_two_reports_of_the_end_at_once_have_one_winner(plane: Plane, base: str):
    await plane.task()
    order = await plane.claimed()
    answers = await asyncio.gather(
        *(plane.finish(order, outcome) for outcome in ("completed", "failed", "paused")),
        return_exceptions=True,
    )
    assert sorted(isinstance(answer, LeaseLostError) for answer in answers) == [False, True, True]


async def test_an_execution_ends_even_when_the_clock_was_set_back(plane: Plane, base: str):
    await plane.task()
    order = await plane.claimed()
    plane.clock.advance(hours=-1)
    assert (await plane.finish(order)).status == "completed"
    assert await _one(plane, "SELECT duration_seconds FROM executions") == (0,)


async def test_the_project_follows_a_result_only_if_it_descends_from_the_current_one(
    plane: Plane, base: str
):
    await plane.worker("many", slots=9)
    orders = [await _started(plane) for _ in range(3)]
    project_id = orders[0].task.project_id
    first = await plane.checkpoint(project_id, parent_checkpoint_id=base, checkpoint_type="final")
    rival = await plane.checkpoint(project_id, parent_checkpoint_id=base, checkpoint_type="final")
    later = await plane.checkpoint(
        project_id, parent_checkpoint_id=first.id, checkpoint_type="final"
    )
    await plane.finish(orders[0], result_checkpoint_id=first.id)
    assert await plane.current() == first.id
    # A result of the older base stays a head of its own.
    await plane.finish(orders[1], result_checkpoint_id=rival.id)
    assert await plane.current() == first.id
    await plane.finish(orders[2], "failed", result_checkpoint_id=later.id)
    assert await plane.current() == first.id
    order = await _started(plane)
    await plane.finish(order, result_checkpoint_id=later.id)
    assert await plane.current() == later.id
    await plane.finish(await _started(plane))
    assert await plane.current() == later.id


async def _started(plane: Plane) -> work_pb2.ClaimedOrder:
    """Create a task and claim it."""
    task = await plane.task()
    return await plane.claimed(task_id=task.id)


async def test_executions_of_a_dead_machine_are_paused_and_others_are_not(plane: Plane, base: str):
    await plane.worker("many", slots=9)
    dead, living = await _started(plane), await _started(plane)
    for order in (dead, living):
        machine = await plane.machine(order.task.project_id)
        order.execution.machine_id = machine.id
        await plane.services.work.attach_machine(
            work_pb2.AttachMachineRequest(
                execution_id=order.execution.id,
                lease_generation=order.lease_generation,
                machine_id=machine.id,
            )
        )
    abandon = work_pb2.AbandonExecutionsRequest(
        machine_id=dead.execution.machine_id, result_checkpoint_id=base
    )
    assert (await plane.services.work.abandon_executions(abandon)).abandoned == 1
    assert (await plane.services.work.abandon_executions(abandon)).abandoned == 0
    seen = await plane.see(dead.task.id)
    assert (seen.status, seen.block_reason, seen.result_checkpoint_id) == (
        "blocked",
        "CONTROL_PLANE_DIED",
        base,
    )
    assert (await plane.see(living.task.id)).status == "in_progress"
    with pytest.raises(LeaseLostError):
        await plane.finish(dead)
    await plane.finish(living)


@pytest.mark.req("S3-23")
async def test_a_worker_is_registered_once_and_keeps_its_id(plane: Plane):
    first = await plane.worker("w", slots=1)
    plane.clock.advance(minutes=1)
    again = await plane.services.queue.register_worker(
        queue_pb2.RegisterWorkerRequest(name="w", max_concurrent_tasks=4, version=__version__)
    )
    assert (again.id, again.max_concurrent_tasks, again.worker_type) == (first, 4, "feature")
    assert from_timestamp(again.last_heartbeat_at) == plane.clock.now()

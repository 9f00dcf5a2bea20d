"""Any interleaving of what is done to the queue against a model in plain Python."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from plane import NOON, Plane, StillClock, open_plane
from sqlalchemy import text

from autovibe import __version__
from autovibe.db import open_database
from autovibe.domains.work.completions import retry_pause
from autovibe.domains.work.enqueuing import next_fair_key
from autovibe.domains.work.errors import LeaseLostError, OrderNotDeadError
from autovibe.v1 import queue_pb2, work_pb2

T = TypeVar("T")
LEASE_S = 60
SLOTS = {"novice": 2, "expert": 3}
RANKS = {"low": 0, "normal": 1, "high": 2, "critical": 3}


@dataclass
class Order:
    """An order and its task, as they should be."""

    priority: int
    key: float
    hard: bool
    retries_left: int
    due: datetime
    order_id: str
    task: str = "queued"
    status: str = "pending"
    generation: int = 0
    retried: int = 0
    holder: str = ""
    lease_until: datetime = NOON
    execution_id: str = ""


@dataclass
class Model:
    """The queue as it should be."""

    orders: dict[str, Order] = field(default_factory=dict)
    last_key: float | None = None

    def claimable(self, worker: str, now: datetime) -> list[str]:
        fitting = [
            (-order.priority, order.key, task)
            for task, order in self.orders.items()
            if order.task == "queued"
            and order.status == "pending"
            and order.due <= now
            and (worker == "expert" or not order.hard)
        ]
        return [task for _, _, task in sorted(fitting)]

    def held(self, worker: str) -> int:
        return sum(
            order.holder == worker and order.status == "claimed" for order in self.orders.values()
        )

    def enqueue(self) -> float:
        waiting = [order.key for order in self.orders.values() if order.task == "queued"]
        self.last_key = next_fair_key(self.last_key, min(waiting, default=None), Decimal("0.5"))
        return self.last_key


class QueueMachine(RuleBasedStateMachine):
    """Enqueue, claim, report on time and too late, expire, pause, resume, requeue."""

    plane: Plane
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def now(self) -> datetime:
        return self.plane.clock.now()

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.workers: dict[str, str] = {}
        self.run(self._begin())

    async def _begin(self) -> None:
        async with self.plane.db.write() as tx:
            for table in ("tasks", "queue_shares", "workers"):
                await tx.session.execute(text(f"DELETE FROM {table}"))
        self.plane.clock.time = NOON
        for name, slots in SLOTS.items():
            registered = await self.plane.services.queue.register_worker(
                queue_pb2.RegisterWorkerRequest(
                    name=name,
                    max_concurrent_tasks=slots,
                    capabilities=[f"python:{'expert' if name == 'expert' else 'beginner'}"],
                    version=__version__,
                )
            )
            self.workers[name] = registered.id

    @rule(
        priority=st.sampled_from(sorted(RANKS)),
        hard=st.booleans(),
        retries=st.integers(0, 2),
    )
    def enqueue(self, priority: str, *, hard: bool, retries: int) -> None:
        needs = ["python:advanced"] if hard else []
        key = self.model.enqueue()
        task = self.run(
            self.plane.task(
                priority=priority, context={"capabilities": needs, "max_retries": retries}
            )
        )
        ((order_id,),) = self._rows("SELECT id FROM work_orders WHERE task_id = :task", task.id)
        self.model.orders[task.id] = Order(
            RANKS[priority], key, hard, retries, self.now, str(uuid.UUID(str(order_id)))
        )

    @rule(worker=st.sampled_from(sorted(SLOTS)), limit=st.integers(1, 4))
    def claim(self, worker: str, limit: int) -> None:
        room = min(limit, SLOTS[worker] - self.model.held(worker))
        expected = self.model.claimable(worker, self.now)[: max(0, room)]
        answer = self.run(
            self.plane.services.queue.claim_many(
                queue_pb2.ClaimManyRequest(
                    worker_id=self.workers[worker],
                    instance_id=self.plane.instance_id,
                    lease_s=LEASE_S,
                    limit=limit,
                )
            )
        )
        assert [order.task.id for order in answer.orders] == expected
        for claimed in answer.orders:
            order = self.model.orders[claimed.task.id]
            order.generation += 1
            assert claimed.lease_generation == order.generation
            assert claimed.work_order_id == order.order_id
            order.task, order.status, order.holder = "in_progress", "claimed", worker
            order.lease_until = self.now + timedelta(seconds=LEASE_S)
            order.execution_id = claimed.execution.id

    def started(self) -> list[str]:
        return [task for task, order in self.model.orders.items() if order.execution_id]

    @precondition(lambda self: self.started())
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["completed", "failed", "timeout", "paused"]),
        behind=st.sampled_from([0, 0, 0, 1, -1]),
    )
    def report(self, data: st.DataObject, outcome: str, behind: int) -> None:
        task = data.draw(st.sampled_from(self.started()))
        order = self.model.orders[task]
        request = work_pb2.FinishExecutionRequest(
            execution_id=order.execution_id,
            lease_generation=order.generation - behind,
            outcome=outcome,
        )
        answer = self.run(
            self.plane.services.queue.complete_many(
                queue_pb2.CompleteManyRequest(reports=[request])
            )
        )
        (verdict,) = answer.verdicts
        if behind or order.status != "claimed":
            assert verdict.reason == "LEASE_LOST"
            return
        self._end(order, outcome)
        assert verdict.task_status == order.task

    def _end(self, order: Order, outcome: str) -> None:
        if outcome in {"failed", "timeout"} and order.retries_left:
            order.task, order.status = "queued", "pending"
            order.due = self.now + retry_pause(uuid.UUID(order.order_id), order.retried)
            order.retried += 1
            order.retries_left -= 1
        elif outcome == "paused":
            order.task, order.status = "blocked", "pending"
        else:
            order.task = order.status = "completed" if outcome == "completed" else "failed"

    @precondition(lambda self: self.started())
    @rule(data=st.data(), behind=st.sampled_from([0, 0, 1]))
    def heartbeat(self, data: st.DataObject, behind: int) -> None:
        order = self.model.orders[data.draw(st.sampled_from(self.started()))]
        request = work_pb2.HeartbeatWorkOrderRequest(
            work_order_id=order.order_id,
            lease_generation=order.generation - behind,
            lease_s=LEASE_S,
        )
        lost = behind or order.status != "claimed"
        beat = self.plane.services.work.heartbeat_work_order(request)
        if lost:
            with pytest.raises(LeaseLostError):
                self.run(beat)
        else:
            self.run(beat)
            order.lease_until = self.now + timedelta(seconds=LEASE_S)

    @rule(seconds=st.sampled_from([1, 9, 30, 61]))
    def time_passes(self, seconds: int) -> None:
        self.plane.clock.advance(seconds=seconds)

    @rule()
    def recover(self) -> None:
        expired = [
            order
            for order in self.model.orders.values()
            if order.status == "claimed" and order.lease_until < self.now
        ]
        answer = self.run(
            self.plane.services.work.abandon_executions(
                work_pb2.AbandonExecutionsRequest(expired=True)
            )
        )
        assert answer.abandoned == len(expired)
        for order in expired:
            self._end(order, "paused")
            if order.generation < 5:  # a worker is gone, and another goes on
                order.task, order.due = "queued", self.now

    def of_task(self, *statuses: str) -> list[str]:
        return [task for task, order in self.model.orders.items() if order.task in statuses]

    @precondition(lambda self: self.of_task("queued"))
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.of_task("queued")))
        self.run(self.plane.services.work.pause_task(work_pb2.PauseTaskRequest(task_id=task)))
        self.model.orders[task].task = "blocked"

    @precondition(lambda self: self.of_task("blocked"))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.of_task("blocked")))
        self.run(self.plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task)))
        order = self.model.orders[task]
        order.task, order.status, order.due = "queued", "pending", self.now

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        order = self.model.orders[data.draw(st.sampled_from(sorted(self.model.orders)))]
        request = queue_pb2.RequeueWorkOrderRequest(work_order_id=order.order_id)
        requeued = self.plane.services.queue.requeue_work_order(request)
        if order.task != "failed":
            with pytest.raises(OrderNotDeadError):
                self.run(requeued)
            return
        self.run(requeued)
        order.task, order.status, order.due = "queued", "pending", self.now
        order.retries_left += order.retried
        order.retried = 0

    @invariant()
    def the_database_is_the_model(self) -> None:
        rows = self._rows(
            "SELECT t.id, t.status, o.status, o.lease_generation,"
            " (SELECT count(*) FROM worker_assignments a WHERE a.work_order_id = o.id"
            " AND a.status = 'active'), (SELECT count(*) FROM executions e"
            " WHERE e.work_order_id = o.id AND e.status = 'running')"
            " FROM tasks t JOIN work_orders o ON o.task_id = t.id"
        )
        found = {str(uuid.UUID(str(row[0]))): tuple(row[1:]) for row in rows}
        assert found == {
            task: (
                order.task,
                order.status,
                order.generation,
                int(order.status == "claimed"),
                int(order.status == "claimed"),
            )
            for task, order in self.model.orders.items()
        }

    def _rows(self, query: str, task_id: str = "") -> list[Any]:
        values: dict[str, Any] = {}
        if task_id:
            parsed = uuid.UUID(task_id)
            values["task"] = parsed.hex if self.plane.db.dialect.name == "sqlite" else parsed

        async def read() -> list[Any]:
            async with self.plane.db.read() as tx:
                return list((await tx.session.execute(text(query), values)).all())

        return self.run(read())


def test_every_interleaving_leaves_the_queue_as_the_model_says(
    database_url: str, tmp_path: Path
) -> None:
    _drive(database_url, tmp_path, examples=2, steps=20)


@pytest.mark.long
def test_every_interleaving_leaves_the_queue_as_the_model_says_over_many_seeds(
    database_url: str, tmp_path: Path
) -> None:
    _drive(database_url, tmp_path, examples=100, steps=50)


def _drive(database_url: str, path: Path, *, examples: int, steps: int) -> None:
    with asyncio.Runner() as runner:
        clock = StillClock()
        database = open_database(database_url, clock=clock)
        plane = open_plane(database, path / "plane", clock)
        runner.run(_project(plane))

        class Machine(QueueMachine):
            def __init__(self) -> None:
                super().__init__()
                self.plane, self.runner = plane, runner

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())


async def _project(plane: Plane) -> None:
    """Make a project that tasks can begin in."""
    project = await plane.project()
    made = await plane.checkpoint(project.id, checkpoint_type="genesis")
    stored = uuid.UUID(made.id)
    async with plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE projects SET current_checkpoint_id = :checkpoint"),
            {"checkpoint": stored.hex if plane.db.dialect.name == "sqlite" else stored},
        )

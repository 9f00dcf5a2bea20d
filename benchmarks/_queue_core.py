"""Our queue as the benchmark drives it: filling, draining, whole changes of status."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text

from autovibe import __version__
from autovibe.db import Database, WriteTx, open_database
from autovibe.domains.work import QueueService
from autovibe.domains.work.enqueuing import queue_topic
from autovibe.domains.work.repository import claiming, completing
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.repository.claiming import Claim, Taken
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.ids import new_id
from autovibe.operations import Operations, Registry, local_twin
from autovibe.sdk.services import Services
from autovibe.testing import factories
from autovibe.v1 import queue_pb2, work_pb2

QUEUE: Final = "default"
ROUTE: Final = "*|shell|process|"
OTHER_ROUTE: Final = "*|shell|process|gpu:4"
LEASE: Final = timedelta(seconds=60)
_CHUNK: Final = 1_000
_TASKS: Final[Any] = factories.model("tasks").__table__


async def fill(
    db: Database,
    count: int,
    *,
    route: str = ROUTE,
    first_key: float = 0.0,
    status: str = "pending",
) -> float:
    """Add queued tasks, then their orders; return orders per second, the tasks left out."""
    now = datetime.now(UTC)
    async with db.write() as tx:
        project = await factories.add_project(tx)
    took = 0.0
    for start in range(0, count, _CHUNK):
        tasks = [_task(project.id, status, now) for _ in range(min(_CHUNK, count - start))]
        async with db.write() as tx:
            await tx.dialect.insert_bulk(tx.session, _TASKS, tasks)
        orders = [
            _order(task["id"], status, route, first_key + start + number, now)
            for number, task in enumerate(tasks)
        ]
        begun = time.perf_counter()
        async with db.write() as tx:
            await order_rows.insert_orders(tx, orders)
            tx.ring(queue_topic(QUEUE))
        took += time.perf_counter() - begun
    return count / took


async def idle_tasks(db: Database, count: int) -> list[uuid.UUID]:
    """Add queued tasks without orders."""
    now = datetime.now(UTC)
    async with db.write() as tx:
        project = await factories.add_project(tx)
        tasks = [_task(project.id, "pending", now) for _ in range(count)]
        await tx.dialect.insert_bulk(tx.session, _TASKS, tasks)
    return [task["id"] for task in tasks]


async def enqueue_one(db: Database, task_id: uuid.UUID) -> None:
    """Add the order of a task, and ring."""
    async with db.write() as tx:
        order = _order(task_id, "pending", ROUTE, 0.0, datetime.now(UTC))
        await order_rows.insert_orders(tx, [order])
        tx.ring(queue_topic(QUEUE))


def _task(project_id: uuid.UUID, status: str, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": project_id,
        "title": "nothing",
        "task_type": "feature",
        "permission_level": "autonomous",
        "priority": "normal",
        "status": "queued" if status == "pending" else "completed",
        "context": {},
        "metadata": {},
        "created_at": now,
        "updated_at": now,
    }


def _order(
    task_id: uuid.UUID, status: str, route: str, key: float, now: datetime
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "task_id": task_id,
        "queue_name": QUEUE,
        "status": status,
        "priority": 1,
        "fair_key": key,
        "required_capabilities": [],
        "route": route,
        "payload": {},
        "retry_count": 0,
        "max_retries": 0,
        "timeout_seconds": 60,
        "lease_generation": 0,
        "enqueued_at": now,
        "available_at": now,
        "created_at": now,
        "updated_at": now,
    }


async def analyse(db: Database) -> None:
    """Let the database know its tables, as its own upkeep would."""
    async with db.engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        sqlite = db.dialect.name == "sqlite"
        await autocommit.execute(text("ANALYZE" if sqlite else "VACUUM ANALYZE"))


async def drain(db: Database, batch: int, workers: int = 1, most: int | None = None) -> int:
    """Claim, prolong and complete orders until there are none; return how many.

    What ClaimMany, heartbeats and CompleteMany do to `work_orders`: a batch is completed, fenced by
    its generations, in the transaction that claims the next one.
    """
    done = 0

    async def one() -> None:
        nonlocal done
        held: list[Taken] = []
        while most is None or done < most:
            held = await _turn(db, held, batch)
            done += len(held)
            if not held:
                return
        await _turn(db, held, 0)

    await asyncio.gather(*(one() for _ in range(workers)))
    return done


async def _turn(db: Database, held: Sequence[Taken], batch: int) -> list[Taken]:
    async def work(tx: WriteTx) -> list[Taken]:
        now = datetime.now(UTC)
        if held:
            await complete(tx, held, now)
        if not batch:
            return []
        routes = [r for r in await claiming.pending_routes(tx, QUEUE) if r == ROUTE]
        return await claiming.take(tx, Claim(QUEUE, now, now + LEASE, batch), routes)

    return await db.write_in_place(work)


async def complete(tx: WriteTx, held: Sequence[Taken], now: datetime) -> None:
    """End orders that are still held under the generation they were taken with."""
    lost = await completing.complete_held(tx, {one.id: one.lease_generation for one in held}, now)
    if lost:
        raise SystemExit(f"{len(lost)} leases were lost, and nobody else was there")


def services(db: Database) -> Services:
    """Return the queue's operations on a database, without a server."""
    registry = Registry({"autovibe.v1.QueueService": QueueService(db.bells, __version__)})
    operations = Operations(db, registry, instance_id=uuid.uuid4(), clock=SystemClock())
    actor = Actor("system", "benchmark", ALL_SCOPES)
    return local_twin(operations, lambda: operations.context(actor))


async def whole_changes(db: Database, batch: int) -> int:
    """Claim and complete through the operations, with all that moves along; return how many."""
    queue = services(db).queue
    worker = await queue.register_worker(
        queue_pb2.RegisterWorkerRequest(
            name="benchmark", max_concurrent_tasks=1_000, version=__version__
        )
    )
    instance_id, done = str(uuid.uuid4()), 0
    while True:
        claimed = await queue.claim_many(
            queue_pb2.ClaimManyRequest(
                worker_id=worker.id, instance_id=instance_id, lease_s=60, limit=batch
            )
        )
        if not claimed.orders:
            return done
        reports = [
            work_pb2.FinishExecutionRequest(
                execution_id=order.execution.id,
                lease_generation=order.lease_generation,
                outcome="completed",
            )
            for order in claimed.orders
        ]
        ended = await queue.complete_many(queue_pb2.CompleteManyRequest(reports=reports))
        if any(verdict.reason for verdict in ended.verdicts):
            raise SystemExit(f"a report was refused: {ended.verdicts[0].message}")
        done += len(reports)


async def _drain_process(url: str, batch: int) -> None:
    """Drain as a process of its own: say that it is ready, wait for the word, say what was done."""
    db = open_database(url)
    await drain(db, batch, most=0)
    async with db.read() as tx:
        await claiming.pending_routes(tx, QUEUE)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    done = await drain(db, batch, 2)
    print(done, flush=True)
    await db.close()


if __name__ == "__main__":
    asyncio.run(_drain_process(sys.argv[1], int(sys.argv[2])))

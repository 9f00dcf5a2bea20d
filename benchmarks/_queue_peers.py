"""The queues that stand beside ours: each drains its own jobs on the same PostgreSQL.

Run by the Python of a virtual environment of their own: `_queue_peers.py NAME URL JOBS`. Prints
jobs per second. Both do nothing in a job; pgqueuer takes batches of 100, its best.
"""

# ruff: noqa: PLC0415 - each peer imports only what its own environment has

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

BATCH = 100
ENQUEUED_AT_ONCE = 1_000
CONCURRENCY = 8


async def pgqueuer(url: str, jobs: int) -> float:
    """Return jobs per second of pgqueuer in one process."""
    import asyncpg
    from pgqueuer import QueueManager
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    await queries.install()
    manager = QueueManager(queries)
    done = 0

    @manager.entrypoint("nothing")
    async def nothing(_job: object) -> None:
        nonlocal done
        done += 1

    for _ in range(jobs // ENQUEUED_AT_ONCE):
        await queries.enqueue(
            ["nothing"] * ENQUEUED_AT_ONCE, [b""] * ENQUEUED_AT_ONCE, [0] * ENQUEUED_AT_ONCE
        )
    await connection.execute("ANALYZE")
    begun = time.perf_counter()
    await manager.run(
        batch_size=BATCH, dequeue_timeout=timedelta(seconds=1), mode=QueueExecutionMode.drain
    )
    took = time.perf_counter() - begun
    await queries.uninstall()
    if done != jobs:
        raise SystemExit(f"pgqueuer did {done} of {jobs}")
    return jobs / took


async def procrastinate(url: str, jobs: int) -> float:
    """Return jobs per second of procrastinate in one process."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=url))
    done = 0

    @app.task(name="nothing")
    async def nothing() -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await nothing.batch_defer_async(*({} for _ in range(jobs)))
        begun = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=CONCURRENCY)
        took = time.perf_counter() - begun
    if done != jobs:
        raise SystemExit(f"procrastinate did {done} of {jobs}")
    return jobs / took


if __name__ == "__main__":
    name, url, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    peer = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[name]
    print(asyncio.run(peer(url, jobs)))

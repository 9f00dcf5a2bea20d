"""The work queue, beside pgqueuer and procrastinate on the same durable PostgreSQL, and on SQLite.

`queue_drain_…`, `queue_one_at_a_time…` and `queue_sqlite…` are the queue's core: orders are claimed
under a new generation and completed under it; `queue_full_status…` are the operations ClaimMany and
CompleteMany with everything that moves along. The peers have a virtual environment of their own,
made for the run. AUTOVIBE_BENCH_JOBS and AUTOVIBE_BENCH_HISTORY make it smaller.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import _queue_core as core
from sqlalchemy import text

from autovibe.db import Database, WriteTx, open_database
from autovibe.db.listening import hearing_bells
from autovibe.domains.work.enqueuing import queue_topic
from autovibe.domains.work.repository import claiming
from autovibe.domains.work.repository.claiming import Claim, Taken
from autovibe.testing.databases import TestDatabases
from autovibe.testing.postgres_server import DURABLE, SETTINGS_VARIABLE

JOBS: Final = int(os.environ.get("AUTOVIBE_BENCH_JOBS", "20000"))
HISTORY: Final = int(os.environ.get("AUTOVIBE_BENCH_HISTORY", "1000000"))
ROUNDS: Final = 3
BATCH: Final = 100
WORKERS: Final = 4
"""Connections of one process, so that it and the server work at the same time."""
SINGLE_WORKERS: Final = 8
SAMPLES: Final = 300
PEERS: Final = ("pgqueuer[asyncpg]==1.6.0", "procrastinate==3.10.0")
_HERE: Final = Path(__file__).resolve().parent


def main() -> None:
    """Print the rows."""
    os.environ[SETTINGS_VARIABLE] = DURABLE
    databases = TestDatabases(f"bench-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(_measure(databases, Path(directory)))
    finally:
        databases.close()


async def _measure(databases: TestDatabases, directory: Path) -> None:
    url = await databases.postgresql()
    peers = await asyncio.to_thread(_peer_python, directory / "peers")
    db = open_database(url)
    one, pgqueuer, bulk = [], [], []
    for _ in range(ROUNDS):
        bulk.append(await core.fill(db, JOBS))
        await core.analyse(db)
        one.append(await _rate(lambda: core.drain(db, BATCH, WORKERS)))
        pgqueuer.append(await asyncio.to_thread(_peer, peers, "pgqueuer", url, JOBS))
    procrastinate = await asyncio.to_thread(_peer, peers, "procrastinate", url, JOBS // 10)
    _row("queue_drain_1_process_per_s", one)
    _row("queue_bulk_enqueue_per_s", bulk)
    _row(
        "queue_drain_vs_pgqueuer",
        one,
        peer="pgqueuer 1.6.0, batches of 100, 1 process",
        peer_value=round(statistics.median(pgqueuer)),
        procrastinate_per_s=round(procrastinate),
    )
    _row("queue_drain_2_processes_per_s", [await _two_processes(db, url) for _ in range(ROUNDS)])
    _row("queue_one_at_a_time_per_s", [await _singles(db) for _ in range(ROUNDS)])
    await _whole(db, statistics.median(one))
    await _latency(db, url)
    await _capabilities(db)
    await _history(db)
    await db.close()
    await _sqlite(await databases.sqlite(directory))


async def _rate(work: Callable[[], Awaitable[int]]) -> float:
    begun = time.perf_counter()
    done = await work()
    return done / (time.perf_counter() - begun)


async def _two_processes(db: Database, url: str) -> float:
    await core.fill(db, JOBS)
    await core.analyse(db)
    command = [sys.executable, str(_HERE / "_queue_core.py"), url, str(BATCH)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    drainers: list[Any] = [
        await asyncio.to_thread(subprocess.Popen, command, **pipes) for _ in range(2)
    ]
    for drainer in drainers:
        await asyncio.to_thread(drainer.stdout.readline)
    begun = time.perf_counter()
    for drainer in drainers:
        drainer.stdin.write("go\n")
        drainer.stdin.flush()
    done = [int(await asyncio.to_thread(drainer.stdout.readline)) for drainer in drainers]
    took = time.perf_counter() - begun
    for drainer in drainers:
        drainer.communicate()
    if sum(done) != JOBS:
        raise SystemExit(f"two processes did {done} of {JOBS}")
    return JOBS / took


async def _singles(db: Database) -> float:
    await core.fill(db, JOBS // 5)
    await core.analyse(db)
    return await _rate(lambda: core.drain(db, 1, SINGLE_WORKERS))


async def _whole(db: Database, core_per_s: float) -> None:
    batched, single = [], []
    for _ in range(ROUNDS):
        await core.fill(db, JOBS // 4)
        await core.analyse(db)
        batched.append(await _rate(lambda: core.whole_changes(db, BATCH)))
        await core.fill(db, JOBS // 40)
        single.append(await _rate(lambda: core.whole_changes(db, 1)))
    _row(
        "queue_full_status_per_s",
        batched,
        one_at_a_time_per_s=round(statistics.median(single)),
        of_core=round(statistics.median(batched) / core_per_s, 3),
    )


async def _latency(db: Database, url: str) -> None:
    """Measure from the begin of an enqueuing transaction to the end of the claim, by NOTIFY."""
    other, started = open_database(url), asyncio.Queue[float]()
    topics = (queue_topic(core.QUEUE),)

    async def take(tx: WriteTx) -> list[Taken]:
        now = datetime.now(UTC)
        return await claiming.take(tx, Claim(core.QUEUE, now, now + core.LEASE, 1), [core.ROUTE])

    async def worker() -> None:
        seen = db.bells.count(topics)
        while True:
            seen = await db.bells.wait(topics, seen, 5)
            if await db.write_in_place(take):  # as ClaimMany does
                started.put_nowait(time.perf_counter())

    async with hearing_bells(db):
        working = asyncio.create_task(worker())
        await asyncio.sleep(0.5)
        waits: list[float] = []
        tasks = await core.idle_tasks(other, SAMPLES + 20)
        for task_id in tasks:
            begun = time.perf_counter()
            await core.enqueue_one(other, task_id)
            waits.append((await started.get() - begun) * 1000)
            await asyncio.sleep(0.005)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    await other.close()
    cuts = statistics.quantiles(waits[20:], n=100)
    for name, value in (("p50", cuts[49]), ("p99", cuts[98])):
        row = {"name": f"queue_start_latency_{name}_ms", "unit": "ms", "ours": round(value, 2)}
        print(json.dumps(row | {"runs": SAMPLES}), flush=True)


async def _capabilities(db: Database) -> None:
    """Drain behind 20,000 orders that the worker cannot do, and without them."""
    without = [await _small_drain(db) for _ in range(ROUNDS)]
    await core.fill(db, JOBS, route=core.OTHER_ROUTE, first_key=-1.0 - JOBS)
    behind = [await _small_drain(db) for _ in range(ROUNDS)]
    await _empty(db, "pending")
    _ratio("queue_capability_ratio", behind, without)


async def _history(db: Database) -> None:
    """Drain with a million finished orders kept, and without them."""
    await _empty(db, "completed")
    without = [await _small_drain(db) for _ in range(ROUNDS)]
    async with db.write() as tx:
        await tx.session.execute(text("SET LOCAL statement_timeout = 0"))
        await tx.session.execute(
            text(
                "INSERT INTO work_orders (task_id, queue_name, status, route, payload, fair_key)"
                " SELECT (SELECT id FROM tasks LIMIT 1), 'default', 'completed', :route, '{}', n"
                " FROM generate_series(1, :count) n"
            ),
            {"route": core.ROUTE, "count": HISTORY},
        )
    _ratio("queue_history_1m_ratio", [await _small_drain(db) for _ in range(ROUNDS)], without)


async def _small_drain(db: Database) -> float:
    await core.fill(db, JOBS // 2)
    await core.analyse(db)
    return await _rate(lambda: core.drain(db, BATCH, WORKERS))


async def _empty(db: Database, status: str) -> None:
    async with db.write() as tx:
        await tx.session.execute(text("SET LOCAL statement_timeout = 0"))
        await tx.session.execute(
            text("DELETE FROM work_orders WHERE status = :status"), {"status": status}
        )


async def _sqlite(url: str) -> None:
    db = open_database(url)
    single, batched = [], []
    for _ in range(ROUNDS):
        await core.fill(db, JOBS)
        batched.append(await _rate(lambda: core.drain(db, BATCH)))
        await core.fill(db, JOBS // 10)
        single.append(await _rate(lambda: core.drain(db, 1)))
    await db.close()
    _row("queue_sqlite_per_s", single, batched_per_s=round(statistics.median(batched)))


def _peer_python(directory: Path) -> str:
    """Make a virtual environment with the peers and return its Python."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    python = str(directory / "bin/python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--python", python]
    subprocess.run([*pip, "install", *PEERS], check=True, stdout=sys.stderr)
    return python


def _peer(python: str, name: str, url: str, jobs: int) -> float:
    command = [python, str(_HERE / "_queue_peers.py"), name, url, str(jobs)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _row(name: str, rates: list[float], **more: Any) -> None:
    row = {"name": name, "unit": "per_s", "ours": round(statistics.median(rates))}
    print(json.dumps(row | {"runs": len(rates)} | more), flush=True)


def _ratio(name: str, with_it: list[float], without: list[float]) -> None:
    ours, bare = statistics.median(with_it), statistics.median(without)
    row = {"name": name, "unit": "ratio", "ours": round(ours / bare, 3), "runs": len(with_it)}
    print(json.dumps(row | {"with_per_s": round(ours), "without_per_s": round(bare)}), flush=True)


if __name__ == "__main__":
    main()

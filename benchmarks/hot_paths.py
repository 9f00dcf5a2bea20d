"""The hot paths of the data layer against bare asyncpg that runs the same statements.

A claim, a heartbeat, a hold and a settlement, one at a time over one connection to a durable
PostgreSQL. What ours sends is recorded, with its values, and sent again by bare asyncpg to a copy
of the database; the two take turns. So the ratio is what validation, rules, SQLAlchemy and messages
cost beside the statements themselves: 1 would be nothing at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import asyncpg
from _ledger import HotProject, databases, hot_project_in, services_on
from _queue_core import fill, services
from ledger import reservation, settlement
from sqlalchemy import event, make_url

from autovibe import __version__
from autovibe.db import open_database
from autovibe.testing.databases import TestDatabases
from autovibe.v1 import metering_pb2, queue_pb2

OPERATIONS: Final = int(os.environ.get("AUTOVIBE_BENCH_OPERATIONS", "200"))
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "7"))
PATHS: Final = ("claim", "heartbeat", "reserve", "settle")
_ORDERS: Final = OPERATIONS * (ROUNDS + 1)
Statement = tuple[str, tuple[Any, ...]]
Operation = Callable[[], Awaitable[object]]


@dataclass
class Recorder:
    """What was sent to a server, in order."""

    sent: list[Statement] = field(default_factory=list[Statement])

    def attach(self, project: HotProject) -> None:
        """Record everything that the connections of a database send from now on.

        What goes through SQLAlchemy is told by it, the rest by asyncpg, which tells in the next
        round of the loop: so that the order is kept, SQLAlchemy's word is put off, too.
        """
        engine = project.database.engine.sync_engine

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: object) -> None:
            connection.driver_connection.add_query_logger(self._logged)

        @event.listens_for(engine, "after_cursor_execute")
        def _executed(*told: Any) -> None:
            _, _, statement, values, _, many = told
            for one in values if many else [values]:
                asyncio.get_running_loop().call_soon(self.sent.append, (statement, tuple(one)))

    def _logged(self, record: asyncpg.connection.LoggedQuery) -> None:
        # The look whether a connection lives is no statement of the operation; a list is of many
        # rows, which SQLAlchemy has told of.
        if record.query != ";" and not isinstance(record.args, list):
            self.sent.append((record.query, tuple(record.args or ())))

    async def take(self) -> list[Statement]:
        """Return what was sent since the last time."""
        await asyncio.sleep(0)
        sent, self.sent = self.sent, []
        return sent


async def replay(connection: asyncpg.Connection, statements: list[Statement]) -> float:
    """Send statements over a bare connection; return the seconds that took."""
    begun = time.perf_counter()
    for query, values in statements:
        if values or query.lstrip()[:6].upper() in {"SELECT", "INSERT", "UPDATE"}:
            await connection.fetch(query, *values)
        else:
            await connection.execute(query)
    return time.perf_counter() - begun


async def measure(found: TestDatabases) -> dict[str, tuple[float, float]]:
    """Return operations per second, ours and those of bare asyncpg, for each path."""
    url = await found.postgresql()
    async with hot_project_in(url, allocated="900000000", periods=("total",)) as project:
        await fill(project.database, _ORDERS)
        queue = services(project.database).queue
        worker = await queue.register_worker(
            queue_pb2.RegisterWorkerRequest(
                name="benchmark", max_concurrent_tasks=1_000, version=__version__
            )
        )
        project_id = project.project_id
    async with copied(url) as copy:
        return await take_turns(url, copy, project_id, worker.id)


@asynccontextmanager
async def copied(url: str) -> AsyncGenerator[str, None]:
    """Give the URL of a copy of a database that nobody has open."""
    parsed = make_url(url).set(drivername="postgresql")
    name = f"{parsed.database}_copy"
    server = parsed.set(database="postgres").render_as_string(hide_password=False)
    admin = await asyncpg.connect(server)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{parsed.database}"')
    try:
        yield parsed.set(database=name).render_as_string(hide_password=False)
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


async def take_turns(
    url: str, copy: str, project_id: str, worker_id: str
) -> dict[str, tuple[float, float]]:
    """Let ours and bare asyncpg do every path in turns."""
    rates: dict[str, list[tuple[float, float]]] = {path: [] for path in PATHS}
    database = open_database(url)
    ledger, instance_id = services_on(database)
    project = HotProject(database, ledger, project_id, instance_id)
    recorder = Recorder()
    recorder.attach(project)
    bare = await asyncpg.connect(copy)
    for number in range(ROUNDS + 1):
        for path, todo in operations(project, worker_id):
            await recorder.take()
            begun = time.perf_counter()
            for operation in todo:
                await operation()
            ours = time.perf_counter() - begun
            theirs = await replay(bare, await recorder.take())
            if number:
                rates[path].append((OPERATIONS / ours, OPERATIONS / theirs))
    await bare.close()
    await database.close()
    return {
        path: (
            statistics.median(ours for ours, _ in turns),
            statistics.median(theirs for _, theirs in turns),
        )
        for path, turns in rates.items()
    }


def operations(project: HotProject, worker_id: str) -> Iterator[tuple[str, list[Operation]]]:
    """Give each path with what is to be done, one after the other."""
    queue = services(project.database).queue
    claim = queue_pb2.ClaimManyRequest(
        worker_id=worker_id, instance_id=project.instance_id, lease_s=3_600, limit=1
    )
    yield "claim", [lambda: queue.claim_many(claim)] * OPERATIONS
    beat = queue_pb2.HeartbeatWorkerRequest(worker_id=worker_id)
    yield "heartbeat", [lambda: queue.heartbeat_worker(beat)] * OPERATIONS
    metering = project.services.metering
    ids = [str(uuid.uuid4()) for _ in range(OPERATIONS)]
    execution_id = str(uuid.uuid4())
    holds = [
        metering_pb2.ReserveManyRequest(reservations=[reservation(project, one, execution_id)])
        for one in ids
    ]
    yield "reserve", [partial(metering.reserve_many, hold) for hold in holds]
    ends = [metering_pb2.SettleManyRequest(settlements=[settlement(one)]) for one in ids]
    yield "settle", [partial(metering.settle_many, end) for end in ends]


def main() -> None:
    """Print one row for each path."""
    with databases() as found:
        rates = asyncio.run(measure(found))
    for path, (ours, theirs) in rates.items():
        row = {
            "name": f"hot_{path}_vs_asyncpg",
            "unit": "per_s",
            "ours": round(ours),
            "peer": "the same statements by bare asyncpg",
            "peer_value": round(theirs),
            "runs": ROUNDS,
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

"""Usage ingestion with the budget rule, against COPY into the same table without it.

Four connections write batches of 500 rows of four projects to a durable PostgreSQL, each batch in a
transaction. `usage_ingest_vs_copy`: ours inserts by the statement of `RecordUsageMany`, with the
triggers that keep budgets and days; the peer is COPY by the bare driver, with the triggers off and
everything else equal (partitions, indexes, foreign keys). Blocks of the two alternate.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import asyncpg
from sqlalchemy import text

from autovibe.db import Database, open_database
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases
from autovibe.testing.postgres_server import DURABLE, SETTINGS_VARIABLE

CONNECTIONS: Final = 4
BATCH: Final = 500
BATCHES: Final = int(os.environ.get("AUTOVIBE_BENCH_BATCHES", "40"))
ROUNDS: Final = 7
Row = dict[str, Any]
Work = Callable[[list[Row]], Awaitable[None]]
NOW: Final = datetime(2026, 11, 15, 12, tzinfo=UTC)


def main() -> None:
    """Print one row of results."""
    os.environ[SETTINGS_VARIABLE] = DURABLE
    databases = TestDatabases(f"bench-{os.getpid()}")
    try:
        with_rule, without = asyncio.run(measure(databases))
    finally:
        databases.close()
    row = {
        "name": "usage_ingest_vs_copy",
        "unit": "rows/s",
        "ours": round(with_rule),
        "runs": ROUNDS,
        "peer": "COPY without the budget rule, 4 connections",
        "peer_value": round(without),
    }
    print(json.dumps(row))


async def measure(databases: TestDatabases) -> tuple[float, float]:
    """Return rows per second with and without the rule: medians over the rounds."""
    url = await databases.postgresql()
    database = open_database(url)
    projects = await prepare(database)
    bare = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    rates: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(ROUNDS * 2 + 2):
        rule = "on" if number % 2 else "off"
        await switch(database, rule)
        batches = [rows(projects, number) for number in range(BATCHES)]
        work = ours(database) if rule == "on" else peer(bare)
        rate = await block(batches, work)
        if number >= 2:
            rates[rule].append(rate)
    for connection in bare:
        await connection.close()
    await check(database)
    await database.close()
    return statistics.median(rates["on"]), statistics.median(rates["off"])


async def prepare(database: Database) -> list[uuid.UUID]:
    """Make projects with daily and monthly budgets, and the partitions."""
    projects: list[uuid.UUID] = []
    async with database.write() as tx:
        for _ in range(4):
            project = await factories.add_project(tx)
            projects.append(project.id)
            for period in ("daily", "total"):
                await factories.add(
                    tx,
                    "resource_budgets",
                    project_id=project.id,
                    resource_type="cpu",
                    budget_period=period,
                    period_start=date(1970, 1, 1) if period == "total" else NOW.date(),
                    period_end=date(9999, 12, 31) if period == "total" else NOW.date(),
                    allocated_amount=Decimal(900_000_000),
                    unit="core_seconds",
                )
        for month in (10, 11, 12):
            await tx.session.execute(
                text(
                    "SELECT create_monthly_partition('resource_usage', make_date(2026, :month, 1))"
                ),
                {"month": month},
            )
    return projects


async def switch(database: Database, rule: str) -> None:
    """Turn the triggers of autovibe on or off."""
    verb = "ENABLE" if rule == "on" else "DISABLE"
    async with database.write() as tx:
        await tx.session.execute(text(f"ALTER TABLE resource_usage {verb} TRIGGER USER"))


def ours(database: Database) -> list[Work]:
    """Return what writes a batch as autovibe does, once per connection."""

    async def one(batch: list[Row]) -> None:
        async with database.write() as tx:
            await tx.dialect.insert_bulk(tx.session, TABLE, batch)

    return [one] * CONNECTIONS


def peer(connections: list[asyncpg.Connection]) -> list[Work]:
    """Return what writes a batch by COPY alone, once per connection."""

    def one(connection: asyncpg.Connection) -> Work:
        async def work(batch: list[Row]) -> None:
            records = [tuple(row.values()) for row in batch]
            await connection.copy_records_to_table(
                TABLE.name, records=records, columns=list(batch[0])
            )

        return work

    return [one(connection) for connection in connections]


async def block(batches: list[list[Row]], workers: list[Work]) -> float:
    """Write all batches over four connections and return rows per second."""
    if workers[0].__qualname__.startswith("peer"):
        batches = [[{**row, "metadata": "{}"} for row in batch] for batch in batches]
    queue = iter(batches)

    async def one(work: Work) -> None:
        for batch in queue:
            await work(batch)

    begun = time.perf_counter()
    await asyncio.gather(*(one(work) for work in workers))
    return BATCHES * BATCH / (time.perf_counter() - begun)


TABLE: Final[Any] = factories.model("resource_usage").__table__


def rows(projects: list[uuid.UUID], number: int) -> list[dict[str, Any]]:
    """Return a batch: samples of many machines of each project."""
    return [
        {
            "id": uuid.uuid4(),
            "recorded_at": NOW + timedelta(milliseconds=number * BATCH + index),
            "project_id": projects[index % len(projects)],
            "machine_id": None,
            "execution_id": None,
            "reservation_id": None,
            "resource_type": "cpu",
            "resource_subtype": "vm_runtime",
            "amount": Decimal("0.25"),
            "unit": "core_seconds",
            "cost_cad": None,
            "enforcement": "authorise",
            "billing_period_start": date(2026, 11, 1),
            "billing_period_end": date(2026, 11, 30),
            "metadata": {},
        }
        for index in range(BATCH)
    ]


async def check(database: Database) -> None:
    """Stop unless budgets and days hold exactly what was written with the rule on."""
    expected = Decimal("0.25") * BATCH * BATCHES * (ROUNDS + 1)
    async with database.read() as tx:
        for query in (
            "SELECT sum(used_amount) FROM resource_budgets WHERE budget_period = 'daily'",
            "SELECT sum(amount) FROM resource_usage_daily",
        ):
            found = (await tx.session.execute(text(query))).scalar_one()
            if found != expected:
                raise SystemExit(f"{query} gives {found}, not {expected}")


if __name__ == "__main__":
    main()

"""How the databases run a claim: by one index, without a look at the orders ahead of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from autovibe.db import Database, open_database
from autovibe.domains.work.models import CapabilityLevel
from autovibe.domains.work.repository import claiming
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.repository.claiming import Claim
from autovibe.domains.work.routing import Abilities
from autovibe.domains.work.watermarks import Watermarks
from autovibe.kernel.clock import SystemClock
from autovibe.testing import factories

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINE, OTHERS = "*|shell|process|", "*|shell|process|gpu:4"
FINISHED, AHEAD, OURS = 3_000, 2_000, 30


@pytest.fixture
async def queue(database_url: str) -> AsyncGenerator[Database, None]:
    """Give a queue with a long past, and with orders ahead that our worker cannot do."""
    db = open_database(database_url)
    async with db.write() as tx:
        project = await factories.add_project(tx)
        rows: list[dict[str, Any]] = []
        for status, route, count in (
            ("completed", MINE, FINISHED),
            ("pending", OTHERS, AHEAD),
            ("pending", MINE, OURS),
        ):
            task = await factories.add_task(tx, project.id, status="queued")
            rows += [_order(task.id, status, route, float(len(rows) + n)) for n in range(count)]
        await order_rows.insert_orders(tx, rows)
    async with db.engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
        await connection.commit()
    yield db
    await db.close()


def _order(task_id: uuid.UUID, status: str, route: str, key: float) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "task_id": task_id,
        "queue_name": "default",
        "status": status,
        "route": route,
        "fair_key": key,
        "payload": {},
        "available_at": NOW,
        "enqueued_at": NOW,
    }


async def _claim(db: Database, routes: list[str], most: int) -> list[claiming.Taken]:
    async with db.write() as tx:
        return await claiming.take(
            tx, Claim("default", NOW, NOW + timedelta(seconds=60), most), routes
        )


async def _explained(db: Database, sql: str, values: dict[str, Any], *, generic: bool) -> str:
    """Return what a statement really did, with the rows that it looked at."""
    async with db.write() as tx:
        if generic:
            await tx.session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        statement = claiming.typed(sql, "postgresql", prefix="EXPLAIN (ANALYZE, BUFFERS) ")
        rows = await tx.session.execute(statement, values)
        told = "\n".join(row[0] for row in rows)
        await tx.session.rollback()
    return told


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("generic", [False, True])
async def test_a_claim_reads_its_own_route_by_the_index_and_nothing_else(
    queue: Database,
    generic: bool,  # noqa: FBT001 - a parameter of the test
):
    values = {"queue": "default", "now": NOW, "until": NOW, "routes": [MINE], "wants": [10]}
    plan = await _explained(queue, claiming.TAKE, values, generic=generic)
    assert "idx_work_orders_claim" in plan
    assert "Seq Scan on work_orders" not in plan
    assert "Sort" not in plan
    assert "Hash" not in plan
    scan = re.search(r"Index Scan using idx_work_orders_claim.*?SubPlan", plan, re.DOTALL)
    assert scan is not None
    assert "rows=10" in scan.group()
    # One order that was looked at and left would be said here.
    assert "Rows Removed" not in scan.group(), plan
    routes = await _explained(queue, claiming.ROUTES, {"queue": "default"}, generic=generic)
    assert "Seq Scan on work_orders" not in routes
    assert "Sort" not in routes


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_reads_the_route_by_the_index_in_its_order(queue: Database):
    async with queue.read() as tx:
        for sql, values in (
            (claiming.ONE_ROUTE, {"queue": "default", "now": NOW, "route": MINE, "most": 10}),
            (claiming.ROUTES, {"queue": "default"}),
        ):
            statement = claiming.typed(sql, "sqlite", prefix="EXPLAIN QUERY PLAN ")
            plan = "\n".join(row[-1] for row in await tx.session.execute(statement, values))
            assert "SCAN w" not in plan
            assert "idx_work_orders_claim" in plan
            assert "TEMP B-TREE" not in plan


async def test_a_worker_gets_what_it_can_do_from_behind_what_it_cannot(queue: Database):
    taken = await _claim(queue, [MINE], 10)
    assert [order.fair_key for order in taken] == [float(FINISHED + AHEAD + n) for n in range(10)]
    assert {order.lease_generation for order in taken} == {1}
    both = await _claim(queue, [MINE, OTHERS], AHEAD + 100)
    assert len(both) == AHEAD + OURS - 10
    assert [order.fair_key for order in both] == sorted(order.fair_key for order in both)
    assert await _claim(queue, [MINE, OTHERS], 1) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_held_snapshot_does_not_make_claims_walk_over_what_is_gone(queue: Database):
    marks, clock = Watermarks(held_age=0), SystemClock()
    abilities = Abilities("feature", capabilities={"gpu": CapabilityLevel.EXPERT})
    reader = await queue.engine.connect()
    await reader.execution_options(isolation_level="REPEATABLE READ")
    await reader.execute(text("SELECT txid_current()"))
    try:
        keys: list[float] = []
        for most in (AHEAD // 2, AHEAD // 2 - 10, 5, 5):
            async with queue.write() as tx:
                claim = Claim("default", NOW, NOW + timedelta(seconds=60), most)
                keys += [one.fair_key for one in await marks.take(tx, claim, abilities, clock)]
        assert keys == [float(FINISHED + n) for n in range(AHEAD)]
        values = {"queue": "default", "now": NOW, "until": NOW}
        last = {"route": MINE, "priority": 0, "mark": float(FINISHED + AHEAD), "most": 5}
        first = {"routes": [OTHERS, MINE], "wants": [5, 5]}
        walked = await _explained(queue, claiming.TAKE, values | first, generic=False)
        spared = await _explained(queue, claiming.ABOVE, values | last, generic=False)
        assert "Seq Scan on work_orders" not in spared
        assert "Sort" not in spared
        # Every page of what was claimed, against the few of what is still there (77 and 8).
        assert 5 * _pages_of_scan(spared) < _pages_of_scan(walked)
    finally:
        await reader.close()


def _pages_of_scan(plan: str) -> int:
    """Return how many pages the scan of the claim index looked at."""
    found = re.search(
        r"Index Scan using idx_work_orders_claim.*?Buffers: shared hit=(\d+)", plan, re.DOTALL
    )
    assert found is not None, plan
    return int(found.group(1))

"""The data set for development: what the source names, and nothing that contradicts itself."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from ledger_desk import NOON, HandClock
from sqlalchemy import text

from autovibe.db import Database
from autovibe.domains.metering.auditing import audit_usage
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.testing.dev_data import add_dev_data, has_projects
from autovibe.v1 import usage_pb2


async def rows(db: Database, query: str) -> list[tuple[object, ...]]:
    async with db.read() as tx:
        return [tuple(row) for row in await tx.session.execute(text(query))]


@pytest.mark.req("S3-93")
async def test_the_data_set_has_a_worker_with_the_five_capabilities(db: Database) -> None:
    async with db.write() as tx:
        assert not await has_projects(tx)
        counts = await add_dev_data(tx, NOON)
        assert await has_projects(tx)
    assert set(
        await rows(db, "SELECT capability_name, capability_level FROM worker_capabilities")
    ) == {
        ("Python", "expert"),
        ("TypeScript", "advanced"),
        ("React", "advanced"),
        ("FastAPI", "expert"),
        ("Testing", "intermediate"),
    }
    for table, number in counts.items():
        name = {"machines": "intelligent_machines"}.get(table, table)
        assert await rows(db, f"SELECT count(*) FROM {name}") == [(number,)], table
    # Nothing of it can be run, and no store is asked for its files.
    idle = "SELECT count(*) FROM {} WHERE {}"
    for table, running in (
        ("tasks", "status IN ('queued', 'in_progress')"),
        ("work_orders", "status IN ('pending', 'claimed')"),
        ("intelligent_machines", "status <> 'terminated'"),
        ("executions", "status = 'running'"),
        ("checkpoints", "manifest_root IS NOT NULL OR verification_status <> 'verified'"),
        ("checkpoint_verification_queue", "status = 'queued'"),
    ):
        assert await rows(db, idle.format(table, running)) == [(0,)], table


async def test_the_books_of_the_data_set_are_right(db: Database) -> None:
    clock = HandClock(NOON + timedelta(hours=1))
    async with db.write() as tx:
        await add_dev_data(tx, NOON)
    actor = Actor("system", "tests", ALL_SCOPES)
    ctx = CallContext(actor=actor, clock=clock, instance_id=uuid.uuid4())
    async with db.read() as tx:
        request = usage_pb2.AuditUsageRequest()
        found: list[str] = []
        while True:
            answer = await audit_usage(tx, ctx, request)
            found += [one.message for one in answer.differences]
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
    assert found == []
    used = await rows(db, "SELECT count(*) FROM resource_budgets WHERE used_amount > 0")
    assert used == [(4,)]

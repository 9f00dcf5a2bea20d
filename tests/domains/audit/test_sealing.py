"""Seals over the audit trail: a changed row, or a removed one, breaks the chain."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane
from sqlalchemy import text

from autovibe.db.records import OutboxEvent
from autovibe.domains.audit.sealing import verify_seals


async def broken(plane: Plane) -> int | None:
    async with plane.db.read() as tx:
        seal = (await verify_seals(tx, None, 100)).broken
        return None if seal is None else seal.id


async def test_every_row_is_under_one_seal_and_the_chain_holds(
    plane: Plane, tmp_path: Path
) -> None:
    runner = scheduler_of(plane, tmp_path).runner
    for number in range(3):
        await plane.project(f"p{number}")
    assert (await run_job(runner, "seal-audit", dry=True)).affected_rows == 3
    assert (await run_job(runner, "seal-audit")).affected_rows == 3
    await plane.project("p3")
    assert (await run_job(runner, "seal-audit")).affected_rows == 1
    assert (await run_job(runner, "seal-audit")).affected_rows == 0
    seals = await plane.rows("SELECT first_id, last_id FROM audit_seals ORDER BY id")
    ids = [row[0] for row in await plane.rows("SELECT id FROM audit_log ORDER BY id")]
    assert seals == [(ids[0], ids[2]), (ids[3], ids[3])]
    assert await broken(plane) is None


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_log SET actor_id = 'nobody' WHERE id = 2",
        "DELETE FROM audit_log WHERE id = 2",
        "UPDATE audit_seals SET rows_hash = hash WHERE id = 1",
        "DELETE FROM audit_seals WHERE id = 1",
    ],
)
async def test_tampering_is_found(plane: Plane, tmp_path: Path, tampering: str) -> None:
    runner = scheduler_of(plane, tmp_path).runner
    for number in range(3):
        await plane.project(f"p{number}")
    await run_job(runner, "seal-audit")
    await plane.project("p3")
    await run_job(runner, "seal-audit")
    async with plane.db.write() as tx:
        await tx.session.execute(text(tampering))
    assert await broken(plane) is not None


async def test_rows_that_commit_while_it_seals_are_sealed_too(plane: Plane, tmp_path: Path) -> None:
    runner = scheduler_of(plane, tmp_path).runner

    async def work(number: int) -> None:
        await plane.project(f"at-once-{number}")

    for start in range(0, 12, 4):
        await asyncio.gather(
            *(work(number) for number in range(start, start + 4)), run_job(runner, "seal-audit")
        )
    await run_job(runner, "seal-audit")
    sealed = await plane.rows(
        "SELECT count(*) FROM audit_log JOIN audit_seals"
        " ON audit_log.id BETWEEN first_id AND last_id"
    )
    assert sealed == await plane.rows("SELECT count(*) FROM audit_log")
    assert await broken(plane) is None


async def test_only_events_that_were_relayed_a_day_ago_are_cleaned_up(
    plane: Plane, tmp_path: Path
) -> None:
    now = plane.clock.now()
    async with plane.db.write() as tx:
        await tx.session.execute(text("DELETE FROM outbox_events"))
        for topic, relayed_at in (
            ("old", now - timedelta(days=2)),
            ("young", now - timedelta(hours=1)),
            ("waits", None),
        ):
            tx.session.add(OutboxEvent(topic=topic, payload={}, relayed_at=relayed_at))
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "cleanup-outbox", dry=True)).affected_rows == 1
    assert (await run_job(runner, "cleanup-outbox")).affected_rows == 1
    left = await plane.rows("SELECT topic FROM outbox_events ORDER BY topic")
    assert {"young", "waits"} <= {row[0] for row in left}
    assert ("old",) not in left

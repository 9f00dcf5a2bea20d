"""What checkpoints cost to keep."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_desk import LedgerDesk

from autovibe.domains.metering import sample_storage
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.testing import factories
from autovibe.v1 import projects_pb2

GB = 10**9


async def step(desk: LedgerDesk, *, dry_run: bool = False) -> int:
    ctx = CallContext(Actor("system", "tests", ALL_SCOPES), desk.clock, uuid.uuid4())
    async with desk.db.write() as tx:
        return (await sample_storage(tx, ctx, dry_run=dry_run)).rows


async def checkpoint(desk: LedgerDesk, stored_bytes: int, **more: Any) -> None:
    async with desk.db.write() as tx:
        project_id = uuid.UUID(more.pop("project_id", desk.project_id))
        values = {"created_at": desk.clock.now() - timedelta(hours=2)} | more
        await factories.add_checkpoint(tx, project_id, stored_bytes=stored_bytes, **values)


async def test_stored_bytes_are_charged_by_the_hour_since_the_last_sample(
    desk: LedgerDesk,
) -> None:
    await checkpoint(desk, 2 * GB)
    await desk.budget("100", "storage")
    assert await step(desk, dry_run=True) == 1
    assert await desk.used_by_rows("storage") == 0
    assert await step(desk) == 1
    assert await desk.used_by_rows("storage") == 2
    assert await step(desk) == 0
    desk.clock.advance(hours=3)
    await checkpoint(desk, GB)
    assert await step(desk) == 1
    assert await desk.used_by_rows("storage") == 2 + 9
    assert await desk.amounts() == [("100.00", "11.00", "0.00")]


async def test_thinned_checkpoints_and_other_projects_cost_a_project_nothing(
    desk: LedgerDesk,
) -> None:
    other = await desk.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="other")
    )
    await checkpoint(desk, 2 * GB, pruned_at=desk.clock.now())
    await checkpoint(desk, 4 * GB, project_id=other.id)
    assert await step(desk) == 1
    assert await desk.used_by_rows("storage") == 0
    (line,) = (await desk.usage(project=other.id)).lines
    assert (line.resource_type, line.resource_subtype) == ("storage", "storage_snapshot")
    assert Decimal(line.amount) == 4


@pytest.mark.parametrize("size", [1, 777, 123_457])
async def test_what_is_below_six_decimals_is_never_lost(desk: LedgerDesk, size: int) -> None:
    await checkpoint(desk, size)
    await step(desk)
    for _ in range(30):
        desk.clock.advance(minutes=37)
        await step(desk)
    # One hour is all that a first sample counts, unless that is too little to be written.
    hours = (2 if size < 1000 else 1) + Decimal(37 * 30) / 60
    exact = Decimal(size) / GB * hours
    recorded = await desk.used_by_rows("storage")
    assert 0 <= exact - recorded < Decimal("0.000001")


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(minutes=st.lists(st.integers(1, 5_000), min_size=1, max_size=6))
async def test_any_rhythm_of_samples_comes_to_the_same(
    desk: LedgerDesk, minutes: list[int]
) -> None:
    project = await desk.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name=f"project {uuid.uuid4()}")
    )
    await checkpoint(desk, 987_654_321, project_id=project.id)
    await step(desk)
    for wait in minutes:
        desk.clock.advance(minutes=wait)
        await step(desk)
    (line,) = (await desk.usage(project=project.id)).lines
    exact = Decimal(987_654_321) / GB * (1 + Decimal(sum(minutes)) / 60)
    assert 0 <= exact - Decimal(line.amount) < Decimal("0.000001")

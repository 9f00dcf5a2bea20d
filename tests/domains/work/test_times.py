"""The times that the steps of a task write, each where it belongs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from plane import Plane
from sqlalchemy import select

from autovibe.testing import factories
from autovibe.v1 import work_pb2


async def _times(plane: Plane, table: str, *columns: str) -> tuple[Any, ...]:
    """Return columns of the one row of a table."""
    model = factories.model(table)
    async with plane.db.read() as tx:
        query = select(*(getattr(model, column) for column in columns))
        return tuple((await tx.session.execute(query)).one())


@pytest.mark.req("S3-36", "S3-45", "S3-51", "S3-57", "S3-58")
async def test_each_step_of_a_task_writes_its_time(plane: Plane) -> None:
    async with plane.db.write() as tx:
        project = await factories.add_project(tx, name="website")
        genesis = await factories.add_checkpoint(tx, project.id)
        project.initial_checkpoint_id = project.current_checkpoint_id = genesis.id
    await plane.worker()
    start: datetime = plane.clock.now()
    await plane.task()
    assert await _times(plane, "tasks", "created_at", "started_at", "completed_at") == (
        start,
        None,
        None,
    )
    order_times = ("enqueued_at", "claimed_at", "completed_at")
    assert await _times(plane, "work_orders", *order_times) == (start, None, None)

    plane.clock.advance(seconds=10)
    claimed = plane.clock.now()
    order = await plane.claimed()
    assert await _times(plane, "tasks", "started_at", "completed_at") == (claimed, None)
    assert await _times(plane, "work_orders", *order_times) == (start, claimed, None)
    assert await _times(plane, "worker_assignments", "assigned_at", "completed_at") == (
        claimed,
        None,
    )
    execution_times = ("started_at", "completed_at", "duration_seconds")
    assert await _times(plane, "executions", *execution_times) == (claimed, None, None)

    plane.clock.advance(seconds=42)
    done = plane.clock.now()
    await plane.finish(order, metrics=work_pb2.ExecutionMetrics(duration_s=41.5))
    assert await _times(plane, "tasks", "started_at", "completed_at") == (claimed, done)
    assert await _times(plane, "work_orders", *order_times) == (start, claimed, done)
    assert await _times(plane, "worker_assignments", "assigned_at", "completed_at") == (
        claimed,
        done,
    )
    assert await _times(plane, "executions", *execution_times) == (claimed, done, 42)
    (metrics,) = await _times(plane, "executions", "metrics")
    assert metrics["duration_s"] == 41.5

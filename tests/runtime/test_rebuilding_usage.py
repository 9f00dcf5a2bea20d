"""Rows of real calls are lost, and come back as they were."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from gateway_bench import Bench, ask, open_bench
from ledger_desk import HandClock, LedgerDesk
from plane import Plane, write_files
from sqlalchemy import text

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.runtime.call_observer import CallReporter
from autovibe.runtime.checkpointer import Checkpointer
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text
from autovibe.v1 import metering_pb2, usage_pb2


@dataclass
class Checkpoints:
    """Takes no checkpoint."""

    last_settled_call_id: str = ""


@dataclass
class Lived:
    """A plane on which an execution has made calls, and their rows as they were written."""

    plane: Plane
    desk: LedgerDesk
    rows: list[dict[str, Any]]

    async def sql(self, statement: str) -> None:
        async with self.plane.db.write() as tx:
            await tx.session.execute(text(statement))

    async def now(self) -> list[dict[str, Any]]:
        return await rows_of(self.plane)

    async def rebuild(self, **more: Any) -> list[usage_pb2.RebuiltCall]:
        request = usage_pb2.RebuildUsageRequest(project="website", **more)
        answer = await self.plane.services.metering.rebuild_usage(request)
        assert not answer.next_page_token
        return list(answer.calls)

    async def differences(self) -> list[str]:
        answer = await self.plane.services.metering.audit_usage(usage_pb2.AuditUsageRequest())
        return [one.message for one in answer.differences]


async def rows_of(plane: Plane) -> list[dict[str, Any]]:
    """Return the rows of calls, all columns but those that say which row it is."""
    async with plane.db.read() as tx:
        found = await tx.session.execute(
            text(
                "SELECT * FROM resource_usage WHERE reservation_id IS NOT NULL "
                "ORDER BY reservation_id, resource_type"
            )
        )
        rows = [dict(row) for row in found.mappings()]
    for row in rows:
        del row["id"], row["enforcement"]
        if isinstance(row["metadata"], str):
            row["metadata"] = json.loads(row["metadata"])
    return rows


@asynccontextmanager
async def gateway_of(
    plane: Plane, desk: LedgerDesk, reporter: CallReporter, **binding: Any
) -> AsyncGenerator[Bench]:
    """Serve a gateway whose calls are reported as those of a run are."""
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="", **binding) as bench,
    ):
        bench.observer.settled = reporter.settled  # type: ignore[method-assign]  # the real one
        yield bench
        await bench.all_settled()


@pytest.fixture
async def lived(plane: Plane, tmp_path: Path) -> Lived:
    """Give a plane with such an execution, on either database."""
    return await live(plane, tmp_path)


@pytest.fixture
async def lived_once(one_plane: Plane, tmp_path: Path) -> Lived:
    """Give one on SQLite, for what does not depend on the database."""
    return await live(one_plane, tmp_path)


async def live(plane: Plane, tmp_path: Path) -> Lived:
    project = await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    task = await plane.task(budget="3")
    await plane.worker()
    order = await plane.claimed()
    desk = LedgerDesk(
        plane.db, plane.services, cast("HandClock", plane.clock), project.id, plane.instance_id
    )
    await desk.budget("50", "api_calls", task_id=task.id)
    await desk.budget("20", period="monthly")
    log = ExecutionLog(plane.services.work, order.execution.id, 1, plane.clock)
    reporter = CallReporter(
        cast("Checkpointer", Checkpoints()), plane.services.metering, log, project.id, task.id
    )
    binding = {"task_id": task.id, "execution_id": order.execution.id, "lease_generation": 1}
    async with gateway_of(plane, desk, reporter, **binding) as bench:
        for number in range(3):
            status, _, _ = await bench.send(ask(f"Number {number}."))
            assert status == 200
    await log.close()
    # One that a process has left behind: recovery settles it, and no line tells of it.
    await desk.hold("0.123", instance_id="00000000-0000-0000-0000-000000000007", **binding)
    await plane.services.metering.recover_reservations(
        metering_pb2.RecoverReservationsRequest(
            instance_ids=["00000000-0000-0000-0000-000000000007"]
        )
    )
    lived = Lived(plane, desk, await rows_of(plane))
    assert len(lived.rows) == 8
    assert await lived.differences() == []
    return lived


@pytest.mark.req("S1-90")
async def test_lost_rows_of_calls_come_back_exactly_and_once(lived: Lived) -> None:
    await lived.sql("DELETE FROM resource_usage")
    assert len(await lived.differences()) > 3

    told = await lived.rebuild(dry_run=True)
    assert await lived.now() == []
    assert sorted((one.source, one.rows) for one in told) == [("ledger", 2)] + [("log", 2)] * 3

    assert await lived.rebuild() == told
    assert await lived.now() == lived.rows
    assert all(
        row["metadata"]["raw_usage"] for row in lived.rows if "native_cost" in row["metadata"]
    )
    assert await lived.differences() == []
    async with lived.plane.db.read() as tx:
        kept = await tx.session.execute(text("SELECT DISTINCT enforcement FROM resource_usage"))
        assert list(kept.scalars()) == ["record"]

    assert await lived.rebuild() == []
    assert await lived.now() == lived.rows


@pytest.mark.req("S1-90")
async def test_days_that_were_lost_with_their_rows_come_back_too(lived: Lived) -> None:
    await lived.sql("DELETE FROM resource_usage WHERE resource_type = 'money'")
    await lived.sql("DELETE FROM resource_usage_daily WHERE resource_type = 'money'")
    told = await lived.rebuild()
    assert [one.rows for one in told] == [1] * 4
    assert await lived.now() == lived.rows
    assert await lived.differences() == []


async def test_without_its_line_a_row_has_all_but_what_the_provider_said(lived_once: Lived) -> None:
    await lived_once.sql("DELETE FROM execution_logs")
    await lived_once.sql("DELETE FROM resource_usage")
    told = await lived_once.rebuild()
    assert {one.source for one in told} == {"ledger"}
    for row, was in zip(await lived_once.now(), lived_once.rows, strict=True):
        for name in ("raw_usage", "native_cost"):
            was["metadata"].pop(name, None)
        assert row == was
    assert await lived_once.differences() == []


@pytest.mark.long
async def test_a_line_that_tells_of_another_amount_is_not_believed(lived_once: Lived) -> None:
    """The process died between its line and its settlement, which recovery then made."""
    await lived_once.sql("UPDATE budget_holds SET settled_amount = amount")
    await lived_once.sql("DELETE FROM resource_usage")
    told = await lived_once.rebuild()
    assert {one.source for one in told} == {"ledger"}
    money = [row for row in await lived_once.now() if row["resource_type"] == "money"]
    assert all(row["metadata"]["uncertain"] for row in money)


@pytest.mark.long
async def test_calls_come_back_page_by_page(lived_once: Lived) -> None:
    await lived_once.plane.project("other")
    await lived_once.sql("DELETE FROM resource_usage")
    request = usage_pb2.RebuildUsageRequest(page_size=3)
    sizes: list[int] = []
    while True:
        answer = await lived_once.plane.services.metering.rebuild_usage(request)
        sizes.append(len(answer.calls))
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert sorted(sizes) == [0, 1, 3]
    assert await lived_once.now() == lived_once.rows
    with pytest.raises(InvalidArgumentError, match="start again"):
        await lived_once.rebuild(page_token="WyJhIiwiYiJd")

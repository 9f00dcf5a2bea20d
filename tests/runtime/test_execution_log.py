from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from plane import Plane, write_files

from autovibe.db.errors import DatabaseBusyError, DatabaseUnavailableError, InvalidValueError
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.log_settings import LogSettings
from autovibe.kernel.protoconv import from_struct
from autovibe.kernel.redaction import Redactor
from autovibe.runtime import execution_log
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import services, work_pb2


@dataclass
class Sink:
    """The work service, behind a database that may be away."""

    plane: Plane
    batches: list[work_pb2.AppendExecutionLogsRequest] = field(default_factory=list)
    fault: Callable[[work_pb2.AppendExecutionLogsRequest], AutovibeError | None] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    async def append_execution_logs(
        self, request: work_pb2.AppendExecutionLogsRequest
    ) -> work_pb2.AppendExecutionLogsResponse:
        await self.gate.wait()
        fault = self.fault(request) if self.fault else None
        self.tried.set()
        if fault is not None:
            raise fault
        self.batches.append(request)
        return await self.plane.services.work.append_execution_logs(request)


@dataclass
class Desk:
    """A running execution and its log."""

    plane: Plane
    sink: Sink
    order: work_pb2.ClaimedOrder
    log: ExecutionLog

    async def lines(self) -> list[work_pb2.LogEntry]:
        """Return every line that is in the database."""
        found: list[work_pb2.LogEntry] = []
        cursor = ""
        while True:
            page = await self.plane.services.work.list_task_logs(
                work_pb2.ListTaskLogsRequest(
                    task_id=self.order.task.id, cursor=cursor, page_size=1000
                )
            )
            if not page.entries:
                return found
            found += page.entries
            cursor = page.next_cursor


async def _open(plane: Plane, directory: Path) -> Desk:
    await plane.project()
    write_files(directory, {"a": "1"})
    await plane.load(directory)
    await plane.task()
    await plane.worker()
    order = await plane.claimed()
    sink = Sink(plane)
    sink.gate.set()
    log = ExecutionLog(
        cast("services.WorkService", sink),
        order.execution.id,
        order.lease_generation,
        plane.clock,
    )
    return Desk(plane, sink, order, log)


@pytest.fixture
async def desk(one_plane: Plane, tmp_path: Path) -> AsyncGenerator[Desk, None]:
    desk = await _open(one_plane, tmp_path / "dir")
    yield desk
    desk.sink.gate.set()
    await desk.log.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_log, "_RETRY_S", 0.01)
    monkeypatch.setattr(execution_log, "_GATHER_S", 0.01)


async def test_lines_arrive_numbered_in_order_with_whatever_they_hold(plane: Plane, tmp_path: Path):
    desk = await _open(plane, tmp_path / "dir")
    desk.log.write(
        "state", "Working", level="WARNING", status="working", message="also a detail", model=None
    )
    nasty = "nul \0, lone \ud800 surrogate, bell \a, ünï 😀"
    desk.log.write("agent", nasty, tool_use_id=nasty, changed_paths=[nasty], count=3, ok=True)
    desk.log.write("output", "x" * 70_000, note="y" * 70_000)
    desk.log.write("output", "")
    await desk.log.close()
    first, second, third, fourth = await desk.lines()
    assert [entry.seq for entry in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert (first.level, first.message, first.event.kind) == ("WARNING", "Working", "state")
    assert from_struct(first.event.details) == {"status": "working", "message": "also a detail"}
    clean = "nul \\x00, lone \\ud800 surrogate, bell \a, ünï 😀"
    assert second.message == clean
    assert from_struct(second.event.details) == {
        "tool_use_id": clean,
        "changed_paths": [clean],
        "count": 3.0,
        "ok": True,
    }
    for cut in (third.message, third.event.details["note"]):
        assert len(cut) < 66_000
        assert "4464 characters more" in cut
    assert fourth.message == ""


async def test_a_flood_is_written_in_bounded_batches_and_what_is_not_kept_is_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(execution_log, "_BACKLOG", 1500)
    desk.sink.gate.clear()
    for number in range(5000):
        desk.log.write("output", str(number))
    for number in range(10):  # what matters is kept all the same
        desk.log.write("call", f"call {number}")
    desk.sink.gate.set()
    await desk.log.flush()
    desk.log.write("output", "after the flood")
    await desk.log.close()
    lines = await desk.lines()
    assert [entry.seq for entry in lines] == list(range(1, len(lines) + 1))
    messages = [entry.message for entry in lines]
    assert messages[:1500] == [str(number) for number in range(1500)]
    assert messages[1500:1510] == [f"call {number}" for number in range(10)]
    assert messages[1510:] == ["3500 lines of output were not kept.", "after the flood"]
    assert max(len(batch.entries) for batch in desk.sink.batches) == 500


async def test_long_lines_fill_the_backlog_by_their_length(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(execution_log, "_BACKLOG_CHARS", 200_000)
    monkeypatch.setattr(execution_log, "_BATCH_CHARS", 100_000)
    desk.sink.gate.clear()
    for _ in range(50):
        desk.log.write("output", "x" * 60_000)
    desk.sink.gate.set()
    await desk.log.close()
    messages = [entry.message for entry in await desk.lines()]
    assert messages == ["x" * 60_000] * 4 + ["46 lines of output were not kept."]
    assert len(desk.sink.batches[0].entries) == 1


async def test_lines_wait_while_the_database_is_away_and_then_arrive_without_gap(desk: Desk):
    faults: list[AutovibeError] = [
        DatabaseUnavailableError("gone"),
        DatabaseBusyError("busy"),
        DatabaseUnavailableError("gone"),
    ]
    desk.sink.fault = lambda _: faults.pop() if faults else None
    desk.log.write("state", "one")
    await desk.sink.tried.wait()
    desk.log.write("output", "two")
    await desk.log.flush()
    desk.log.write("output", "three")
    await desk.log.close()
    assert faults == []
    assert [entry.message for entry in await desk.lines()] == ["one", "two", "three"]


async def test_an_answer_that_was_lost_does_not_write_lines_twice(desk: Desk):
    lost: list[work_pb2.AppendExecutionLogsRequest] = []
    real = desk.plane.services.work.append_execution_logs

    async def write_and_lose(request: work_pb2.AppendExecutionLogsRequest) -> Any:
        await real(request)
        lost.append(request)
        raise DatabaseUnavailableError("the answer did not arrive")

    desk.log._work = cast("services.WorkService", _Only(write_and_lose))
    desk.log.write("state", "one")
    await desk.log.flush()
    desk.log._work = cast("services.WorkService", desk.sink)
    desk.log.write("state", "two")
    await desk.log.close()
    assert lost
    assert [entry.message for entry in await desk.lines()] == ["one", "two"]


@dataclass
class _Only:
    append_execution_logs: Callable[[work_pb2.AppendExecutionLogsRequest], Any]


async def test_a_batch_that_is_refused_for_its_content_does_not_stop_the_rest(desk: Desk):
    def refuse(request: work_pb2.AppendExecutionLogsRequest) -> AutovibeError | None:
        poisoned = any("poison" in entry.message for entry in request.entries)
        return InvalidValueError("no such value") if poisoned else None

    desk.sink.fault = refuse
    desk.log.write("output", "poison")
    await desk.log.flush()
    desk.log.write("output", "fine")
    await desk.log.close()
    messages = [entry.message for entry in await desk.lines()]
    assert messages == ["1 lines of output were not kept.", "fine"]


async def test_a_database_that_stays_away_does_not_keep_the_log_from_closing(
    desk: Desk, caplog: pytest.LogCaptureFixture
):
    desk.sink.fault = lambda _: DatabaseUnavailableError("gone")
    for number in range(7):
        desk.log.write("state", str(number))
    await desk.log.close()
    assert "7 log lines are lost" in caplog.text
    assert await desk.lines() == []


async def test_under_a_lost_lease_nothing_more_is_written(desk: Desk):
    desk.log.write("state", "in time")
    await desk.log.flush()
    await desk.plane.finish(desk.order, "paused")
    await desk.plane.services.work.resume_task(
        work_pb2.ResumeTaskRequest(task_id=desk.order.task.id)
    )
    await desk.plane.claimed()
    for _ in range(3):
        desk.log.write("state", "too late")
        await desk.log.flush()
    tries = len(desk.sink.batches)
    assert tries == 2
    await desk.log.close()
    assert [entry.message for entry in await desk.lines()] == ["in time"]


async def test_secrets_never_reach_the_database_and_raw_output_is_bounded(
    plane: Plane, tmp_path: Path
) -> None:
    desk = await _open(plane, tmp_path / "tree")
    await desk.log.close()
    log = ExecutionLog(
        cast("services.WorkService", desk.sink),
        desk.order.execution.id,
        desk.order.lease_generation,
        plane.clock,
        redactor=Redactor(["provider-key-1"]),
        settings=LogSettings(raw_kb=1, tail_kb=1),
    )
    log.redactor.hide("the-virtual-key")
    log.write("agent", "key the-virtual-key", input={"a": ["provider-key-1"], "password": "x" * 9})
    for number in range(40):
        log.raw("stdout", f"{number} the-virtual-key {'x' * 40}")
    await log.close()
    lines = await desk.lines()
    assert "key [secret]" in [line.message for line in lines]
    assert not any(key in str(lines) for key in ("the-virtual-key", "provider-key-1", "x" * 41))
    raw = await plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=desk.order.task.id, stream="stdout", level="DEBUG")
    )
    assert 10 < len(raw.entries) < 30
    assert "the-virtual-key" not in str(raw)
    assert log.tail("stdout").splitlines()[-1] == f"39 [secret] {'x' * 40}"
    assert len(log.tail("stdout")) <= 1024

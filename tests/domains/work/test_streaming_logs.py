"""Followers of a log: nothing lost, nothing twice, bounded, whatever the pace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from plane import Plane, make_repository

from autovibe.domains.work.errors import ExecutionNotFoundError, TaskNotFoundError
from autovibe.domains.work.log_lines import PAGE_CHARS
from autovibe.kernel.protoconv import struct
from autovibe.v1 import logs_pb2, work_pb2


@pytest.fixture
async def order(plane: Plane, tmp_path: Path) -> work_pb2.ClaimedOrder:
    """Give an order that is worked on."""
    await plane.project()
    await plane.worker()
    await plane.load(make_repository(tmp_path / "repo", {"a.txt": "one\n"}))
    task = await plane.task()
    return await plane.claimed(task_id=task.id)


@dataclass
class _Follower:
    plane: Plane
    task_id: str
    slow: bool = False
    stop_after: int = 0
    cursor: str = ""
    seen: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        request = logs_pb2.StreamTaskLogsRequest(task_id=self.task_id, cursor=self.cursor)
        async for page in self.plane.services.logs.stream_task_logs(request):
            self.seen += [entry.message for entry in page.entries]
            self.cursor = page.next_cursor
            self.begun.set()
            if self.stop_after and len(self.seen) >= self.stop_after:
                return
            if self.slow:
                await asyncio.sleep(0.01)


async def test_followers_of_every_pace_see_each_line_once_and_then_the_end(
    plane: Plane, order: work_pb2.ClaimedOrder
) -> None:
    followers = [_Follower(plane, order.task.id, slow=number % 7 == 0) for number in range(40)]
    broken = _Follower(plane, order.task.id, stop_after=25)
    running = [asyncio.create_task(one.follow()) for one in followers]
    breaking = asyncio.create_task(broken.follow())
    said: list[str] = []
    for batch in range(30):
        lines = [f"{batch}.{number}" for number in range(batch % 5 + 1)]
        said += lines
        await plane.say(order, *lines)
    await breaking
    going_on = asyncio.create_task(_again(broken))
    await plane.finish(order)
    await asyncio.gather(*running, going_on)
    for follower in (*followers, broken):
        assert follower.seen == said


async def _again(follower: _Follower) -> None:
    follower.stop_after = 0
    await follower.follow()


async def test_followers_at_one_place_share_what_is_read(
    plane: Plane, order: work_pb2.ClaimedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    real = type(plane.db).read

    def counted(self: Any) -> Any:
        nonlocal reads
        reads += 1
        return real(self)

    followers = [_Follower(plane, order.task.id) for _ in range(60)]
    running = [asyncio.create_task(one.follow()) for one in followers]
    await asyncio.gather(*(follower.begun.wait() for follower in followers))
    monkeypatch.setattr(type(plane.db), "read", counted)
    for number in range(10):
        await plane.say(order, f"line {number}")
    await plane.finish(order)
    await asyncio.gather(*running)
    assert {len(follower.seen) for follower in followers} == {10}
    # Each of eleven bells may find followers in two places; one by one it would be 660.
    assert reads < 100


async def test_pages_are_bounded_by_what_they_hold(
    plane: Plane, order: work_pb2.ClaimedOrder
) -> None:
    half = "x" * (PAGE_CHARS // 2)
    await plane.say(order, half, half, half, "y" * (PAGE_CHARS + 1), "end")
    await plane.finish(order)
    request = logs_pb2.StreamTaskLogsRequest(task_id=order.task.id)
    sizes = [
        [len(entry.message) for entry in page.entries]
        async for page in plane.services.logs.stream_task_logs(request)
    ]
    assert sizes == [[len(half)] * 2, [len(half)], [PAGE_CHARS + 1], [3]]


async def _write(plane: Plane, order: work_pb2.ClaimedOrder) -> None:
    lines: list[tuple[str, str, str, dict[str, Any]]] = [
        ("DEBUG", "output", '{"type": "assistant"}', {"stream": "stdout"}),
        ("INFO", "agent", "Reads A_B", {"event": "reasoning"}),
        ("INFO", "agent", "make test", {"event": "command"}),
        ("WARNING", "output", "100% bad", {"stream": "stderr"}),
        ("ERROR", "notice", "axb", {}),
    ]
    entries: list[work_pb2.LogEntry] = []
    for seq, (level, kind, message, details) in enumerate(lines, 1):
        event = work_pb2.LogEvent(kind=kind, details=struct(details))
        entry = work_pb2.LogEntry(
            execution_id=order.execution.id, seq=seq, level=level, message=message, event=event
        )
        entry.logged_at.FromDatetime(plane.clock.now())
        entries.append(entry)
        plane.clock.advance(seconds=1)
    await plane.services.work.append_execution_logs(
        work_pb2.AppendExecutionLogsRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            entries=entries,
        )
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [2, 3, 4, 5]),
        ({"level": "DEBUG"}, [1, 2, 3, 4, 5]),
        ({"level": "WARNING"}, [4, 5]),
        ({"kinds": ["agent", "notice"]}, [2, 3, 5]),
        ({"events": ["command"]}, [3]),
        ({"stream": "stderr"}, [4]),
        ({"stream": "stdout", "level": "DEBUG"}, [1]),
        ({"search": "a_b"}, [2]),
        ({"search": "100%"}, [4]),
        ({"search": "nothing"}, []),
    ],
)
async def test_a_log_is_filtered_and_searched(
    plane: Plane, order: work_pb2.ClaimedOrder, wanted: dict[str, Any], found: list[int]
) -> None:
    await _write(plane, order)
    execution_id = order.execution.id
    listed = await plane.services.logs.list_execution_logs(
        logs_pb2.ListExecutionLogsRequest(execution_id=execution_id, **wanted)
    )
    assert [entry.seq for entry in listed.entries] == found
    assert listed.next_cursor == "5"
    paged = await plane.services.logs.list_execution_logs(
        logs_pb2.ListExecutionLogsRequest(execution_id=execution_id, page_size=1, **wanted)
    )
    assert [entry.seq for entry in paged.entries] == found[:1]
    assert paged.next_cursor == str(found[0] if found else 5)


async def test_lines_from_a_time_on_are_found(plane: Plane, order: work_pb2.ClaimedOrder) -> None:
    since = plane.clock.now()
    plane.clock.advance(seconds=-2)
    await _write(plane, order)
    request = logs_pb2.ListExecutionLogsRequest(execution_id=order.execution.id, level="DEBUG")
    request.since.FromDatetime(since)
    listed = await plane.services.logs.list_execution_logs(request)
    assert [entry.seq for entry in listed.entries] == [3, 4, 5]


async def test_what_is_not_there_cannot_be_followed(plane: Plane) -> None:
    nothing = "0" * 8
    with pytest.raises(TaskNotFoundError):
        await anext(
            plane.services.logs.stream_task_logs(logs_pb2.StreamTaskLogsRequest(task_id=nothing))
        )
    with pytest.raises(ExecutionNotFoundError):
        await anext(
            plane.services.logs.stream_execution_logs(
                logs_pb2.StreamExecutionLogsRequest(execution_id=nothing)
            )
        )

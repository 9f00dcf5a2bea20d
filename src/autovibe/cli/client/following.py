"""Following a task's log from where it was read to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from autovibe.cli.client.connection import Connection
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.v1 import services, work_pb2

Show = Callable[[work_pb2.LogEntry], None]

_PAGE: Final = 500
_RETRIES: Final = 12
_LONGEST_PAUSE_S: Final = 5.0


def poll_s(connection: Connection) -> float:
    """Return how long to wait between two looks at a log, in seconds."""
    return 0.15 if connection.embedded else 0.4


async def follow(
    work: services.WorkService,
    task_id: str,
    show: Show,
    *,
    poll_s: float,
    cursor: str = "",
    tick: Callable[[], None] = lambda: None,
    done: asyncio.Event | None = None,
) -> None:
    """Show log lines as they come, until the task has ended.

    A server that cannot be reached is tried again for about 45 seconds: the cursor says where to
    go on, so no line is lost or shown twice.

    Args:
        work: where to read.
        task_id: the whole id.
        show: takes each line once, in order.
        poll_s: seconds between two looks.
        cursor: where to begin.
        tick: called after each look.
        done: set when nothing more will come although the log does not say so.

    Raises:
        UnavailableError: the server stayed away.
    """
    failures = 0
    while True:
        last = done is not None and done.is_set()
        try:
            page = await _page(work, task_id, cursor)
        except AutovibeError as error:
            failures += 1
            if error.code is not Code.UNAVAILABLE or failures > _RETRIES:
                raise
            await asyncio.sleep(min(poll_s * 2**failures, _LONGEST_PAUSE_S))
            continue
        failures = 0
        cursor = page.next_cursor or cursor
        for entry in page.entries:
            show(entry)
        tick()
        if len(page.entries) >= _PAGE:
            continue
        if page.ended or last:
            return
        await _pause(poll_s, done)


async def end_of_log(work: services.WorkService, task_id: str) -> str:
    """Return the cursor behind all that was logged until now."""
    return await read_to_end(work, task_id, lambda _: None)


async def read_to_end(work: services.WorkService, task_id: str, show: Show) -> str:
    """Show all that was logged until now; return the cursor behind it."""
    cursor = ""
    while True:
        page = await _page(work, task_id, cursor)
        for entry in page.entries:
            show(entry)
        cursor = page.next_cursor or cursor
        if len(page.entries) < _PAGE:
            return cursor


async def _page(
    work: services.WorkService, task_id: str, cursor: str
) -> work_pb2.ListTaskLogsResponse:
    return await work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=task_id, cursor=cursor, page_size=_PAGE)
    )


async def _pause(seconds: float, done: asyncio.Event | None) -> None:
    if done is None or done.is_set():
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        return

"""Following a task's log from where it was read to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from autovibe.cli.client.connection import Connection
from autovibe.kernel.errors import AutovibeError, Code, NotFoundError, UnavailableError
from autovibe.v1 import logs_pb2, services, work_pb2

Show = Callable[[work_pb2.LogEntry], None]
Reopen = Callable[[], AbstractAsyncContextManager[Connection | None]]
"""Opens the services again; gives None while no server is there."""

_PAGE: Final = 500
_RETRIES: Final = 12
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_OLDER_SERVER: Final = frozenset({NotFoundError.reason, "NOT_SERVED"})


def poll_s(connection: Connection) -> float:
    """Return how long to wait between two looks at a log, in seconds."""
    return 0.15 if connection.embedded else 0.4


async def stream(
    connection: Connection,
    wanted: work_pb2.ListTaskLogsRequest,
    show: Show,
    reopen: Reopen,
) -> None:
    """Show log lines as the server sends them, until the task has ended.

    A stream that breaks off is taken up again where it was, through a new connection, which has the
    token that a server left when it was started again. A server that has no streams is asked page
    by page.

    Args:
        connection: where to read first.
        wanted: the task, by its whole id, and which lines of it.
        show: takes each line once, in order.
        reopen: opens the services again.

    Raises:
        UnavailableError: the server stayed away for about 45 seconds.
    """
    failures, seen_any = 0, False
    cursor = wanted.cursor
    async with contextlib.AsyncExitStack() as stack:
        reading: Connection | None = connection
        while True:
            try:
                async for page in _pages(reading, wanted, cursor):
                    failures, seen_any = 0, True
                    for entry in page.entries:
                        show(entry)
                    cursor = page.next_cursor or cursor
                    if page.ended:
                        return
                raise UnavailableError("The server ended the stream; it is starting again.")
            except AutovibeError as error:
                if reading is not None and error.reason in _OLDER_SERVER:
                    break
                lost = error.code is Code.UNAVAILABLE
                lost |= error.code is Code.UNAUTHENTICATED and seen_any
                failures += 1
                if not lost or failures > _RETRIES:
                    raise
            await asyncio.sleep(min(_FIRST_PAUSE_S * 2**failures, _LONGEST_PAUSE_S))
            await stack.aclose()
            try:
                reading = await stack.enter_async_context(reopen())
            except AutovibeError:
                reading = None
        assert reading is not None, "only an answer says that the server is older"
        wanted.cursor = cursor
        await follow(
            reading.services.work, wanted.task_id, show, poll_s=poll_s(reading), wanted=wanted
        )


async def _pages(
    connection: Connection | None, wanted: work_pb2.ListTaskLogsRequest, cursor: str
) -> AsyncGenerator[work_pb2.ListTaskLogsResponse]:
    if connection is None:
        raise UnavailableError("No server runs; start it with `autovibe up`.")
    request = logs_pb2.StreamTaskLogsRequest(
        task_id=wanted.task_id,
        cursor=cursor,
        level=wanted.level,
        kinds=wanted.kinds,
        events=wanted.events,
        stream=wanted.stream,
        search=wanted.search,
        since=wanted.since if wanted.HasField("since") else None,
    )
    async with contextlib.aclosing(connection.services.logs.stream_task_logs(request)) as pages:
        async for page in pages:
            yield page


async def follow(
    work: services.WorkService,
    task_id: str,
    show: Show,
    *,
    poll_s: float,
    wanted: work_pb2.ListTaskLogsRequest | None = None,
    cursor: str = "",
    tick: Callable[[], None] = lambda: None,
    done: asyncio.Event | None = None,
) -> None:
    """Show log lines page by page as they come, until the task has ended.

    A server that cannot be reached is tried again for about 45 seconds: the cursor says where to
    go on, so no line is lost or shown twice.

    Args:
        work: where to read.
        task_id: the whole id.
        show: takes each line once, in order.
        poll_s: seconds between two looks.
        wanted: which lines; all that people see when not given.
        cursor: where to begin.
        tick: called after each look.
        done: set when nothing more will come although the log does not say so.

    Raises:
        UnavailableError: the server stayed away.
    """
    failures = 0
    cursor = cursor or (wanted.cursor if wanted is not None else "")
    while True:
        last = done is not None and done.is_set()
        try:
            page = await _page(work, task_id, cursor, wanted)
        except AutovibeError as error:
            failures += 1
            if error.code is not Code.UNAVAILABLE or failures > _RETRIES:
                raise
            await asyncio.sleep(min(poll_s * 2**failures, _LONGEST_PAUSE_S))
            continue
        failures = 0
        went_on = bool(page.next_cursor) and page.next_cursor != cursor
        cursor = page.next_cursor or cursor
        for entry in page.entries:
            show(entry)
        tick()
        if went_on and page.entries:
            continue
        if page.ended or last:
            return
        await _pause(poll_s, done)


async def end_of_log(work: services.WorkService, task_id: str) -> str:
    """Return the cursor behind all that was logged until now."""
    wanted = work_pb2.ListTaskLogsRequest(task_id=task_id)
    return await read_to_end(work, wanted, lambda _: None)


async def read_to_end(
    work: services.WorkService, wanted: work_pb2.ListTaskLogsRequest, show: Show
) -> str:
    """Show all that was logged until now; return the cursor behind it."""
    cursor = ""
    while True:
        page = await _page(work, wanted.task_id, cursor, wanted)
        for entry in page.entries:
            show(entry)
        if not page.entries:
            return page.next_cursor or cursor
        cursor = page.next_cursor or cursor


async def _page(
    work: services.WorkService,
    task_id: str,
    cursor: str,
    wanted: work_pb2.ListTaskLogsRequest | None,
) -> work_pb2.ListTaskLogsResponse:
    request = work_pb2.ListTaskLogsRequest()
    if wanted is not None:
        request.CopyFrom(wanted)
    request.task_id, request.cursor, request.page_size = task_id, cursor, _PAGE
    return await work.list_task_logs(request)


async def _pause(seconds: float, done: asyncio.Event | None) -> None:
    if done is None or done.is_set():
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        return

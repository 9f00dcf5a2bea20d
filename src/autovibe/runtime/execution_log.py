"""The log of one execution: numbered by its one writer, written in batches (decision E4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Final, Literal

from google.protobuf import struct_pb2

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import services, work_pb2

_logger = logging.getLogger(__name__)

_BATCH: Final = 500
_MAX_MESSAGE_CHARS: Final = 64 * 1024
_BACKLOG: Final = 20_000

Detail = str | float | bool | list[str] | None


class ExecutionLog:
    """Takes lines at once and writes them in the background.

    A flood of output cannot fill memory: beyond a backlog of 20,000 lines, output lines are
    counted instead of kept, and the count is written when there is room again.
    """

    def __init__(
        self, work: services.WorkService, execution_id: str, lease_generation: int, clock: Clock
    ) -> None:
        """Start with line 1 of an execution."""
        self._work = work
        self._execution_id = execution_id
        self._lease_generation = lease_generation
        self._clock = clock
        self._pending: deque[work_pb2.LogEntry] = deque()
        self._seq = 0
        self._dropped = 0
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"log-{execution_id}")

    def write(
        self,
        kind: Literal["state", "call", "checkpoint", "agent", "output", "notice"],
        message: str,
        /,
        *,
        level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO",
        **details: Detail,
    ) -> None:
        """Append one line; `details` holds JSON values, money as text."""
        if len(self._pending) >= _BACKLOG and kind in {"output", "agent"}:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._append("notice", f"{dropped} lines of output were not kept.", "WARNING", {})
        self._append(kind, message, level, details)

    async def flush(self) -> None:
        """Return when every line written so far is in the database."""
        async with self._writing:
            while self._pending:
                await self._write_batch()

    async def close(self) -> None:
        """Write what is left and stop; a store that is gone is reported, not raised."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _append(self, kind: str, message: str, level: str, details: dict[str, Detail]) -> None:
        self._seq += 1
        struct = struct_pb2.Struct()
        struct.update({name: value for name, value in details.items() if value is not None})
        entry = work_pb2.LogEntry(
            execution_id=self._execution_id,
            seq=self._seq,
            level=level,
            message=_bounded(message),
            event=work_pb2.LogEvent(kind=kind, details=struct),
        )
        entry.logged_at.FromDatetime(self._clock.now())
        self._pending.append(entry)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            if self._closing:
                return
            # A short pause gathers the lines of a burst into one transaction.
            await asyncio.sleep(0.05)

    async def _write_batch(self) -> None:
        batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
        request = work_pb2.AppendExecutionLogsRequest(
            execution_id=self._execution_id,
            lease_generation=self._lease_generation,
            entries=batch,
        )
        try:
            await self._work.append_execution_logs(request)
        except AutovibeError as error:
            _logger.warning("log of execution %s: %s", self._execution_id, error)


def _bounded(message: str) -> str:
    # NUL cannot be stored by PostgreSQL, and lone surrogates by neither database nor Protobuf.
    clean = message.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if len(clean) <= _MAX_MESSAGE_CHARS:
        return clean
    return f"{clean[:_MAX_MESSAGE_CHARS]}… ({len(clean) - _MAX_MESSAGE_CHARS} characters more)"

"""The log of one execution: numbered by its one writer, written in batches (decision E4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from google.protobuf import struct_pb2

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.log_settings import LogSettings
from autovibe.kernel.protoconv import from_struct
from autovibe.kernel.redaction import Redactor
from autovibe.v1 import agent_api_pb2, services, work_pb2

_logger = logging.getLogger(__name__)

_BATCH: Final = 500
_BATCH_CHARS: Final = 1024 * 1024
_MAX_MESSAGE_CHARS: Final = 64 * 1024
_BACKLOG: Final = 20_000
_BACKLOG_CHARS: Final = 16 * 1024 * 1024
_GATHER_S: Final = 0.05
_RETRY_S: Final = 0.5
_LAST_TRIES: Final = 3
# A batch that the database refuses for what is in it is refused every time.
_POISONED: Final = frozenset({Code.INVALID_ARGUMENT, Code.INTERNAL, Code.DATA_LOSS})

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Detail = str | float | bool | list[str] | dict[str, Any] | None
Listener = Callable[[str, Mapping[str, Detail]], None]


class ExecutionLog:
    """Takes lines at once and writes them in the background.

    A flood of output cannot fill memory: beyond a backlog of 20,000 lines or 16 million
    characters, output lines are counted instead of kept, and the count is written when there is
    room again. While the database cannot be reached, lines wait; under a lost lease they go.
    """

    def __init__(
        self,
        work: services.WorkService,
        execution_id: str,
        lease_generation: int,
        clock: Clock,
        *,
        redactor: Redactor | None = None,
        settings: LogSettings | None = None,
    ) -> None:
        """Start with line 1 of an execution.

        Args:
            work: where lines are kept.
            execution_id: whose they are.
            lease_generation: under which lease.
            clock: the time.
            redactor: takes secrets out of every line.
            settings: how much raw output is kept.
        """
        settings = settings or LogSettings()
        self.redactor = redactor or Redactor()
        self._raw_left = settings.raw_kb * 1024
        self._tails = {name: _Tail(settings.tail_kb * 1024) for name in ("stdout", "stderr")}
        self._work = work
        self._execution_id = execution_id
        self._lease_generation = lease_generation
        self._clock = clock
        self._pending: deque[work_pb2.LogEntry] = deque()
        self._chars = 0
        self._seq = 0
        self._dropped = 0
        self._lease_lost = False
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._closing = asyncio.Event()
        self._listeners: list[Listener] = []
        self._task = asyncio.create_task(self._run(), name=f"log-{execution_id}")

    def listen(self, listener: Listener) -> None:
        """Tell a listener of each line from now on, as it is written."""
        self._listeners.append(listener)

    def write(
        self,
        kind: Literal["state", "call", "checkpoint", "agent", "approval", "output", "notice"],
        message: str,
        /,
        *,
        level: Level = "INFO",
        **details: Detail,
    ) -> None:
        """Append one line; `details` holds JSON values, money as text."""
        for listener in self._listeners:
            listener(kind, details)
        full = len(self._pending) >= _BACKLOG or self._chars >= _BACKLOG_CHARS
        if full and kind in {"output", "agent"}:
            self._dropped += 1
            return
        if not full:
            self._tell_dropped()
        self._append(kind, message, level, details)

    def raw(
        self, stream: Literal["stdout", "stderr"], text: str, *, level: Level = "DEBUG"
    ) -> None:
        """Append a line as the agent printed it, beside what it means, until there is enough."""
        self.keep_tail(stream, text)
        if self._raw_left <= 0:
            return
        self._raw_left -= len(text) + 1
        self.write("output", text, level=level, stream=stream)
        if self._raw_left <= 0:
            self.write("notice", "No more raw output is kept in this log.", level="WARNING")

    def keep_tail(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Keep the end of what the agent printed, for the execution itself."""
        self._tails[stream].add(text)

    def tail(self, stream: Literal["stdout", "stderr"]) -> str:
        """Return the end of what the agent printed, without secrets."""
        return self._clean(self._tails[stream].text())

    def tell(self, event: agent_api_pb2.AgentApiEvent) -> None:
        """Append what an agent tells of itself under /agent/v1."""
        self.write(
            "agent",
            event.text,
            level=_level(event.level),
            event=event.kind or "message",
            source="api",
            details=from_struct(event.details) or None,
        )

    def tell_working(self, machine_id: str, isolation: str, enforced: Mapping[str, str]) -> None:
        """Append that a machine has started, how it is isolated, and how its limits are kept."""
        self.write(
            "state",
            "Working",
            status="working",
            machine_id=machine_id,
            isolation=isolation,
            enforced=[f"{name}: {how}" for name, how in enforced.items()],
        )

    async def flush(self) -> None:
        """Return when every line written so far is in the database, or cannot be written now."""
        async with self._writing:
            while self._pending and await self._write_batch():
                pass

    async def close(self) -> None:
        """Write what is left and stop; a store that is gone is reported, not raised."""
        self._closing.set()
        self._wake.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _tell_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._append("notice", f"{dropped} lines of output were not kept.", "WARNING", {})

    def _append(self, kind: str, message: str, level: str, details: dict[str, Detail]) -> None:
        if self._lease_lost:
            return
        self._seq += 1
        struct = struct_pb2.Struct()
        struct.update(
            {name: self._clean(value) for name, value in details.items() if value is not None}
        )
        entry = work_pb2.LogEntry(
            execution_id=self._execution_id,
            seq=self._seq,
            level=level,
            message=self._clean(message),
            event=work_pb2.LogEvent(kind=kind, details=struct),
        )
        entry.logged_at.FromDatetime(self._clock.now())
        self._pending.append(entry)
        self._chars += len(entry.message)
        self._wake.set()

    def _clean(self, value: Any) -> Any:
        """Return a value that can be kept: without secrets, bounded, and what databases take."""
        if isinstance(value, str):
            # What a bound cuts off need not be searched, but for a secret across the cut.
            shortened = value[: 2 * _MAX_MESSAGE_CHARS]
            return _bounded(self.redactor.text(shortened), len(value) - len(shortened))
        if isinstance(value, list):
            return [self._clean(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = self.redactor.value(value).items()
            return {_bounded(name): self._clean(item) for name, item in items}
        return value

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            # A short pause gathers the lines of a burst into one transaction.
            pause = _GATHER_S
            if self._pending:
                self._wake.set()
                pause = _RETRY_S
            await self._closed_within(pause)
        for _ in range(_LAST_TRIES):
            await self.flush()
            if not self._pending:
                break
            await asyncio.sleep(_RETRY_S)
        self._tell_dropped()
        await self.flush()
        if self._pending:
            _logger.warning(
                "execution %s: %d log lines are lost", self._execution_id, len(self._pending)
            )

    async def _closed_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def _write_batch(self) -> bool:
        """Write the oldest lines; return whether there is any use in going on."""
        batch = self._oldest()
        request = work_pb2.AppendExecutionLogsRequest(
            execution_id=self._execution_id,
            lease_generation=self._lease_generation,
            entries=batch,
        )
        try:
            await self._work.append_execution_logs(request)
        except AutovibeError as error:
            _logger.warning("log of execution %s: %s", self._execution_id, error)
            if error.reason == "LEASE_LOST":
                self._lease_lost = True
                self._pending.clear()
                self._chars = 0
                return False
            if error.code not in _POISONED:
                return False
            self._dropped += len(batch)
        for entry in batch:
            self._pending.popleft()
            self._chars -= len(entry.message)
        return True

    def _oldest(self) -> list[work_pb2.LogEntry]:
        """Return the lines of the next batch, one at least; they stay pending."""
        batch: list[work_pb2.LogEntry] = []
        chars = 0
        for entry in self._pending:
            chars += len(entry.message)
            if batch and (len(batch) >= _BATCH or chars > _BATCH_CHARS):
                break
            batch.append(entry)
        return batch


class _Tail:
    """The last so many characters of what was added, in whole lines."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._lines: deque[str] = deque()

    def add(self, line: str) -> None:
        line = line[-self._most :] if self._most else ""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._lines and self._size > self._most:
            self._size -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        return "\n".join(self._lines)


def _level(name: str) -> Level:
    return cast("Level", name) if name in {"DEBUG", "INFO", "WARNING", "ERROR"} else "INFO"


def _bounded(message: str, cut_off: int = 0) -> str:
    # NUL cannot be stored by PostgreSQL, and lone surrogates by neither database nor Protobuf.
    clean = message.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if len(clean) <= _MAX_MESSAGE_CHARS:
        return clean
    more = len(clean) - _MAX_MESSAGE_CHARS + cut_off
    return f"{clean[:_MAX_MESSAGE_CHARS]}… ({more} characters more)"

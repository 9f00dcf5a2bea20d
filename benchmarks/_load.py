"""Callers of the Messages API that cost little themselves, and what a process has used."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

HERE: Final = Path(__file__).resolve().parent
_SENT: Final = re.compile(rb"sent=([0-9]+)")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """Where calls go, and under which key."""

    url: str
    key: str
    model: str = "claude-sonnet-4-5"

    def request(self, size_bytes: int, events: int, pause_s: float) -> bytes:
        """Return the bytes of a call whose body has about this size."""
        body = (
            b'{"model":"%s","max_tokens":4096,"stream":true,"metadata":{"user_id":"plan %d %g"},'
            b'"messages":[{"role":"user","content":"%s"}]}'
        ) % (self.model.encode(), events, pause_s, b"x" * size_bytes)
        parts = urlsplit(self.url)
        head = (
            f"POST {parts.path}/v1/messages HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"x-api-key: {self.key}\r\nanthropic-version: 2023-06-01\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class Answered:
    """One answer: seconds to the first byte of the stream and to its end, and of each event."""

    first_s: float = 0
    total_s: float = 0
    delays_ns: list[int] = field(default_factory=list[int])


class Caller(asyncio.Protocol):
    """One connection; `call` sends a request and waits for the end of its answer."""

    def __init__(self, *, looks: bool) -> None:
        """Say whether the time that each event took is looked at."""
        self._looks = looks
        self._tail = b""
        self._done: asyncio.Future[Answered] | None = None
        self._answer = Answered()
        self._begun = 0.0

    @classmethod
    async def connect(cls, target: Target, *, looks: bool = False) -> Caller:
        """Open a connection."""
        parts = urlsplit(target.url)
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(
            lambda: cls(looks=looks), parts.hostname, parts.port
        )
        return caller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call under way."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError(f"cut in the middle: {exc} {self._tail!r}"))

    async def call(self, request: bytes) -> Answered:
        """Return how long an answer took."""
        self._done = asyncio.get_running_loop().create_future()
        self._answer = Answered()
        self._begun = time.perf_counter()
        self._transport.write(request)
        return await self._done

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        answer = self._answer
        if not answer.first_s:
            answer.first_s = time.perf_counter() - self._begun
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(data.decode(errors="replace"))
        if self._looks:
            now = time.monotonic_ns()
            answer.delays_ns += [now - int(sent) for sent in _SENT.findall(data)]
        self._tail = (self._tail + data)[-64:]
        if self._tail.endswith(b"\r\n0\r\n\r\n") and self._done is not None:
            answer.total_s = time.perf_counter() - self._begun
            self._tail = b""
            self._done.set_result(answer)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def many(target: Target, callers: int, seconds: float, request: bytes) -> tuple[int, float]:
    """Let callers call one after the other for so long; return how many calls, and how long."""
    connections = [await Caller.connect(target) for _ in range(callers)]
    begun = time.perf_counter()

    async def one(caller: Caller) -> int:
        calls = 0
        while time.perf_counter() - begun < seconds:
            await caller.call(request)
            calls += 1
        return calls

    counts = await asyncio.gather(*(one(caller) for caller in connections))
    elapsed = time.perf_counter() - begun
    for caller in connections:
        caller.close()
    return sum(counts), elapsed


@contextmanager
def program(name: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program of this directory; give it and the first line that it prints."""
    command = [sys.executable, str(HERE / name), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{name} did not start")
        yield process, line
    finally:
        process.terminate()
        process.wait()


def cpu_s(pid: int) -> float:
    """Return the seconds of processor that a process and those it started have used."""
    total = _ticks(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if children.exists():
        total += sum(cpu_s(int(child)) * _TICKS for child in children.read_text().split())
    return total / _TICKS


def _ticks(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000

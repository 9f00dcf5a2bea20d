"""500 followers of one execution's log: whether any line is lost, and what it costs the server.

`autovibe up` on SQLite serves them as server-sent events; the log is written through gRPC, as a
worker does it, in batches of 50 lines. Every tenth follower is slow, and every twentieth breaks off
now and then and goes on behind its last id. Memory and processor time are the server's.
AUTOVIBE_BENCH_FOLLOWERS and AUTOVIBE_BENCH_LINES make it smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
from _load import resident_mb

from autovibe import __version__
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.services import Services
from autovibe.v1 import checkpoints_pb2, projects_pb2, queue_pb2, work_pb2

FOLLOWERS: Final = int(os.environ.get("AUTOVIBE_BENCH_FOLLOWERS", "500"))
LINES: Final = int(os.environ.get("AUTOVIBE_BENCH_LINES", "5000"))
BATCH: Final = 50
PAUSE_S: Final = 0.1
LINE: Final = "x" * 200
_SEQ: Final = re.compile(rb'"seq":([0-9]+)')


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as directory, _server(Path(directory)) as (pid, told, token):
        rows = asyncio.run(_measure(Path(directory), pid, told, token))
    for row in rows:
        print(json.dumps(row | {"followers": FOLLOWERS, "lines": LINES, "runs": 1}))


@contextlib.contextmanager
def _server(home: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    """Run `autovibe up` in a home of its own."""
    own = home / ".autovibe"
    environment = {**os.environ, "HOME": str(home), "AUTOVIBE_HOME": str(own)}
    ports = [part for name in ("http", "grpc") for part in (f"--{name}-port", str(_free_port()))]
    command = [str(Path(sys.executable).with_name("autovibe")), "up", "--slots", "0", *ports]
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        told = own / "server.json"
        while not told.exists():
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.1)
        yield process.pid, json.loads(told.read_text()), (own / "token").read_text().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _measure(
    directory: Path, pid: int, told: dict[str, str], token: str
) -> list[dict[str, object]]:
    headers = {"authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        connect_grpc(told["grpc"], token) as services,
        aiohttp.ClientSession(told["url"], headers=headers, connector=connector) as http,
    ):
        order = await _order(services, directory)
        before_mb = resident_mb(pid)
        followers = [_Follower(number) for number in range(FOLLOWERS)]
        path = f"/api/v1/executions/{order.execution.id}/logs:stream"
        following = [asyncio.create_task(one.follow(http, path)) for one in followers]
        await asyncio.gather(*(one.connected.wait() for one in followers))
        connected_mb, cpu, begun = resident_mb(pid), _cpu_s(pid), time.perf_counter()
        peak_mb = await _write(services, order, pid)
        await asyncio.gather(*following)
        took_s = time.perf_counter() - begun
        cpu_s, peak_mb = _cpu_s(pid) - cpu, max(peak_mb, resident_mb(pid))
    expected = list(range(1, LINES + 1))
    lost = sum(len(set(expected) - set(one.seen)) for one in followers)
    repeated = sum(len(one.seen) - len(set(one.seen)) for one in followers)
    disordered = sum(one.seen != sorted(one.seen) for one in followers)
    return [
        {
            "name": f"log_followers_{FOLLOWERS}_lost",
            "unit": "lines",
            "ours": lost,
            "repeated": repeated,
            "out_of_order": disordered,
        },
        {
            "name": f"log_followers_{FOLLOWERS}_memory_mb",
            "unit": "MB",
            "ours": round(peak_mb - connected_mb, 1),
            "connected_mb": round(connected_mb, 1),
            "alone_mb": round(before_mb, 1),
        },
        {
            "name": f"log_followers_{FOLLOWERS}_cpu_s",
            "unit": "s",
            "ours": round(cpu_s, 2),
            "wall_s": round(took_s, 2),
            "delivered_lines_per_cpu_s": round(FOLLOWERS * LINES / cpu_s),
        },
    ]


async def _order(services: Services, directory: Path) -> work_pb2.ClaimedOrder:
    """Make a task and claim its order."""
    source = directory / "website"
    source.mkdir()
    (source / "a.txt").write_text("one\n")
    project = projects_pb2.CreateProjectRequest(name="website", repo_path=str(source))
    await services.projects.create_project(project)
    await services.checkpoints.import_directory(
        checkpoints_pb2.ImportDirectoryRequest(project="website", directory=str(source))
    )
    context = work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"])
    task = await services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website", description="Log", start=True, context=context
        )
    )
    worker = await services.queue.register_worker(
        queue_pb2.RegisterWorkerRequest(name="bench", max_concurrent_tasks=1, version=__version__)
    )
    claimed = await services.work.claim_work_order(
        work_pb2.ClaimWorkOrderRequest(
            worker_id=worker.id, instance_id=str(uuid.uuid4()), task_id=task.id, lease_s=3600
        )
    )
    return claimed.order


async def _write(services: Services, order: work_pb2.ClaimedOrder, pid: int) -> float:
    """Write the log and end the execution; return the most memory that was seen, in MB."""
    peak = 0.0
    for first in range(1, LINES + 1, BATCH):
        entries: list[work_pb2.LogEntry] = []
        for seq in range(first, min(first + BATCH, LINES + 1)):
            entry = work_pb2.LogEntry(
                execution_id=order.execution.id,
                seq=seq,
                message=LINE,
                event=work_pb2.LogEvent(kind="output"),
            )
            entry.logged_at.GetCurrentTime()
            entries.append(entry)
        await services.work.append_execution_logs(
            work_pb2.AppendExecutionLogsRequest(
                execution_id=order.execution.id,
                lease_generation=order.lease_generation,
                entries=entries,
            )
        )
        peak = max(peak, resident_mb(pid))
        await asyncio.sleep(PAUSE_S)
    await services.work.finish_execution(
        work_pb2.FinishExecutionRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            outcome="failed",
        )
    )
    return peak


class _Follower:
    """Reads one stream; `seen` are the numbers of its lines in the order in which they came."""

    def __init__(self, number: int) -> None:
        self.slow = number % 10 == 0
        self.breaks = number % 20 == 1
        self.connected = asyncio.Event()
        self.seen: list[int] = []
        self._last = ""

    async def follow(self, http: aiohttp.ClientSession, path: str) -> None:
        """Read to the end, and again behind the last id when the stream broke off."""
        while True:
            headers = {"last-event-id": self._last} if self._last else {}
            timeout = aiohttp.ClientTimeout(total=None)
            async with http.get(path, headers=headers, timeout=timeout) as answer:
                if await self._read(answer):
                    return

    async def _read(self, answer: aiohttp.ClientResponse) -> bool:
        """Return whether the stream has come to its end."""
        answer.raise_for_status()
        rest, pages = b"", 0
        async for chunk in answer.content.iter_any():
            self.connected.set()
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                if not event.startswith(b"id: "):
                    continue
                self.seen += [int(found) for found in _SEQ.findall(event)]
                self._last = event[4 : event.index(b"\n")].decode()
                if b"\nevent: end\n" in event:
                    return True
                pages += 1
            if self.slow:
                await asyncio.sleep(0.5)
            if self.breaks and pages >= 20:
                return False
        return False


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

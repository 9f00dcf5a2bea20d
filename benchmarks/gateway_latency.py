"""Added latency of the metering gateway: the same call direct and through it, in pairs.

The scripted model server runs in a process of its own. Each pair is one streamed call sent straight
to it and one through a gateway with a ledger on SQLite (synchronous=FULL, as always); what is
reported is the difference of the two at the same percentile. The order within pairs alternates.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import aiohttp

from autovibe.db import Database, open_database
from autovibe.db.discovery import load_models
from autovibe.db.upgrade import ensure_schema
from autovibe.domains.metering import ArrivedCall, MeteringService
from autovibe.domains.projects import ProjectService
from autovibe.gateway import MachineBinding, Upstream, build_gateway, serve_listener
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.operations.invoke import Operations
from autovibe.operations.registry import Registry
from autovibe.operations.twin import local_twin
from autovibe.sdk.services import Services
from autovibe.testing.model_server import DEFAULT_API_KEY
from autovibe.v1 import metering_pb2, projects_pb2

PAIRS: Final = int(os.environ.get("AUTOVIBE_BENCH_PAIRS", "300"))
WARM_UP: Final = 30
KEY: Final = "key-of-the-benchmark"
# About the size of a request of a coding agent early in its work.
BODY: Final = json.dumps(
    {
        "model": "claude-sonnet-5-5",
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": "x" * 50_000}],
    }
).encode()


class Nobody:
    """Observes nothing."""

    async def arrived(self, call: ArrivedCall) -> None:
        """Do nothing."""

    async def settled(self, call: ArrivedCall, settlement: metering_pb2.Settlement) -> None:
        """Do nothing."""

    async def parked(self, call: ArrivedCall, upstream: str, wait_s: float) -> None:
        """Fail: a call that waits would make the numbers meaningless."""
        raise AssertionError(f"{call.model}: {upstream} is parked for {wait_s} seconds")

    async def refused(self, call: ArrivedCall, verdict: metering_pb2.ReserveVerdict) -> None:
        """Fail: a refused call would make the numbers meaningless."""
        raise AssertionError(f"{call.model}: {verdict.message}")


@contextlib.asynccontextmanager
async def ledger(directory: Path) -> AsyncGenerator[tuple[Services, str]]:
    """Open a ledger on SQLite with one project that may spend."""
    load_models()
    database: Database = open_database(f"sqlite:///{directory / 'autovibe.db'}")
    await ensure_schema(database.engine)
    names = {
        "autovibe.v1.MeteringService": MeteringService(),
        "autovibe.v1.ProjectService": ProjectService(),
    }
    operations = Operations(database, Registry(names), instance_id=uuid.uuid4())
    actor = Actor("system", "benchmark", ALL_SCOPES)
    services = local_twin(operations, lambda: operations.context(actor))
    project = await services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="benchmark")
    )
    for period in ("daily", "total"):
        await services.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project=project.id, resource_type="money", amount="100000", budget_period=period
            )
        )
    yield services, project.id
    await database.close()


@contextlib.contextmanager
def provider() -> Any:
    """Run the scripted model server in a process of its own."""
    command = [sys.executable, "-m", "autovibe.testing.model_server", "--script", "plain_text"]
    process = subprocess.Popen([*command, "--print-url"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def call(http: aiohttp.ClientSession, base: str, key: str) -> float:
    """Return the milliseconds of one streamed call, to its last byte."""
    headers = {
        "x-api-key": key,
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    start = time.perf_counter()
    async with http.post(f"{base}/v1/messages", data=BODY, headers=headers) as response:
        answer = await response.read()
    elapsed = (time.perf_counter() - start) * 1000
    assert response.status == 200, answer
    assert b"message_stop" in answer
    return elapsed


async def measure(url: str, directory: Path) -> tuple[list[float], list[float]]:
    """Return the times of direct and of metered calls."""
    direct: list[float] = []
    through: list[float] = []
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/llm/anthropic"
    async with (
        ledger(directory) as (services, project_id),
        aiohttp.ClientSession() as http,
        aiohttp.ClientSession() as upstream,
    ):
        binding = MachineBinding(
            project_id=project_id,
            task_id="",
            machine_id="",
            execution_id=str(uuid.uuid4()),
            work_order_id="",
            lease_generation=0,
            instance_id=str(uuid.uuid4()),
            virtual_key=KEY,
        )
        gateway = build_gateway(
            binding,
            metering=services.metering,
            upstreams={"anthropic": Upstream(url, DEFAULT_API_KEY)},
            observer=Nobody(),
            clock=SystemClock(),
            session=upstream,
        )
        server = await serve_listener(gateway, listener)
        for pair in range(WARM_UP + PAIRS):
            ways = [(direct, url, DEFAULT_API_KEY), (through, base, KEY)]
            for times, target, key in ways if pair % 2 else reversed(ways):
                elapsed = await call(http, target, key)
                if pair >= WARM_UP:
                    times.append(elapsed)
        await server.close()
    return direct, through


def percentile(times: list[float], share: float) -> float:
    """Return the time that a share of the calls stayed within."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    """Measure and print one row per percentile."""
    with tempfile.TemporaryDirectory() as directory, provider() as url:
        direct, through = asyncio.run(measure(url, Path(directory)))
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        added = percentile(through, share) - percentile(direct, share)
        row = {
            "name": f"gateway_added_latency_{name}_ms",
            "unit": "ms",
            "ours": round(added, 3),
            "peer": None,
            "peer_value": None,
            "ratio": None,
            "runs": len(direct),
        }
        print(json.dumps(row))
        print(
            f"{name}: direct {percentile(direct, share):.2f} ms, "
            f"through the gateway {percentile(through, share):.2f} ms",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()

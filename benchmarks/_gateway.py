"""The gateway of one machine in a process of its own, with a ledger on either database.

`python benchmarks/_gateway.py DATABASE_URL PROVIDER_URL` prints its URL and serves until it is
ended. The database must have the schema.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import uuid
from typing import Final

import aiohttp
from _ledger import hot_project_in

from autovibe.db.discovery import load_models
from autovibe.domains.metering import ArrivedCall
from autovibe.gateway import MachineBinding, Upstream, build_gateway, serve_listener
from autovibe.kernel.clock import SystemClock
from autovibe.testing.model_server import DEFAULT_API_KEY
from autovibe.v1 import metering_pb2

KEY: Final = "key-of-the-benchmark"


class Nobody:
    """Observes nothing."""

    async def arrived(self, call: ArrivedCall) -> None:
        """Do nothing."""

    async def parked(self, call: ArrivedCall, provider: str, seconds: float) -> None:
        """Fail: the provider has no quota."""
        raise AssertionError(f"{call.model} waits {seconds} s for {provider}")

    async def settled(self, call: ArrivedCall, settlement: metering_pb2.Settlement) -> None:
        """Do nothing."""

    async def refused(self, call: ArrivedCall, verdict: metering_pb2.ReserveVerdict) -> None:
        """Fail: a refused call would make the numbers meaningless."""
        raise AssertionError(f"{call.model}: {verdict.message}")


async def _serve(database_url: str, provider_url: str) -> None:
    load_models()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        hot_project_in(database_url, allocated="900000000", periods=("daily", "total")) as project,
        aiohttp.ClientSession(connector=connector) as upstream,
    ):
        gateway = build_gateway(
            MachineBinding(
                project_id=project.project_id,
                task_id="",
                machine_id="",
                execution_id=str(uuid.uuid4()),
                work_order_id="",
                lease_generation=0,
                instance_id=project.instance_id,
                virtual_key=KEY,
            ),
            metering=project.services.metering,
            upstreams={"anthropic": Upstream(provider_url, DEFAULT_API_KEY)},
            observer=Nobody(),
            clock=SystemClock(),
            session=upstream,
        )
        server = await serve_listener(gateway, listener)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/llm/anthropic", flush=True)
        await ended.wait()
        await server.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))

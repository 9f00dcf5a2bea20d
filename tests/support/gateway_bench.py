"""A gateway to test: real ledger, real listener, real scripted provider, a recording observer."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import aiohttp
from ledger_desk import LedgerDesk

from autovibe.domains.metering import ArrivedCall
from autovibe.gateway import (
    BodyKeeper,
    GatewayTelemetry,
    Ledger,
    Limits,
    MachineBinding,
    ProviderPolicy,
    RunningServer,
    Upstream,
    build_gateway,
    serve_listener,
)
from autovibe.kernel.clock import SystemClock
from autovibe.testing.messages_wire import Bill
from autovibe.testing.model_server import ModelServer
from autovibe.v1 import metering_pb2

KEY = "virtual-key-of-this-machine"
MODEL = "claude-sonnet-5-5"
# US dollars per million tokens of that model, by hand.
PRICES = {"input": 2, "output": 10, "read": "0.1", "write_5m": "2.5", "write_1h": 4}


def bill_usd(bill: Bill) -> Decimal:
    """Return what the provider bills."""
    tokens = {
        "input": bill.input_tokens,
        "output": bill.output_tokens,
        "read": bill.cache_read_input_tokens,
        "write_5m": bill.cache_creation_input_tokens,
        "write_1h": bill.cache_creation_1h_input_tokens,
    }
    return (
        sum((Decimal(PRICES[kind]) * count for kind, count in tokens.items()), Decimal(0))
        / 1_000_000
    )


def cad(usd: Decimal, rate: Decimal) -> Decimal:
    """Return an amount in CAD, rounded up to six decimals."""
    return (usd * rate).quantize(Decimal("0.000001"), rounding=ROUND_CEILING)


@dataclass
class RecordingObserver:
    """Remembers what it is told; `on_arrived` runs within `arrived`."""

    arrivals: list[ArrivedCall] = field(default_factory=list)
    settlements: list[tuple[ArrivedCall, metering_pb2.Settlement]] = field(default_factory=list)
    refusals: list[tuple[ArrivedCall, metering_pb2.ReserveVerdict]] = field(default_factory=list)
    parkings: list[tuple[ArrivedCall, str, float]] = field(default_factory=list)
    on_arrived: Callable[[ArrivedCall], Awaitable[None]] | None = None

    async def arrived(self, call: ArrivedCall) -> None:
        self.arrivals.append(call)
        if self.on_arrived is not None:
            await self.on_arrived(call)

    async def settled(self, call: ArrivedCall, settlement: metering_pb2.Settlement) -> None:
        self.settlements.append((call, settlement))

    async def parked(self, call: ArrivedCall, upstream: str, wait_s: float) -> None:
        self.parkings.append((call, upstream, wait_s))

    async def refused(self, call: ArrivedCall, verdict: metering_pb2.ReserveVerdict) -> None:
        self.refusals.append((call, verdict))


@dataclass
class Bench:
    """One machine's gateway in front of a scripted provider."""

    desk: LedgerDesk
    provider: ModelServer
    observer: RecordingObserver
    server: RunningServer
    http: aiohttp.ClientSession
    port: int
    task_id: str

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/llm/anthropic/v1/messages"

    async def send(
        self, body: Any = None, *, url: str = "", method: str = "POST", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and read the whole answer."""
        async with self.open(body, url=url, method=method, **headers) as response:
            return response.status, response.headers, await response.read()

    def open(self, body: Any = None, *, url: str = "", method: str = "POST", **headers: str) -> Any:
        """Send a request; the answer is read by the caller."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, url or self.url, data=data, headers=given)

    async def rate(self) -> Decimal:
        """Return the dollar's rate."""
        request = metering_pb2.GetExchangeRateRequest(currency="USD")
        return Decimal((await self.desk.metering.get_exchange_rate(request)).rate_to_cad)

    async def billed_cad(self) -> Decimal:
        """Return the provider's bill in CAD, each call rounded as the ledger does."""
        rate = await self.rate()
        return sum((cad(bill_usd(bill), rate) for bill in self.provider.billed), Decimal(0))

    async def ledger(self) -> tuple[Decimal, Decimal]:
        """Return used and reserved of the project's money budget, checked against the rows."""
        [budget] = [b for b in await self.desk.budgets() if not b.task_id]
        used, reserved = Decimal(budget.used_amount), Decimal(budget.reserved_amount)
        if not reserved:
            assert used == await self.desk.used_by_rows()
        return used, reserved

    async def all_settled(self) -> None:
        """Wait until no call holds anything."""
        async with asyncio.timeout(10):
            while (await self.ledger())[1]:  # noqa: ASYNC110 - the ledger tells nobody of changes
                await asyncio.sleep(0.01)


def ask(text: str = "Say something.", **more: Any) -> dict[str, Any]:
    """Return a request body."""
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": text}],
    } | more


@asynccontextmanager
async def open_bench(
    desk: LedgerDesk,
    provider: ModelServer,
    *,
    budget: str = "5",
    metering: Any = None,
    policy: ProviderPolicy | None = None,
    upstream: Upstream | None = None,
    limits: Limits | None = None,
    prices_path: Path | None = None,
    ledger: Ledger | None = None,
    telemetry: GatewayTelemetry | None = None,
    keeper: BodyKeeper | None = None,
    **binding: Any,
) -> AsyncGenerator[Bench, None]:
    """Serve a gateway for one task of the desk's project."""
    task_id = await desk.task()
    if budget:
        await desk.budget(budget)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    observer = RecordingObserver()
    values = {
        "project_id": desk.project_id,
        "task_id": task_id,
        "machine_id": "",
        "execution_id": str(uuid.uuid4()),
        "work_order_id": "",
        "lease_generation": 0,
        "instance_id": desk.instance_id,
        "virtual_key": KEY,
        "policy": policy or ProviderPolicy(),
    }
    async with aiohttp.ClientSession() as upstream_session, aiohttp.ClientSession() as http:
        gateway = build_gateway(
            MachineBinding(**(values | binding)),
            metering=metering or desk.metering,
            upstreams=dict.fromkeys(
                ("anthropic", "openai", "gemini"),
                upstream or Upstream(provider.url, provider.api_key),
            ),
            observer=observer,
            clock=SystemClock(),
            session=upstream_session,
            prices_path=prices_path,
            ledger=ledger,
            telemetry=telemetry,
            keeper=keeper,
            limits=limits or Limits(held_wait_s=0, parked_wait_s=0, drain_s=5),
        )
        server = await serve_listener(gateway, listener)
        try:
            yield Bench(desk, provider, observer, server, http, port, task_id)
        finally:
            await server.close(grace_s=2)


async def refused(bench: Bench, body: Any, status: int = 400) -> str:
    """Send what must be refused; return the message."""
    before = len(bench.provider.requests)
    got, headers, answer = await bench.send(body)
    error = json.loads(answer)
    assert (got, error["type"]) == (status, "error"), answer
    assert headers["x-should-retry"] == "false"
    assert headers["request-id"] == error["request_id"]
    assert len(bench.provider.requests) == before
    return error["error"]["message"]

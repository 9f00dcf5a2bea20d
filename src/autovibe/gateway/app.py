"""The gateway of one machine as an ASGI application: the only way from it to a model.

It serves `/llm/anthropic`, `/llm/openai` and `/llm/gemini` and nothing else, to the one key that
its machine holds. Raw ASGI and
aiohttp's client are the fastest combination that was measured; bytes of answers pass unparsed but
for the few events that carry usage.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

from autovibe.domains.metering import CallObserver, PriceBook
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.bodies import BodyKeeper
from autovibe.gateway.call import serve_call, serve_count, serve_models
from autovibe.gateway.chat import ChatDialect
from autovibe.gateway.desk import CutError, Desk, Limits
from autovibe.gateway.dialect import CALL, COUNT, MODELS, Dialect, Endpoint, plain_not_found
from autovibe.gateway.exchange import Exchange, Receive, Scope, Send
from autovibe.gateway.gemini import GeminiDialect
from autovibe.gateway.ledger import Ledger
from autovibe.gateway.messages import MessagesDialect
from autovibe.gateway.responses import ResponsesDialect
from autovibe.gateway.telemetry import GatewayTelemetry
from autovibe.kernel.clock import Clock
from autovibe.kernel.ids import new_id
from autovibe.v1 import services

_logger = logging.getLogger(__name__)

PREFIX: Final = "/llm/"
_DIALECTS: Final[tuple[Dialect, ...]] = (
    MessagesDialect(),
    ChatDialect(),
    ResponsesDialect(),
    GeminiDialect(),
)
_SERVE: Final = {CALL: serve_call, COUNT: serve_count, MODELS: serve_models}
# Agents look whether anybody is there before they call.
_GREETINGS: Final = {
    "/",
    "/api/hello",
    *(f"{PREFIX}{dialect.name}{rest}" for dialect in _DIALECTS for rest in ("", "/", "/api/hello")),
}


class Gateway:
    """The gateway of one machine. `close()` ends it: no call under way is left unsettled."""

    def __init__(self, desk: Desk, *, owns_ledger: bool) -> None:
        """Serve with what `build_gateway` has put together."""
        self._desk = desk
        self._owns_ledger = owns_ledger
        self._calls: set[asyncio.Task[object]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await self._serve(Exchange(scope, receive, send))
        finally:
            self._calls.discard(task)

    async def close(self, grace_s: float = 10) -> None:
        """Let calls under way end, then end them; wait until all of them are settled.

        Args:
            grace_s: seconds until calls are ended.
        """
        if self._calls:
            _, late = await asyncio.wait(set(self._calls), timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        if self._desk.background:
            await asyncio.wait(set(self._desk.background), timeout=5)
        await self._desk.ledger.drain()
        if self._owns_ledger:
            self._desk.ledger.give_up()
        self._desk.machine_span.end()

    async def _serve(self, exchange: Exchange) -> None:
        dialect, endpoint = _find(exchange)
        try:
            await self._route(exchange, dialect, endpoint)
        except (CutError, ConnectionResetError):
            # Returning without an end makes the server cut the connection, as the provider did.
            return
        except Exception:
            request_id = str(new_id())
            _logger.exception("request %s failed", request_id)
            if exchange.started:
                return
            message = f"Something went wrong inside autovibe; its log tells more ({request_id})."
            await exchange.answer(dialect.failure(500, "api_error", message, request_id))

    async def _route(self, exchange: Exchange, dialect: Dialect, endpoint: Endpoint | None) -> None:
        if exchange.method in {"GET", "HEAD"} and exchange.path in _GREETINGS:
            await exchange.answer(plain_not_found())
            return
        if not self._desk.binding.accepts(dialect.key(exchange.named, exchange.query)):
            message = "This listener takes only the key of its own machine."
            kind = "authentication_error"
            answer = dialect.failure(401, kind, message, str(new_id()), retry=False)
            await exchange.answer(answer)
            return
        if endpoint is None:
            message = f"{exchange.method} {exchange.path} does not exist here."
            kind = "not_found_error"
            answer = dialect.failure(404, kind, message, str(new_id()), retry=False)
            await exchange.answer(answer)
            return
        await _SERVE[endpoint.what](self._desk, exchange, dialect, endpoint)


def _find(exchange: Exchange) -> tuple[Dialect, Endpoint | None]:
    """Return whose dialect a request speaks, and what it asks for there."""
    spoken: Dialect = _DIALECTS[0]
    for dialect in _DIALECTS:
        prefix = f"{PREFIX}{dialect.name}"
        if exchange.path.startswith(f"{prefix}/"):
            spoken = dialect
            endpoint = dialect.endpoint(exchange.method, exchange.path[len(prefix) :])
            if endpoint is not None:
                return dialect, endpoint
    return spoken, None


def build_gateway(
    binding: MachineBinding,
    metering: services.MeteringService,
    upstreams: Mapping[str, Upstream],
    observer: CallObserver,
    *,
    clock: Clock,
    session: aiohttp.ClientSession,
    prices_path: Path | None = None,
    prices: PriceBook | None = None,
    ledger: Ledger | None = None,
    telemetry: GatewayTelemetry | None = None,
    keeper: BodyKeeper | None = None,
    limits: Limits | None = None,
) -> Gateway:
    """Return the gateway of one machine.

    Args:
        binding: the machine, its key, and what its project allows.
        metering: the ledger, in this process or beyond a network.
        upstreams: where providers are: `anthropic`, `openai`, `gemini`; each may be missing.
        observer: is told of every call.
        clock: the time.
        session: makes the calls to providers; it is not closed here.
        prices_path: a file of own prices, read if `prices` is not given.
        prices: the price book, shared by many gateways.
        ledger: shared by gateways whose calls are to be batched together.
        telemetry: what the gateways of a process share and tell.
        keeper: keeps what is asked and answered, where the project wants that.
        limits: how long things may take.

    Raises:
        InvalidArgumentError: the file of own prices is malformed.
    """
    telemetry = telemetry or GatewayTelemetry(clock)
    return Gateway(
        Desk(
            binding=binding,
            ledger=ledger or Ledger(metering, clock),
            upstreams=upstreams,
            observer=observer,
            clock=clock,
            session=session,
            prices=prices or PriceBook(prices_path),
            limits=limits or Limits(),
            telemetry=telemetry,
            machine_span=telemetry.machine_span(binding),
            keeper=keeper if binding.policy.keep_bodies else None,
        ),
        owns_ledger=ledger is None,
    )

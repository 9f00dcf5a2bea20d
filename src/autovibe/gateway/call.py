"""One model call: held, forwarded, passed on, settled from what the provider says it used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import aiohttp

from autovibe.domains.metering import (
    ArrivedCall,
    CallObserver,
    NoExchangeRateError,
    NoPriceError,
    PriceBook,
    UnpriceableUsageError,
)
from autovibe.gateway.admission import (
    Plan,
    arrived_call,
    estimated_cost,
    plan_call,
    released,
    settled_as,
    uncertain,
)
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.body import BadBodyError, parse
from autovibe.gateway.bounds import Conversations
from autovibe.gateway.dialect import Answer, Dialect, Endpoint, Headers, invalid, refusal
from autovibe.gateway.exchange import Exchange
from autovibe.gateway.forwarding import (
    UPSTREAM_ERRORS,
    answer_headers,
    nothing_was_sent,
    open_upstream,
    says_not_billed,
)
from autovibe.gateway.ledger import Ledger
from autovibe.gateway.policy import RequestRefusedError
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.kernel.ids import new_id
from autovibe.v1 import metering_pb2

_logger = logging.getLogger(__name__)

_LARGEST_ANSWER: Final = 256 * 1024 * 1024
_TTL_MARGIN_S: Final = 600


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    A call waits for held money, an answer for its checkpoint; the answer to a client that is gone
    is read on for so long and for so many bytes.
    """

    held_wait_s: float = 120
    arrived_wait_s: float = 2
    drain_s: float = 60
    drain_bytes: int = 64 * 1024 * 1024


@dataclass
class Desk:
    """What all calls of one machine share."""

    binding: MachineBinding
    ledger: Ledger
    upstreams: Mapping[str, Upstream]
    observer: CallObserver
    clock: Clock
    session: aiohttp.ClientSession
    prices: PriceBook
    limits: Limits
    conversations: Conversations = field(default_factory=Conversations)
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def upstream(self, dialect: Dialect) -> Upstream:
        """Return where the calls of a dialect go."""
        return self.upstreams.get(dialect.name) or Upstream("")

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that nobody waits for, but the end of the gateway."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task


class CutError(Exception):
    """The provider's answer broke off; so must ours, without an end."""


async def serve_call(desk: Desk, exchange: Exchange, dialect: Dialect, endpoint: Endpoint) -> None:
    """Serve a call of a model.

    Raises:
        CutError: the answer broke off after its start.
    """
    request_id = str(new_id())
    try:
        body = await exchange.body()
        request = parse(body)
        asked = dialect.read(endpoint, request, body, desk.binding.policy)
    except BadBodyError as error:
        await exchange.answer(invalid(dialect, error.status, error.message, request_id))
        return
    except RequestRefusedError as error:
        _logger.info("call %s refused: %s", request_id, error.message)
        await exchange.answer(invalid(dialect, 400, error.message, request_id))
        return
    call = arrived_call(asked, request_id, len(body))
    try:
        variant = asked.use.variant
        plan = plan_call(
            dialect,
            call,
            asked,
            request,
            path=endpoint.path,
            session=f"{dialect.name}\n{dialect.session(exchange.named, asked)}",
            prices=desk.prices.find(dialect.provider, call.model, desk.clock.now(), variant),
            rate=await desk.ledger.rate(),
            conversations=desk.conversations,
        )
        reach("before_hold")
        verdict = await _reserve(desk, exchange, plan)
        reach("after_hold")
    except (NoPriceError, NoExchangeRateError) as error:
        unpriced = metering_pb2.ReserveVerdict(
            id=request_id, reason=error.reason, message=error.message
        )
        await _refuse(desk, exchange, dialect, call, unpriced)
        return
    except AutovibeError as error:
        _logger.warning("call %s not sent: %s", request_id, error.message)
        message = f"The ledger cannot be reached, so nothing was sent. {error.message}"
        kind = "overloaded_error"
        await exchange.answer(dialect.failure(503, kind, message, request_id, retry_after_s=5))
        return
    if not verdict.admitted:
        await _refuse(desk, exchange, dialect, call, verdict)
        return
    plan = plan.admitted(Decimal(verdict.money_held))
    await _Forwarded(desk, exchange, plan).run()


async def serve_count(desk: Desk, exchange: Exchange, dialect: Dialect, endpoint: Endpoint) -> None:
    """Serve a request to count tokens, which is free but bound by the same policy."""
    request_id = str(new_id())
    try:
        body = await exchange.body()
        dialect.check_free(parse(body), desk.binding.policy)
    except (BadBodyError, RequestRefusedError) as error:
        status = error.status if isinstance(error, BadBodyError) else 400
        await exchange.answer(invalid(dialect, status, error.message, request_id))
        return
    await _pass_free(desk, exchange, dialect, endpoint.path, body)


async def serve_models(
    desk: Desk, exchange: Exchange, dialect: Dialect, endpoint: Endpoint
) -> None:
    """Serve the list of models, which is free."""
    await _pass_free(desk, exchange, dialect, endpoint.path, None)


async def _pass_free(
    desk: Desk, exchange: Exchange, dialect: Dialect, path: str, body: bytes | None
) -> None:
    request_id = str(new_id())
    upstream = desk.upstream(dialect)
    if not upstream.key:
        await exchange.answer(invalid(dialect, 400, _no_key(dialect), request_id))
        return
    try:
        async with open_upstream(
            desk.session,
            upstream,
            method=exchange.method,
            path=path,
            query=dialect.query(exchange.query),
            headers=dialect.headers(exchange.headers, upstream.key),
            body=body,
        ) as response:
            content = await _read(response)
            await exchange.start(response.status, answer_headers(response.headers, request_id))
    except UPSTREAM_ERRORS as error:
        await exchange.answer(_unreachable(dialect, error, request_id))
        return
    await exchange.write(content)
    await exchange.end()


async def _reserve(desk: Desk, exchange: Exchange, plan: Plan) -> metering_pb2.ReserveVerdict:
    upstream = desk.upstream(plan.dialect)
    if not upstream.key:
        return metering_pb2.ReserveVerdict(
            id=plan.call.request_id, reason="NO_PROVIDER_KEY", message=_no_key(plan.dialect)
        )
    exchange.watch()
    limit = upstream.call_timeout_s + desk.limits.held_wait_s + _TTL_MARGIN_S
    return await desk.ledger.reserve(
        plan.reservation(desk.binding, int(limit)),
        wait_s=desk.limits.held_wait_s,
        gone=lambda: exchange.gone,
    )


async def _refuse(
    desk: Desk,
    exchange: Exchange,
    dialect: Dialect,
    call: ArrivedCall,
    verdict: metering_pb2.ReserveVerdict,
) -> None:
    try:
        await desk.observer.refused(call, verdict)
    except Exception:
        _logger.exception("the observer of call %s failed", call.request_id)
    await exchange.answer(refusal(dialect, verdict.reason, verdict.message, call.request_id))
    await exchange.end_watch()


class _Forwarded:
    """A call that is held and goes out. However it ends, it is settled exactly once."""

    def __init__(self, desk: Desk, exchange: Exchange, plan: Plan) -> None:
        self.desk = desk
        self.exchange = exchange
        self.plan = plan
        self.usage = plan.dialect.reader(plan.asked, plan.request)
        self.status = 0
        self.started_at = desk.clock.monotonic()
        self.arrived: asyncio.Task[None] | None = None
        self.settlement: metering_pb2.Settlement | None = None
        self.drained = 0
        self.response: aiohttp.ClientResponse | None = None
        self.cut_off: asyncio.TimerHandle | None = None
        self.task = asyncio.current_task()

    async def run(self) -> None:
        """Forward, pass on, settle."""
        self.exchange.watch(self._client_gone)
        try:
            if self.exchange.gone:
                await self._settle(released(self.plan))
                return
            await self._forward()
        except asyncio.CancelledError:
            # The gateway ends. What the provider has done so far is owed all the same.
            await asyncio.shield(self.desk.later(self._settle(self._by_what_is_known())))
            raise
        except CutError:
            raise
        except Exception:
            await self._settle(self._by_what_is_known())
            raise
        finally:
            if self.cut_off is not None:
                self.cut_off.cancel()
            await self.exchange.end_watch()

    async def _forward(self) -> None:
        desk, plan = self.desk, self.plan
        started = False
        upstream = desk.upstream(plan.dialect)
        request = open_upstream(
            desk.session,
            upstream,
            method="POST",
            path=plan.path,
            query=plan.dialect.query(self.exchange.query),
            headers=plan.dialect.headers(self.exchange.headers, upstream.key or ""),
            body=plan.asked.body,
        )
        self.arrived = desk.later(self._tell_arrived())
        try:
            reach("before_forward")
            async with request as response:
                reach("after_forward")
                self.response, self.status = response, response.status
                if response.status == 200 and response.content_type == "text/event-stream":
                    await self._may_answer()
                    await self.exchange.start(200, self._headers())
                    started = True
                    await self._pass_stream(response)
                else:
                    await self._pass_whole(response)
        except UPSTREAM_ERRORS as error:
            settlement = released(plan) if nothing_was_sent(error) else self._by_what_is_known()
            _logger.warning("call %s: the provider failed: %s", plan.call.request_id, error)
            await self._settle(settlement)
            if started:
                raise CutError from error
            await self._may_answer()
            await self.exchange.answer(_unreachable(plan.dialect, error, plan.call.request_id))

    async def _pass_stream(self, response: aiohttp.ClientResponse) -> None:
        first = True
        async for chunk in response.content.iter_any():
            if first:
                reach("first_byte")
                first = False
            passed = self.usage.feed(chunk)
            if self.usage.stopped and self.settlement is None:
                reach("last_byte")
                # The books are right before the agent can see the end of the answer.
                await self._settle(self._by_what_is_known())
            if passed:
                await self.exchange.write(passed)
            if self.exchange.gone:
                self.drained += len(chunk)
                if self.drained > self.desk.limits.drain_bytes:
                    break
        else:
            rest = self.usage.ended()
            if rest:
                await self.exchange.write(rest)
        await self._settle(self._by_what_is_known())
        await self.exchange.end()

    async def _pass_whole(self, response: aiohttp.ClientResponse) -> None:
        content = await _read(response)
        if response.status == 200:
            self.usage.whole(content)
            settlement = self._by_what_is_known()
        elif says_not_billed(response.status, content):
            settlement = released(self.plan)
        else:
            settlement = uncertain(self.plan)
        await self._settle(settlement)
        await self._may_answer()
        headers = [*self._headers(), (b"content-length", str(len(content)).encode())]
        money = next((a.amount for a in settlement.amounts if a.resource_type == "money"), "0.00")
        headers.append((b"x-autovibe-cost-cad", money.encode()))
        if response.status in {401, 403} and "x-should-retry" not in response.headers:
            # The key is autovibe's own: no repeat by the agent can mend it.
            headers.append((b"x-should-retry", b"false"))
        status = 502 if 300 <= response.status < 400 else response.status
        await self.exchange.start(status, headers)
        await self.exchange.write(content)
        await self.exchange.end()

    def _by_what_is_known(self) -> metering_pb2.Settlement:
        """Return the true cost; else the most it can be; else all that was held."""
        desk, plan, usage = self.desk, self.plan, self.usage
        if usage.failed and not usage.started:
            return released(plan)
        try:
            if usage.final:
                native = plan.cost(usage.usage, desk.prices, desk.clock)
            elif usage.input_known:
                native = estimated_cost(plan, usage.usage, desk.prices, desk.clock)
            else:
                return uncertain(plan)
        except UnpriceableUsageError as error:
            _logger.warning("call %s has no exact price: %s", plan.call.request_id, error)
            return uncertain(plan, usage.usage)
        return settled_as(
            plan,
            native,
            usage=usage.usage,
            estimated=not usage.final,
            served_model=usage.model,
        )

    async def _settle(self, settlement: metering_pb2.Settlement) -> None:
        if self.settlement is not None:
            return
        self.settlement = settlement
        settlement.upstream_status = self.status
        elapsed = self.desk.clock.monotonic() - self.started_at
        settlement.duration_ms = round(elapsed * 1000)
        reach("before_settle")
        await self.desk.ledger.settle(settlement)
        reach("after_settle")
        self._remember(settlement)
        self.desk.later(self._tell_settled(settlement))

    def _remember(self, settlement: metering_pb2.Settlement) -> None:
        """Keep the provider's count of the input, which bounds the next call of the session."""
        if (
            settlement.outcome != "settled"
            or settlement.estimated
            or self.plan.bounds.samplings > 1
        ):
            return
        plan = self.plan
        counted = plan.dialect.input_tokens(self.usage.usage)
        counted += self.usage.cleared_input_tokens
        self.desk.conversations.settled(plan.session, plan.asked.body, plan.request, counted)

    def _headers(self) -> Headers:
        plan = self.plan
        response = self.response
        headers = answer_headers(response.headers if response else {}, plan.call.request_id)
        headers.append((b"x-autovibe-hold-cad", plan.call.hold_cad.encode()))
        if plan.call.clamped_max_tokens is not None:
            clamped = str(plan.call.clamped_max_tokens).encode()
            headers.append((b"x-autovibe-max-tokens-clamped", clamped))
        if plan.asked.added_max_tokens is not None:
            added = str(plan.asked.max_tokens).encode()
            headers.append((b"x-autovibe-max-tokens-added", added))
        return headers

    async def _may_answer(self) -> None:
        """Wait until what must come before the answer is done, but not for long."""
        if self.arrived is not None and not self.arrived.done():
            spent = self.desk.clock.monotonic() - self.started_at
            left = max(0.0, self.desk.limits.arrived_wait_s - spent)
            await asyncio.wait({self.arrived}, timeout=left)

    async def _tell_arrived(self) -> None:
        try:
            await self.desk.observer.arrived(self.plan.call)
        except Exception:
            _logger.exception("the observer of call %s failed", self.plan.call.request_id)

    async def _tell_settled(self, settlement: metering_pb2.Settlement) -> None:
        try:
            await self.desk.observer.settled(self.plan.call, settlement)
        except Exception:
            _logger.exception("the observer of call %s failed", self.plan.call.request_id)

    def _client_gone(self) -> None:
        """Read the answer on without the client, to learn its cost, but not for ever."""
        if self.cut_off is None:
            loop = asyncio.get_running_loop()
            self.cut_off = loop.call_later(self.desk.limits.drain_s, self._give_up)

    def _give_up(self) -> None:
        if self.response is not None:
            self.response.close()
        elif self.task is not None:
            self.task.cancel()


def _no_key(dialect: Dialect) -> str:
    return (
        f"autovibe has no key for {dialect.label}; set AUTOVIBE_UPSTREAM_{dialect.name.upper()}_KEY"
        f" (or {dialect.key_variable}) where autovibe runs, and start it again."
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)


def _unreachable(dialect: Dialect, error: BaseException, request_id: str) -> Answer:
    if isinstance(error, TimeoutError):
        message = "The provider took too long to answer."
        return dialect.failure(504, "timeout_error", message, request_id)
    message = f"The provider cannot be reached or broke off: {type(error).__name__}."
    return dialect.failure(502, "api_error", message, request_id)

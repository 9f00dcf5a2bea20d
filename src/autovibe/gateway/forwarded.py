"""A call on its way: forwarded, passed on, settled from what the provider says it used."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

import aiohttp

from autovibe.domains.metering import UnpriceableUsageError
from autovibe.gateway.admission import Plan, estimated_cost, released, settled_as, uncertain
from autovibe.gateway.binding import Upstream
from autovibe.gateway.bodies import Copy
from autovibe.gateway.brake import Visit
from autovibe.gateway.counted import counted_tokens
from autovibe.gateway.desk import CutError, Desk
from autovibe.gateway.dialect import Answer, Dialect, Headers
from autovibe.gateway.exchange import Exchange
from autovibe.gateway.forwarding import (
    UPSTREAM_ERRORS,
    answer_headers,
    nothing_was_sent,
    open_upstream,
    says_not_billed,
)
from autovibe.gateway.quota import is_spent, pause_s
from autovibe.kernel.faults import reach
from autovibe.v1 import metering_pb2, model_calls_pb2

_logger = logging.getLogger(__name__)

_LARGEST_ANSWER: Final = 256 * 1024 * 1024
_LIMITED: Final = 429
_LONGEST_PAUSE_MS: Final = 86_400_000
_MOST_NAME: Final = 200
_CREDENTIALS: Final = frozenset({"authorization", "x-api-key", "x-goog-api-key"})


class Forwarded:
    """A call that is held and goes out. However it ends, it is settled exactly once.

    `again` says that the provider's quota was used up and that the call may try once more, under
    a new id: nothing was answered then.
    """

    def __init__(
        self,
        desk: Desk,
        exchange: Exchange,
        plan: Plan,
        visit: Visit,
        earlier: Forwarded | None = None,
    ) -> None:
        """Go out with a plan; `earlier` is the attempt that the quota was used up for."""
        self.desk = desk
        self.exchange = exchange
        self.plan = plan
        self.visit = visit
        self.again = False
        self.usage = plan.dialect.reader(plan.asked, plan.request)
        self.status = 0
        self.started_at = desk.clock.monotonic()
        self.arrived = earlier.arrived if earlier is not None else None
        self.settlement: metering_pb2.Settlement | None = None
        self.drained = 0
        self.held_back_s = 0.0
        self.response: aiohttp.ClientResponse | None = None
        self.cut_off: asyncio.TimerHandle | None = None
        self.task = asyncio.current_task()
        self.span = desk.telemetry.call_span(desk.machine_span, plan, desk.upstream(plan.dialect))
        self.copy = desk.keeper.copy() if desk.keeper is not None else None

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
            await self._settle(self._surely())
            raise
        finally:
            if self.cut_off is not None:
                self.cut_off.cancel()
            if self.copy is not None and self.settlement is not None and not self.again:
                self.desk.later(self._keep(self.copy, self.settlement))
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
            headers=upstream_headers(plan.dialect, self.exchange, upstream),
            body=plan.asked.body,
        )
        if self.arrived is None:
            self.arrived = desk.later(self._tell_arrived())
        try:
            reach("before_forward")
            async with request as response:
                reach("after_forward")
                self.response, self.status = response, response.status
                if response.status != _LIMITED:
                    self.visit.answered()
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
            await self.exchange.answer(unreachable(plan.dialect, error, plan.call.request_id))

    async def _pass_stream(self, response: aiohttp.ClientResponse) -> None:
        first = True
        async for chunk in response.content.iter_any():
            if self.copy is not None:
                self.copy.add(chunk)
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
        if self.settlement is None:
            await self._settle(self._by_what_is_known())
        await self.exchange.end()

    async def _pass_whole(self, response: aiohttp.ClientResponse) -> None:
        content = await read_whole(response)
        if self.copy is not None:
            self.copy.add(content)
        if response.status == 200:
            self.usage.whole(content)
            settlement = self._by_what_is_known()
        elif says_not_billed(response.status, content):
            settlement = released(self.plan)
        else:
            settlement = uncertain(self.plan)
        pause = self._limited(response, content)
        if pause is not None:
            settlement.provider_key = self.visit.lane.key_id
            settlement.parked_ms = min(math.ceil(pause * 1000), _LONGEST_PAUSE_MS)
        await self._settle(settlement)
        if self.again:
            return
        await self._may_answer()
        headers = [*self._headers(), (b"content-length", str(len(content)).encode())]
        money = next((a.amount for a in settlement.amounts if a.resource_type == "money"), "0.00")
        headers.append((b"x-autovibe-cost-cad", money.encode()))
        if response.status in {401, 403} and "x-should-retry" not in response.headers:
            # The key is autovibe's own: no repeat by the agent can mend it.
            headers.append((b"x-should-retry", b"false"))
        if pause is not None and "retry-after" not in response.headers:
            headers.append((b"retry-after", str(math.ceil(pause)).encode()))
        status = 502 if 300 <= response.status < 400 else response.status
        await self.exchange.start(status, headers)
        await self.exchange.write(content)
        await self.exchange.end()

    def _limited(self, response: aiohttp.ClientResponse, content: bytes) -> float | None:
        """Park the key after a 429 for its quota; return the seconds until it opens again."""
        if response.status != _LIMITED or is_spent(content):
            return None
        visit, clock = self.visit, self.desk.clock
        told = pause_s(response.headers, content, clock.now())
        self.again = visit.limited(told) and not self.exchange.gone
        return visit.lane.opens_in_s()

    def _surely(self) -> metering_pb2.Settlement:
        """Return what is known; all that was held if that is what went wrong."""
        try:
            return self._by_what_is_known()
        except Exception:
            _logger.exception("call %s: its usage cannot be read", self.plan.call.request_id)
            return uncertain(self.plan)

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
        settlement.held_back_ms = round(self.held_back_s * 1000)
        reach("before_settle")
        verdict = await self.desk.ledger.settle(settlement)
        reach("after_settle")
        self.desk.telemetry.settled(
            self.span,
            settlement,
            counted_tokens(self.usage.usage),
            overrun=verdict is not None and verdict.overrun,
        )
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
            ready_at = self.desk.clock.monotonic()
            await asyncio.wait({self.arrived}, timeout=left)
            self.held_back_s = self.desk.clock.monotonic() - ready_at

    async def _keep(self, copy: Copy, settlement: metering_pb2.Settlement) -> None:
        """Keep what was asked and answered."""
        keeper, binding, plan = self.desk.keeper, self.desk.binding, self.plan
        if keeper is None:
            return
        cost = next((one.amount for one in settlement.amounts if one.resource_type == "money"), "")
        kept = model_calls_pb2.KeepModelCallRequest(
            request_id=plan.call.request_id,
            execution_id=binding.execution_id,
            machine_id=binding.machine_id,
            model=plan.call.model[:_MOST_NAME],
            status="completed" if settlement.outcome == "settled" else "failed",
            upstream_status=settlement.upstream_status,
            cost_cad=cost,
            tokens_used=sum(counted_tokens(self.usage.usage).values()),
            duration_ms=settlement.duration_ms,
        )
        await keeper.keep(kept, plan.asked.body, copy, binding.virtual_key)

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


async def read_whole(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer.

    Raises:
        ClientPayloadError: it is larger than any answer of a model.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)


def unreachable(dialect: Dialect, error: BaseException, request_id: str) -> Answer:
    """Return the answer to a call whose provider gave none."""
    if isinstance(error, TimeoutError):
        message = "The provider took too long to answer."
        return dialect.failure(504, "timeout_error", message, request_id)
    message = f"The provider cannot be reached or broke off: {type(error).__name__}."
    return dialect.failure(502, "api_error", message, request_id)


def upstream_headers(
    dialect: Dialect, exchange: Exchange, upstream: Upstream
) -> list[tuple[str, str]]:
    """Return the headers of a request to a provider, with its key if it needs one."""
    headers = dialect.headers(exchange.headers, upstream.key or "")
    if upstream.key:
        return headers
    return [(name, value) for name, value in headers if name not in _CREDENTIALS]

"""Requests of a machine: checked, held, sent on when it is their turn, or refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from autovibe.domains.metering import ArrivedCall, NoExchangeRateError, NoPriceError
from autovibe.domains.metering.turns import read_turn
from autovibe.gateway.admission import Plan, arrived_call, plan_call
from autovibe.gateway.binding import Upstream
from autovibe.gateway.body import BadBodyError, parse
from autovibe.gateway.brake import ClientGoneError, ParkedTooLongError, Visit
from autovibe.gateway.desk import Desk
from autovibe.gateway.dialect import Asked, Dialect, Endpoint, invalid, refusal
from autovibe.gateway.exchange import Exchange
from autovibe.gateway.forwarded import Forwarded, read_whole, unreachable, upstream_headers
from autovibe.gateway.forwarding import UPSTREAM_ERRORS, answer_headers, open_upstream
from autovibe.gateway.model_names import named, only_allowed
from autovibe.gateway.policy import RequestRefusedError
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.kernel.ids import new_id
from autovibe.v1 import metering_pb2

_logger = logging.getLogger(__name__)

_TTL_MARGIN_S: Final = 600


async def serve_call(desk: Desk, exchange: Exchange, dialect: Dialect, endpoint: Endpoint) -> None:
    """Serve a call of a model.

    Raises:
        CutError: the answer broke off after its start.
    """
    request_id = str(new_id())
    try:
        body = await exchange.body()
        endpoint, request, body = named(desk.binding.policy.models, endpoint, parse(body), body)
        asked = dialect.read(endpoint, request, body, desk.binding.policy)
    except BadBodyError as error:
        await exchange.answer(invalid(dialect, error.status, error.message, request_id))
        return
    except RequestRefusedError as error:
        _logger.info("call %s refused: %s", request_id, error.message)
        desk.telemetry.refused("NOT_ALLOWED")
        await exchange.answer(invalid(dialect, 400, error.message, request_id))
        return
    await _Request(desk, exchange, dialect, endpoint, request, asked, len(body)).serve(request_id)


@dataclass(frozen=True)
class _Request:
    """A request that may go out, once or, when the provider's quota is used up, once more."""

    desk: Desk
    exchange: Exchange
    dialect: Dialect
    endpoint: Endpoint
    request: Mapping[str, Any]
    asked: Asked
    size_bytes: int

    async def serve(self, request_id: str) -> None:
        """Wait for a turn, hold, forward; every attempt is a call of its own in the ledger."""
        visit = self.desk.visit(self.dialect)
        attempt: Forwarded | None = None
        try:
            while True:
                call = arrived_call(self.asked, request_id, self.size_bytes)
                call = replace(call, turn=partial(read_turn, self.request))
                if not await self._turn(visit, call):
                    return
                plan = await self._held(visit, call)
                if plan is None:
                    return
                if not isinstance(plan, Plan):
                    # Whoever may not wait for so long is told so when it asks for its turn.
                    visit.limited(plan)
                    request_id = str(new_id())
                    continue
                attempt = Forwarded(self.desk, self.exchange, plan, visit, attempt)
                await attempt.run()
                if not attempt.again:
                    return
                visit.ended()
                request_id = str(new_id())
        finally:
            visit.ended()

    async def _turn(self, visit: Visit, call: ArrivedCall) -> bool:
        """Wait while the key is parked; return whether the call may go out."""
        if visit.lane.free:
            return True
        desk, dialect = self.desk, self.dialect
        desk.later(self._tell_parked(visit, call))
        try:
            await visit.enter(self.exchange.watch)
        except ClientGoneError:
            return False
        except ParkedTooLongError as error:
            message = (
                f"The quota of the key for {visit.lane.name} is used up, and {error.waiting} calls "
                f"wait for it; try again in {error.retry_after_s} seconds."
            )
            desk.telemetry.refused("PROVIDER_LIMIT")
            answer = dialect.failure(
                429,
                "rate_limit_error",
                message,
                call.request_id,
                retry_after_s=error.retry_after_s,
            )
            await self.exchange.answer(answer)
            return False
        finally:
            await self.exchange.end_watch()
        return True

    async def _tell_parked(self, visit: Visit, call: ArrivedCall) -> None:
        try:
            await self.desk.observer.parked(call, visit.lane.name, visit.lane.opens_in_s())
        except Exception:
            _logger.exception("the observer of call %s failed", call.request_id)

    async def _held(self, visit: Visit, call: ArrivedCall) -> Plan | float | None:
        """Hold what a call can cost; `None` when it may not go out, which was answered then.

        A number when another process was told that the key's quota is used up: until it resets, in
        seconds.
        """
        desk, exchange, dialect, asked = self.desk, self.exchange, self.dialect, self.asked
        request_id = call.request_id
        provider = desk.upstream(dialect).prices or dialect.provider
        try:
            variant = asked.use.variant
            plan = plan_call(
                dialect,
                call,
                asked,
                self.request,
                path=self.endpoint.path,
                session=f"{dialect.name}\n{dialect.session(exchange.named, asked)}",
                provider=provider,
                prices=desk.prices.find(provider, call.model, desk.clock.now(), variant),
                rate=await desk.ledger.rate(),
                conversations=desk.conversations,
            )
            reach("before_hold")
            # Whoever has waited for its turn tries: the provider itself knows best.
            key_id = "" if visit.probing else visit.lane.key_id
            verdict = await _reserve(desk, exchange, plan, key_id)
            reach("after_hold")
        except (NoPriceError, NoExchangeRateError) as error:
            unpriced = metering_pb2.ReserveVerdict(
                id=request_id, reason=error.reason, message=error.message
            )
            await _refuse(desk, exchange, dialect, call, unpriced)
            return None
        except AutovibeError as error:
            _logger.warning("call %s not sent: %s", request_id, error.message)
            message = f"The ledger cannot be reached, so nothing was sent. {error.message}"
            kind = "overloaded_error"
            await exchange.answer(dialect.failure(503, kind, message, request_id, retry_after_s=5))
            return None
        if verdict.reason == "PROVIDER_PARKED":
            return verdict.parked_ms / 1000
        if not verdict.admitted:
            await _refuse(desk, exchange, dialect, call, verdict)
            return None
        return plan.admitted(Decimal(verdict.money_held))


async def serve_count(desk: Desk, exchange: Exchange, dialect: Dialect, endpoint: Endpoint) -> None:
    """Serve a request to count tokens, which is free but bound by the same policy."""
    request_id = str(new_id())
    try:
        body = await exchange.body()
        endpoint, request, body = named(desk.binding.policy.models, endpoint, parse(body), body)
        dialect.check_free(request, desk.binding.policy)
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
    fault = _fault(upstream, dialect)
    if fault:
        await exchange.answer(invalid(dialect, 400, fault, request_id))
        return
    try:
        async with open_upstream(
            desk.session,
            upstream,
            method=exchange.method,
            path=path,
            query=dialect.query(exchange.query),
            headers=upstream_headers(dialect, exchange, upstream),
            body=body,
        ) as response:
            content = await read_whole(response)
            rules = desk.binding.policy.models
            if body is None and response.status == 200 and not rules.plain:
                content = only_allowed(rules, content)
            await exchange.start(response.status, answer_headers(response.headers, request_id))
    except UPSTREAM_ERRORS as error:
        await exchange.answer(unreachable(dialect, error, request_id))
        return
    await exchange.write(content)
    await exchange.end()


async def _reserve(
    desk: Desk, exchange: Exchange, plan: Plan, provider_key: str
) -> metering_pb2.ReserveVerdict:
    upstream = desk.upstream(plan.dialect)
    fault = _fault(upstream, plan.dialect)
    if fault:
        return metering_pb2.ReserveVerdict(
            id=plan.call.request_id, reason="NO_PROVIDER_KEY", message=fault
        )
    exchange.watch()
    limit = upstream.call_timeout_s + desk.limits.held_wait_s + _TTL_MARGIN_S
    return await desk.ledger.reserve(
        plan.reservation(desk.binding, int(limit), provider_key),
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
    desk.telemetry.refused(verdict.reason)
    try:
        await desk.observer.refused(call, verdict)
    except Exception:
        _logger.exception("the observer of call %s failed", call.request_id)
    await exchange.answer(refusal(dialect, verdict.reason, verdict.message, call.request_id))
    await exchange.end_watch()


def _fault(upstream: Upstream, dialect: Dialect) -> str:
    """Return why nothing can go to an upstream, "" when it can."""
    if upstream.fault or upstream.key or not upstream.needs_key:
        return upstream.fault
    if upstream.name:
        return (
            f"autovibe has no key for {upstream.name}; set "
            f"AUTOVIBE_UPSTREAM_{upstream.name.upper().replace('-', '_')}_KEY where autovibe runs, "
            "and start it again."
        )
    return (
        f"autovibe has no key for {dialect.label}; set AUTOVIBE_UPSTREAM_{dialect.name.upper()}_KEY"
        f" (or {dialect.key_variable}) where autovibe runs, and start it again."
    )

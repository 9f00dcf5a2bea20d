"""From a request to a hold: policy, price, bounds, reservation, clamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from autovibe.domains.metering import (
    ArrivedCall,
    Bounds,
    ModelPrices,
    NoPriceError,
    PriceBook,
    UnitPrices,
    UnpriceableUsageError,
    affordable_output,
    call_terms,
    in_cad,
    other_prices_key,
    with_other_prices,
    worst_case,
)
from autovibe.gateway.binding import MachineBinding
from autovibe.gateway.bounds import Conversations, UnboundedRequestError
from autovibe.gateway.dialect import Asked, Dialect
from autovibe.gateway.raw_usage import kept_text, kept_usage
from autovibe.kernel.clock import Clock
from autovibe.kernel.money import ZERO, round_up, to_text
from autovibe.v1 import metering_pb2

_NATIVE: Final = Decimal("0.000000000001")


@dataclass(frozen=True)
class Plan:
    """A request that may be forwarded once its worst case is held."""

    dialect: Dialect
    call: ArrivedCall
    asked: Asked
    request: Mapping[str, Any]
    path: str
    session: str
    provider: str
    prices: ModelPrices
    bounds: Bounds
    terms: metering_pb2.CallTerms
    hold: Decimal
    floor: Decimal
    floor_tokens: int
    other_prices: dict[str, UnitPrices] = field(default_factory=dict[str, UnitPrices])

    def reservation(
        self, binding: MachineBinding, ttl_s: int, provider_key: str
    ) -> metering_pb2.Reservation:
        """Return what is asked of the ledger."""
        return metering_pb2.Reservation(
            id=self.call.request_id,
            project_id=binding.project_id,
            task_id=binding.task_id,
            machine_id=binding.machine_id,
            execution_id=binding.execution_id,
            work_order_id=binding.work_order_id,
            lease_generation=binding.lease_generation,
            instance_id=binding.instance_id,
            amounts=[_amount("money", self.hold), _amount("api_calls", Decimal(1))],
            money_floor=_plain(self.floor),
            terms=self.terms,
            ttl_s=ttl_s,
            provider_key=provider_key,
        )

    def admitted(self, held: Decimal) -> Plan:
        """Return the plan with what the ledger has granted: clamped when it is less than asked."""
        call = replace(self.call, hold_cad=to_text(held))
        if held >= self.hold:
            return replace(self, call=call, hold=held)
        limit = self._affordable(held)
        if limit >= self.bounds.output_tokens:
            return replace(self, call=call, hold=held)
        return replace(
            self,
            call=replace(call, clamped_max_tokens=limit),
            asked=replace(
                self.asked, body=self.dialect.with_limit(self.asked.body, limit), max_tokens=limit
            ),
            bounds=replace(self.bounds, output_tokens=limit),
            hold=held,
        )

    def _affordable(self, held: Decimal) -> int:
        rate = Decimal(self.terms.rate_to_cad)
        native = (held / rate).quantize(_NATIVE, rounding=ROUND_FLOOR)
        limit = affordable_output(self.prices.unit_prices, self.bounds, native)
        # The floor was granted by the ledger; rounding of the rate cannot take it away again.
        return max(limit, self.floor_tokens)

    def cost(self, usage: Mapping[str, object], book: PriceBook, clock: Clock) -> Decimal:
        """Return the true cost in the provider's currency.

        Prices beside the pinned ones that it took are kept in `other_prices`.

        Raises:
            UnpriceableUsageError: it cannot be told.
        """

        def prices_of(model: str, variant: Mapping[str, str] | None) -> ModelPrices | None:
            try:
                found = book.find(self.provider, model, clock.now(), variant)
            except NoPriceError:
                return None
            self.other_prices[other_prices_key(model, variant)] = found.unit_prices
            return found

        return self.dialect.cost(usage, self.prices, prices_of, self.asked.use.variant)


def arrived_call(asked: Asked, request_id: str, size: int) -> ArrivedCall:
    """Return what is told of a request, before anything is held for it.

    Args:
        asked: the request.
        request_id: the call's.
        size: bytes of the body as it came.
    """
    return ArrivedCall(
        request_id=request_id,
        model=asked.model,
        tool_use_ids=asked.tool_use_ids,
        follows_tool_result=bool(asked.tool_use_ids),
        max_tokens=asked.max_tokens,
        body_size_bytes=size,
        stream=asked.stream,
        tool_errors=asked.tool_errors,
    )


def plan_call(
    dialect: Dialect,
    call: ArrivedCall,
    asked: Asked,
    request: Mapping[str, Any],
    *,
    path: str,
    session: str,
    provider: str,
    prices: ModelPrices,
    rate: metering_pb2.ExchangeRate,
    conversations: Conversations,
) -> Plan:
    """Work out what a call can cost at most.

    Raises:
        NoPriceError: that has no bound, or no price.
    """
    if asked.use.web_searches and "web_search" not in prices.unit_prices:
        raise NoPriceError(
            f"The price of web searches by {call.model!r} is not known; leave the tool out."
        )
    asked = _within(dialect, asked, prices.most_output)
    try:
        known = conversations.bound(session, asked.body, request)
        bounds = dialect.bounds(asked, request, known, prices.largest_input)
    except UnboundedRequestError as error:
        raise NoPriceError(
            f"What this call to {call.model!r} can cost has no bound: {error}. Send text and "
            "images only, or put the model's context_window into prices.toml in autovibe's home.",
            model=call.model,
        ) from None
    bounds = replace(bounds, output_tokens=min(bounds.output_tokens, asked.max_tokens))
    terms = call_terms(provider, prices, rate, bounds)
    floor_tokens = min(dialect.smallest_output(asked, request), asked.max_tokens)

    def cost(tokens: int) -> Decimal:
        return in_cad(worst_case(prices.unit_prices, replace(bounds, output_tokens=tokens)), terms)

    if asked.max_tokens < call.max_tokens and asked.added_max_tokens is None:
        call = replace(call, clamped_max_tokens=asked.max_tokens)
    return Plan(
        dialect=dialect,
        call=call,
        asked=asked,
        request=request,
        path=path,
        session=session,
        provider=provider,
        prices=prices,
        bounds=bounds,
        terms=terms,
        hold=cost(bounds.output_tokens),
        floor=cost(floor_tokens),
        floor_tokens=floor_tokens,
    )


def _within(dialect: Dialect, asked: Asked, most: int | None) -> Asked:
    """Return a request that asks for no more output than its model gives."""
    if most is None or asked.max_tokens <= most:
        return asked
    return replace(
        asked,
        body=dialect.with_limit(asked.body, most),
        max_tokens=most,
        added_max_tokens=None if asked.added_max_tokens is None else most,
    )


def settled_as(
    plan: Plan,
    native: Decimal,
    *,
    usage: Mapping[str, Any],
    estimated: bool,
    served_model: str | None,
) -> metering_pb2.Settlement:
    """Return the settlement of a call whose cost is known."""
    settlement = metering_pb2.Settlement(
        id=plan.call.request_id,
        outcome="settled",
        amounts=[
            _amount("money", in_cad(native, plan.terms)),
            _amount("api_calls", Decimal(1)),
        ],
        # Six decimals, rounded up: the usage row keeps prices and raw usage, from which it follows.
        native_cost=_plain(round_up(native)),
        estimated=estimated,
        served_model=kept_text(served_model)
        if served_model and served_model != plan.call.model
        else "",
    )
    settlement.raw_usage.CopyFrom(with_other_prices(kept_usage(usage), plan.other_prices))
    return settlement


def uncertain(plan: Plan, usage: Mapping[str, Any] | None = None) -> metering_pb2.Settlement:
    """Return the settlement of a call whose cost nobody can tell: all that was held."""
    settlement = metering_pb2.Settlement(
        id=plan.call.request_id,
        outcome="uncertain",
        amounts=[_amount("money", plan.hold), _amount("api_calls", Decimal(1))],
        estimated=True,
    )
    if usage:
        settlement.raw_usage.CopyFrom(kept_usage(usage))
    return settlement


def released(plan: Plan) -> metering_pb2.Settlement:
    """Return the settlement of a call that costs nothing."""
    return metering_pb2.Settlement(id=plan.call.request_id, outcome="released")


def estimated_cost(plan: Plan, usage: Mapping[str, Any], book: PriceBook, clock: Clock) -> Decimal:
    """Return the most that a call can have cost whose input is known and whose output is not.

    Raises:
        UnpriceableUsageError: it has parts that the beginning of an answer does not tell of.
    """
    if plan.bounds.samplings > 1:
        raise UnpriceableUsageError("the provider may have read the input more than once")
    most = plan.bounds.output_tokens * plan.bounds.output_samplings
    return plan.cost(plan.dialect.with_output(usage, most), book, clock)


def _amount(resource_type: str, amount: Decimal) -> metering_pb2.ResourceAmount:
    return metering_pb2.ResourceAmount(resource_type=resource_type, amount=_plain(amount))


def _plain(amount: Decimal) -> str:
    return to_text(max(amount, ZERO))

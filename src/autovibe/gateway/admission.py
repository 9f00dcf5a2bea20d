"""From a request to a hold: policy, price, bounds, reservation, clamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, cast

from autovibe.domains.metering import (
    ArrivedCall,
    Bounds,
    ModelPrices,
    NoPriceError,
    PriceBook,
    UnpriceableUsageError,
    affordable_output,
    anthropic_cost,
    call_terms,
    in_cad,
    worst_case,
)
from autovibe.gateway.binding import MachineBinding
from autovibe.gateway.body import BadBodyError, with_max_tokens
from autovibe.gateway.bounds import (
    Conversations,
    UnboundedRequestError,
    request_bounds,
    smallest_output,
)
from autovibe.gateway.policy import ProviderUse
from autovibe.kernel.clock import Clock
from autovibe.kernel.money import ZERO, round_up, to_text
from autovibe.kernel.protoconv import struct
from autovibe.v1 import metering_pb2

PROVIDER: Final = "anthropic"
_NATIVE: Final = Decimal("0.000000000001")
_MOST_OUTPUT: Final = 10_000_000


@dataclass(frozen=True)
class Plan:
    """A request that may be forwarded once its worst case is held."""

    call: ArrivedCall
    body: bytes
    request: Mapping[str, Any]
    session: str
    use: ProviderUse
    prices: ModelPrices
    bounds: Bounds
    terms: metering_pb2.CallTerms
    hold: Decimal
    floor: Decimal
    floor_tokens: int

    def reservation(self, binding: MachineBinding, ttl_s: int) -> metering_pb2.Reservation:
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
            body=with_max_tokens(self.body, limit),
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

        Raises:
            UnpriceableUsageError: it cannot be told.
        """

        def prices_of(model: str) -> Mapping[str, Decimal] | None:
            try:
                return book.find(PROVIDER, model, clock.now()).unit_prices
            except NoPriceError:
                return None

        return anthropic_cost(
            usage, self.prices.unit_prices, self.call.model, prices_of, self.use.variant
        )


def describe(request: Mapping[str, Any], request_id: str, size: int) -> ArrivedCall:
    """Return what is told of a request.

    Raises:
        BadBodyError: it has no usable `model` or `max_tokens`.
    """
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise BadBodyError("model: give the name of a model.")
    max_tokens = request.get("max_tokens")
    if (
        isinstance(max_tokens, bool)
        or not isinstance(max_tokens, int)
        or not 0 < max_tokens <= _MOST_OUTPUT
    ):
        raise BadBodyError(
            "max_tokens: give the most tokens to answer with, a whole number above 0."
        )
    tool_use_ids = _answered_tools(request.get("messages"))
    return ArrivedCall(
        request_id=request_id,
        model=model,
        tool_use_ids=tool_use_ids,
        follows_tool_result=bool(tool_use_ids),
        max_tokens=max_tokens,
        body_size_bytes=size,
        stream=request.get("stream") is True,
    )


def plan_call(
    call: ArrivedCall,
    body: bytes,
    request: Mapping[str, Any],
    session: str,
    use: ProviderUse,
    *,
    prices: ModelPrices,
    rate: metering_pb2.ExchangeRate,
    conversations: Conversations,
) -> Plan:
    """Work out what a call can cost at most.

    Raises:
        NoPriceError: that has no bound, or no price.
    """
    if use.web_searches and "web_search" not in prices.unit_prices:
        raise NoPriceError(
            f"The price of web searches by {call.model!r} is not known; leave the tool out."
        )
    try:
        bounds = request_bounds(
            body,
            request,
            use,
            conversations.bound(session, body, request),
            prices.largest_input,
        )
    except UnboundedRequestError as error:
        raise NoPriceError(
            f"What this call to {call.model!r} can cost has no bound: {error}. Send text and "
            "images only, or put the model's context_window into prices.toml in autovibe's home.",
            model=call.model,
        ) from None
    terms = call_terms(PROVIDER, prices, rate, bounds)
    floor_tokens = smallest_output(request)

    def cost(tokens: int) -> Decimal:
        return in_cad(worst_case(prices.unit_prices, replace(bounds, output_tokens=tokens)), terms)

    return Plan(
        call=call,
        body=body,
        request=request,
        session=session,
        use=use,
        prices=prices,
        bounds=bounds,
        terms=terms,
        hold=cost(bounds.output_tokens),
        floor=cost(floor_tokens),
        floor_tokens=floor_tokens,
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
        served_model=served_model if served_model and served_model != plan.call.model else "",
    )
    settlement.raw_usage.CopyFrom(struct(usage))
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
        settlement.raw_usage.CopyFrom(struct(usage))
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
    return plan.cost({**usage, "output_tokens": plan.bounds.output_tokens}, book, clock)


def _answered_tools(messages: object) -> tuple[str, ...]:
    """Return the ids of the tool calls that the newest messages of the user answer."""
    found: list[str] = []
    for message in reversed(_objects(messages)):
        if message.get("role") == "assistant":
            break
        ids = [
            block.get("tool_use_id")
            for block in _objects(message.get("content"))
            if block.get("type") == "tool_result"
        ]
        found[:0] = [value for value in ids if isinstance(value, str)]
    return tuple(found)


def _objects(value: object) -> list[Mapping[str, object]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, object]", item) for item in items if isinstance(item, Mapping)]


def _amount(resource_type: str, amount: Decimal) -> metering_pb2.ResourceAmount:
    return metering_pb2.ResourceAmount(resource_type=resource_type, amount=_plain(amount))


def _plain(amount: Decimal) -> str:
    return to_text(max(amount, ZERO))

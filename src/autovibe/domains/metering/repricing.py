"""The cost of a call, worked out once more from nothing but what its usage row keeps."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

from google.protobuf import struct_pb2

from autovibe.domains.metering.prices import UnitPrices
from autovibe.domains.metering.terms import UnpriceableUsageError, anthropic_cost, in_cad
from autovibe.domains.metering.token_costs import gemini_cost, openai_cost
from autovibe.v1 import metering_pb2

_OTHER_PRICES: Final = "autovibe_other_prices"
_VARIANTS: Final = ("service_tier", "speed", "inference_geo")
_OF_MESSAGES: Final = (
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "server_tool_use",
    "iterations",
    "inference_geo",
)


def other_prices_key(model: str, variant: Mapping[str, str] | None) -> str:
    """Return the name under which a row keeps prices beside those of its terms."""
    told = sorted((variant or {}).items())
    return " ".join([model, *(f"{name}={value}" for name, value in told)])


def with_other_prices(
    usage: struct_pb2.Struct, others: Mapping[str, UnitPrices]
) -> struct_pb2.Struct:
    """Add to a provider's usage the prices that its cost took beside those of the terms."""
    if others:
        usage.update(
            {
                _OTHER_PRICES: {
                    name: {kind: f"{price:f}" for kind, price in prices.items()}
                    for name, prices in others.items()
                }
            }
        )
    return usage


def repriced(metadata: Mapping[str, Any]) -> Decimal | None:
    """Return what a call has cost in CAD by its row; `None` when the row cannot tell.

    It cannot where the provider has told nothing, or too little, and the hold was taken.

    Args:
        metadata: the ProtoJSON of the row's UsageMetadata.
    """
    usage, terms = metadata.get("raw_usage"), metadata.get("terms")
    if metadata.get("uncertain") or metadata.get("estimated") or not usage or not terms:
        return None
    try:
        native = _cost(usage, str(terms.get("model", "")), _prices(terms.get("unit_prices")))
        rate = metering_pb2.CallTerms(rate_to_cad=str(terms.get("rate_to_cad")))
        return in_cad(native, rate)
    except (UnpriceableUsageError, InvalidOperation):
        return None


def _cost(usage: Mapping[str, Any], model: str, prices: UnitPrices) -> Decimal:
    others = {name: _prices(kept) for name, kept in _object(usage.get(_OTHER_PRICES)).items()}
    if "promptTokenCount" in usage:
        return gemini_cost(usage, prices)
    if "prompt_tokens" in usage or not any(name in usage for name in _OF_MESSAGES):
        tier = other_prices_key(model, {"service_tier": str(usage.get("service_tier"))})
        return openai_cost(usage, others.get(tier, prices))
    # The pinned prices are those of the variant that was served: any other was not settled so.
    variant = {name: value for name in _VARIANTS if isinstance(value := usage.get(name), str)}
    return anthropic_cost(usage, prices, model, others.get, variant)


def _prices(kept: object) -> dict[str, Decimal]:
    return {kind: Decimal(str(price)) for kind, price in _object(kept).items()}


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}

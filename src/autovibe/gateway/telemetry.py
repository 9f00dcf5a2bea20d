"""What the gateways of a process tell of their calls: metrics and spans, and the brake they share.

Names follow OpenTelemetry's semantic conventions for generative AI where those have a name.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from autovibe.gateway.admission import Plan
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.brake import Brake, BrakeCounts
from autovibe.kernel.clock import Clock
from autovibe.v1 import metering_pb2

# Both as the conventions advise.
_TOKEN_BUCKETS: Final = tuple(4.0**power for power in range(14))
_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
_OPERATION: Final = "chat"
# The conventions' names of providers, where they differ from those of the price catalogue.
_PROVIDERS: Final = {"google": "gcp.gemini"}
_MOST_MODELS: Final = 200
_LABELS: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


@dataclass
class CallSpan:
    """One call that goes out, from its hold to its settlement."""

    span: Span
    started_s: float
    labels: tuple[str, str, str]


class GatewayTelemetry:
    """The brake, metrics and spans of one process."""

    def __init__(
        self,
        clock: Clock,
        registry: CollectorRegistry | None = None,
        tracer: Tracer | None = None,
        *,
        parked_calls: int = 1_000,
    ) -> None:
        """Begin with nothing counted.

        Args:
            clock: the time.
            registry: where metrics are shown; none in a process without `/metrics`.
            tracer: makes spans; without one they cost nothing and go nowhere.
            parked_calls: how many calls may wait for one key of a provider.
        """
        self._clock = clock
        self._tracer = tracer or trace.NoOpTracer()
        self._models: set[str] = set()
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a call, as the provider counted them.",
            (*_LABELS, "gen_ai_token_type"),
            buckets=_TOKEN_BUCKETS,
            registry=registry,
        )
        self._seconds = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "From a call's hold to its settlement.",
            (*_LABELS, "error_type"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._cost = Counter(
            "autovibe_model_cost_cad",
            "What calls were settled at.",
            _LABELS,
            registry=registry,
        )
        self._refused = Counter(
            "autovibe_calls_refused",
            "Calls that did not go out, by reason.",
            ("reason",),
            registry=registry,
        )
        self._uncertain = Counter(
            "autovibe_calls_uncertain",
            "Calls settled at their full hold, as nobody told what they had cost.",
            registry=registry,
        )
        self._overruns = Counter(
            "autovibe_budget_overruns",
            "Calls that cost more than was held for them; must stay 0.",
            registry=registry,
        )
        self._parked = Gauge(
            "autovibe_parked_calls",
            "Calls that wait for the quota of a provider's key.",
            ("upstream",),
            registry=registry,
        )
        self._limited = Counter(
            "autovibe_provider_limits",
            "Answers of a provider that the quota of a key is used up.",
            ("upstream",),
            registry=registry,
        )
        self.brake = Brake(clock, parked_calls, BrakeCounts(self._count_limit, self._count_parked))

    def machine_span(self, binding: MachineBinding) -> Span:
        """Begin the span of a machine, which those of its calls are in."""
        return self._tracer.start_span(
            f"machine {binding.machine_id or binding.execution_id}",
            attributes=_ids(binding),
        )

    def call_span(self, machine: Span, plan: Plan, upstream: Upstream) -> CallSpan:
        """Begin the span of a call."""
        model = plan.call.model
        provider = _PROVIDERS.get(plan.provider, plan.provider)
        span = self._tracer.start_span(
            f"{_OPERATION} {model}", trace.set_span_in_context(machine), SpanKind.CLIENT
        )
        if span.is_recording():
            address = urlsplit(upstream.base_url)
            span.set_attributes(
                {
                    "gen_ai.operation.name": _OPERATION,
                    "gen_ai.provider.name": provider,
                    "gen_ai.request.model": model,
                    "gen_ai.request.max_tokens": plan.asked.max_tokens,
                    "server.address": address.hostname or "",
                    "server.port": address.port or (443 if address.scheme == "https" else 80),
                    "autovibe.request.id": plan.call.request_id,
                    "autovibe.hold_cad": str(plan.hold),
                }
            )
        return CallSpan(span, self._clock.monotonic(), (_OPERATION, provider, self._label(model)))

    def settled(
        self,
        call: CallSpan,
        settlement: metering_pb2.Settlement,
        tokens: Mapping[str, int],
        *,
        overrun: bool,
    ) -> None:
        """End the span of a call and count it.

        Args:
            call: what `call_span` gave.
            settlement: how it ended.
            tokens: `input` and `output`, where the provider told them.
            overrun: whether it cost more than was held for it.
        """
        cost = next((one.amount for one in settlement.amounts if one.resource_type == "money"), "0")
        error = _error_type(settlement)
        elapsed = self._clock.monotonic() - call.started_s
        self._seconds.labels(*call.labels, error).observe(elapsed)
        self._cost.labels(*call.labels).inc(float(Decimal(cost)))
        for kind, count in tokens.items():
            self._tokens.labels(*call.labels, kind).observe(count)
        if settlement.outcome == "uncertain":
            self._uncertain.inc()
        if overrun:
            self._overruns.inc()
        span = call.span
        if span.is_recording():
            span.set_attributes({f"gen_ai.usage.{kind}_tokens": n for kind, n in tokens.items()})
            span.set_attribute("autovibe.cost_cad", cost)
            span.set_attribute("autovibe.outcome", settlement.outcome)
            if settlement.served_model:
                span.set_attribute("gen_ai.response.model", settlement.served_model)
            if settlement.upstream_status:
                span.set_attribute("http.response.status_code", settlement.upstream_status)
            if error:
                span.set_attribute("error.type", error)
                span.set_status(Status(StatusCode.ERROR))
        span.end()

    def refused(self, reason: str) -> None:
        """Count a call that did not go out."""
        self._refused.labels(reason).inc()

    def _label(self, model: str) -> str:
        """Return a model's name, of a few; own prices by pattern would allow any number."""
        if len(self._models) < _MOST_MODELS:
            self._models.add(model)
        return model if model in self._models else "other"

    def _count_limit(self, upstream: str) -> None:
        self._limited.labels(upstream).inc()

    def _count_parked(self, upstream: str, by: int) -> None:
        self._parked.labels(upstream).inc(by)


def _ids(binding: MachineBinding) -> dict[str, str]:
    ids = {
        "autovibe.project.id": binding.project_id,
        "autovibe.task.id": binding.task_id,
        "autovibe.execution.id": binding.execution_id,
        "autovibe.machine.id": binding.machine_id,
    }
    return {name: str(uuid.UUID(value)) for name, value in ids.items() if value}


def _error_type(settlement: metering_pb2.Settlement) -> str:
    status = settlement.upstream_status
    if status >= 400:
        return str(status)
    if settlement.outcome == "settled":
        return ""
    return "no_answer" if not status else settlement.outcome

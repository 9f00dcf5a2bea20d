"""Metrics and spans of calls, by the conventions for generative AI."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from gateway_bench import MODEL, ask, open_bench
from ledger_desk import LedgerDesk
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from autovibe.gateway import GatewayTelemetry
from autovibe.gateway.counted import counted_tokens
from autovibe.kernel.clock import SystemClock
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Fault, Script, Text, Turn, Usage, plain_text

LABELS = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "anthropic",
    "gen_ai_request_model": MODEL,
}


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@pytest.fixture
def spans() -> Generator[InMemorySpanExporter, None, None]:
    """Give what takes spans."""
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


def telemetry(registry: CollectorRegistry, spans: InMemorySpanExporter) -> GatewayTelemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return GatewayTelemetry(SystemClock(), registry, provider.get_tracer("tests"))


async def test_a_call_is_a_span_in_that_of_its_machine_and_is_counted(
    desk: LedgerDesk, spans: InMemorySpanExporter
) -> None:
    registry = CollectorRegistry()
    script = plain_text("Done.", Usage(input_tokens=100, output_tokens=20))
    async with (
        ModelServer(script) as provider,
        open_bench(desk, provider, telemetry=telemetry(registry, spans)) as bench,
    ):
        _, headers, _ = await bench.send(ask())
        task_id = bench.task_id
        cost = (await bench.ledger())[0]
        await bench.server.close()

    call, machine = spans.get_finished_spans()
    assert (call.name, call.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert call.parent is not None
    assert call.parent.span_id == machine.context.span_id
    told = attributes(call)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "anthropic"
    assert told["gen_ai.request.model"] == MODEL
    assert told["gen_ai.usage.input_tokens"] == 100
    assert told["gen_ai.usage.output_tokens"] == 20
    assert told["autovibe.request.id"] == headers["request-id"]
    assert told["autovibe.cost_cad"] == str(cost)
    assert told["server.address"] == "127.0.0.1"
    assert attributes(machine)["autovibe.task.id"] == task_id
    assert attributes(machine)["autovibe.project.id"] == desk.project_id

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, LABELS | labels)

    assert value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 100
    assert value("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 20
    assert value("gen_ai_client_operation_duration_seconds_count", error_type="") == 1
    assert value("autovibe_model_cost_cad_total") == float(cost)
    assert registry.get_sample_value("autovibe_budget_overruns_total") == 0


async def test_refusals_overruns_and_errors_are_counted(
    desk: LedgerDesk, spans: InMemorySpanExporter
) -> None:
    registry = CollectorRegistry()
    faults = [Fault(status=500), Fault(billed_output_tokens=900_000)]
    async with (
        ModelServer(lambda _: Script((Turn((Text("Hello"),), fault=faults.pop(0)),))) as provider,
        open_bench(desk, provider, budget="1", telemetry=telemetry(registry, spans)) as bench,
    ):
        statuses = [(await bench.send(ask()))[0] for _ in range(3)]
        await bench.server.close()

    assert statuses == [500, 200, 400]
    assert registry.get_sample_value("autovibe_budget_overruns_total") == 1
    assert (
        registry.get_sample_value("autovibe_calls_refused_total", {"reason": "BUDGET_EXHAUSTED"})
        == 1
    )
    failed, settled = [span for span in spans.get_finished_spans() if span.kind == SpanKind.CLIENT]
    assert failed.status.status_code == StatusCode.ERROR
    assert attributes(failed)["error.type"] == "500"
    assert settled.status.status_code == StatusCode.UNSET


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3}
            | {"output_tokens": 4},
            {"input": 6, "output": 4},
        ),
        ({"prompt_tokens": 5, "completion_tokens": 6}, {"input": 5, "output": 6}),
        (
            {"promptTokenCount": 7, "candidatesTokenCount": 8, "thoughtsTokenCount": 9},
            {"input": 7, "output": 17},
        ),
        ({"promptTokenCount": True, "output_tokens": -1, "completion_tokens": "5"}, {}),
        ({}, {}),
    ],
)
def test_tokens_are_counted_whatever_they_are_called(
    usage: dict[str, Any], counts: dict[str, int]
) -> None:
    assert counted_tokens(usage) == counts


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})

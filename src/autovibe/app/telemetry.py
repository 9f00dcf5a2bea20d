"""Joining telemetry with where it goes: spans by OTLP when the standard variables say so.

`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` switch it on, unless
`OTEL_SDK_DISABLED` is true or `OTEL_TRACES_EXPORTER` is none. All other `OTEL_*` variables are
read by OpenTelemetry's own library.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncGenerator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from autovibe.gateway import GatewayTelemetry
from autovibe.kernel.clock import Clock
from autovibe.kernel.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


@contextlib.asynccontextmanager
async def gateway_telemetry(
    settings: Settings,
    clock: Clock,
    registry: CollectorRegistry | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[GatewayTelemetry]:
    """Give what the gateways of a process tell and share; spans are sent off at the end.

    Args:
        settings: of this process.
        clock: the time.
        registry: where metrics are shown.
        environment: in place of the process's own.
    """
    env = os.environ if environment is None else environment
    provider = tracer_provider(_otlp_exporter()) if wants_traces(env) else None
    tracer = provider.get_tracer("autovibe", version("autovibe")) if provider else None
    try:
        yield GatewayTelemetry(clock, registry, tracer, parked_calls=settings.gateway.parked_calls)
    finally:
        if provider is not None:
            # It sends what is left, and waits for the answer.
            await asyncio.to_thread(provider.shutdown)


def wants_traces(env: Mapping[str, str]) -> bool:
    """Return whether the standard variables ask for traces by OTLP."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if env.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(env.get(name, "").strip() for name in names)


def tracer_provider(exporter: SpanExporter) -> TracerProvider:
    """Return a provider whose spans go to an exporter in batches, in a thread of its own."""
    # Loaded by name: who sends no traces does not wait for their library.
    sdk = _load("opentelemetry.sdk.trace")
    export = _load("opentelemetry.sdk.trace.export")
    resources = _load("opentelemetry.sdk.resources")
    resource = resources.Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "autovibe"),
            "service.version": version("autovibe"),
        }
    )
    provider: TracerProvider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return provider


def _otlp_exporter() -> SpanExporter:
    return _load("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()


def _load(module: str) -> Any:
    return importlib.import_module(module)

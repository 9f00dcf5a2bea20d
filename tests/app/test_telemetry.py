"""Where telemetry goes: spans by OTLP when the standard variables say so, levels of budgets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from ledger_desk import LedgerDesk, open_desk
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from autovibe.app.budget_gauges import BudgetGauges
from autovibe.app.telemetry import gateway_telemetry, wants_traces
from autovibe.db import open_database
from autovibe.gateway import MachineBinding
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.settings import Settings
from autovibe.testing.databases import TestDatabases

BINDING = MachineBinding(
    project_id="019ae0c0-1111-7000-8000-000000000001",
    task_id="019ae0c0-1111-7000-8000-000000000002",
    machine_id="",
    execution_id="019ae0c0-1111-7000-8000-000000000003",
    work_order_id="",
    lease_generation=0,
    instance_id="i",
    virtual_key="k",
)


@pytest.fixture
async def desk(databases: TestDatabases, tmp_path: Path) -> AsyncGenerator[LedgerDesk, None]:
    """Give a ledger on SQLite."""
    database = open_database(await databases.sqlite(tmp_path))
    yield await open_desk(database)
    await database.close()


@asynccontextmanager
async def collector(taken: list[ExportTraceServiceRequest]) -> AsyncGenerator[str, None]:
    """Serve what takes spans by OTLP over HTTP."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        taken.append(ExportTraceServiceRequest.FromString(plain))
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}"
    finally:
        await runner.cleanup()


async def test_spans_arrive_at_the_endpoint_that_the_standard_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[ExportTraceServiceRequest] = []
    settings = Settings(home=tmp_path, database_url="")
    async with collector(taken) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "our-autovibe")
        async with gateway_telemetry(settings, SystemClock()) as telemetry:
            telemetry.machine_span(BINDING).end()

    [request] = taken
    [resource] = request.resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "our-autovibe"
    [span] = resource.scope_spans[0].spans
    told = {one.key: one.value.string_value for one in span.attributes}
    assert told["autovibe.execution.id"] == BINDING.execution_id


async def test_without_those_variables_nothing_is_sent_and_nothing_is_loaded(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path, database_url="")
    async with gateway_telemetry(settings, SystemClock(), environment={}) as telemetry:
        span = telemetry.machine_span(BINDING)

    assert not span.is_recording()


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_standard_variables_switch_traces_on_and_off(
    env: dict[str, str], *, wanted: bool
) -> None:
    assert wants_traces(env) is wanted


async def test_levels_of_budgets_are_shown_and_forgotten_with_them(desk: LedgerDesk) -> None:
    registry = CollectorRegistry()
    gauges = BudgetGauges(desk.services, registry)
    await desk.budget("5", period="daily")
    await desk.budget("100", "api_calls")
    task = await desk.task()
    await desk.budget("1", task_id=task)
    held = await desk.hold("1.5")
    await desk.settle(held.id, "0.25")
    await desk.hold("0.5")

    await gauges.refresh()

    def value(name: str, resource: str = "money", period: str = "daily") -> float | None:
        labels = {"project": "website", "resource": resource, "period": period}
        return registry.get_sample_value(f"autovibe_budget_{name}", labels)

    assert (value("allocated"), value("used"), value("reserved")) == (5, 0.25, 0.5)
    assert value("allocated", "api_calls", "total") == 100
    assert value("allocated", "money", "total") is None


async def test_gauges_look_again_by_themselves(desk: LedgerDesk) -> None:
    registry = CollectorRegistry()
    await desk.budget("5")
    labels = {"project": "website", "resource": "money", "period": "total"}
    async with BudgetGauges(desk.services, registry).served(), asyncio.timeout(10):
        while registry.get_sample_value("autovibe_budget_allocated", labels) != 5:  # noqa: ASYNC110 - a gauge tells nobody of changes
            await asyncio.sleep(0.01)

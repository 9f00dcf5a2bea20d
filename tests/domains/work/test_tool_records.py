"""Tool calls have two witnesses, and what they tell differently is found (decision C13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plane import Plane, make_repository

from autovibe.domains.work.errors import LeaseLostError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import agents_pb2, logs_pb2, work_pb2


@pytest.fixture
async def order(plane: Plane, tmp_path: Path) -> work_pb2.ClaimedOrder:
    """Give an order that is worked on."""
    await plane.project()
    await plane.worker()
    await plane.load(make_repository(tmp_path / "repo", {"a.txt": "one\n"}))
    task = await plane.task()
    return await plane.claimed(task_id=task.id)


async def record(plane: Plane, order: work_pb2.ClaimedOrder, *calls: Any, **run: Any) -> None:
    """Record a run, if one is given, and calls: id, source, status and what else there is."""
    reports = [
        logs_pb2.ToolCallReport(
            tool_use_id=call,
            source=source,
            status=status,
            tool_name=more.get("name", "Bash"),
            inputs=struct(more.get("inputs", {})),
            inputs_hash=more.get("hash", ""),
        )
        for call, source, status, more in calls
    ]
    given = {"agent_name": "claude_code", "status": "running", **run}
    await plane.services.logs.record_agent_work(
        logs_pb2.RecordAgentWorkRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            run=logs_pb2.AgentRunReport(**given) if run else None,
            tool_calls=reports,
        )
    )


async def details(plane: Plane, order: work_pb2.ClaimedOrder) -> logs_pb2.ExecutionDetails:
    return await plane.services.logs.get_execution(
        logs_pb2.GetExecutionRequest(execution_id=order.execution.id)
    )


async def kinds(plane: Plane, order: work_pb2.ClaimedOrder) -> dict[str, str]:
    return {one.tool_use_id: one.kind for one in (await details(plane, order)).findings}


TELLS = {"metadata": struct({"reports_tools": True})}


@pytest.mark.req("S4-09", "S4-10")
async def test_a_run_and_its_calls_stand_under_one_correlation_id(
    plane: Plane, order: work_pb2.ClaimedOrder
) -> None:
    await record(plane, order, prompt="Do it", **TELLS)
    await record(plane, order, ("t1", "agent", "running", {"inputs": {"command": "make"}}))
    await record(plane, order, ("t1", "agent", "failed", {}), ("t1", "gateway", "failed", {}))
    # What has ended stays so, however often and however late it is told.
    await record(plane, order, ("t1", "agent", "success", {}))
    result = agents_pb2.AgentResult(output="Done")
    await record(plane, order, status="completed", result=result, tokens_used=12, **TELLS)
    await record(plane, order, status="failed", **TELLS)
    shown = await details(plane, order)
    (run,) = shown.agent_runs
    assert (run.status, run.prompt, run.tokens_used) == ("completed", "Do it", 12)
    assert run.result.output == "Done"
    listed = await plane.services.logs.list_tool_calls(
        logs_pb2.ListToolCallsRequest(execution_id=order.execution.id)
    )
    assert {(one.source, one.status) for one in listed.tool_calls} == {
        ("agent", "failed"),
        ("gateway", "failed"),
    }
    assert {one.correlation_id for one in listed.tool_calls} == {order.execution.correlation_id}
    assert {one.agent_run_id for one in listed.tool_calls} == {run.id}
    (told,) = (one for one in listed.tool_calls if one.source == "agent")
    assert told.inputs["command"] == "make"
    assert not shown.findings


async def test_what_agent_and_gateway_tell_differently_is_found(
    plane: Plane, order: work_pb2.ClaimedOrder
) -> None:
    await record(
        plane,
        order,
        ("same", "agent", "success", {"hash": "a"}),
        ("same", "gateway", "success", {"hash": "a"}),
        ("name", "agent", "success", {"name": "Read"}),
        ("name", "gateway", "success", {"name": "Bash"}),
        ("inputs", "agent", "success", {"hash": "a"}),
        ("inputs", "gateway", "success", {"hash": "b"}),
        ("outcome", "agent", "success", {}),
        ("outcome", "gateway", "failed", {}),
        ("hidden", "gateway", "success", {}),
        ("invented", "agent", "success", {}),
        **TELLS,
    )
    differing = {"name": "name", "inputs": "inputs", "outcome": "outcome"}
    assert await kinds(plane, order) == differing
    plane.clock.advance(seconds=1)
    await record(plane, order, ("last", "gateway", "success", {}), ("last", "agent", "success", {}))
    await plane.finish(order)
    assert await kinds(plane, order) == {
        **differing,
        "hidden": "missing_at_agent",
        "invented": "missing_at_gateway",
    }


async def test_an_agent_that_tells_nothing_of_its_tools_hides_none(
    plane: Plane, order: work_pb2.ClaimedOrder
) -> None:
    await record(plane, order, ("t1", "gateway", "success", {}), prompt="x")
    await plane.finish(order)
    assert await kinds(plane, order) == {}


async def test_an_old_lease_records_nothing(plane: Plane, order: work_pb2.ClaimedOrder) -> None:
    order.lease_generation += 1
    with pytest.raises(LeaseLostError):
        await record(plane, order, ("t1", "agent", "success", {}))

"""What agents and tools did: told by the agent and seen by the gateway, and where they disagree.

Each tool call has up to two rows under the correlation id of its execution, one for each source
(decision C13): what comes out of a machine may be forged, so neither is believed for the other.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.messages import column_message, column_value, execution_message
from autovibe.domains.work.models import (
    AgentExecution,
    AgentExecutionStatus,
    Execution,
    ExecutionStatus,
    ToolExecution,
    ToolExecutionStatus,
)
from autovibe.domains.work.queue import check_execution
from autovibe.domains.work.repository import logs as repository
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import (
    from_struct,
    from_timestamp,
    id_or_none,
    id_text,
    struct,
    timestamp,
)
from autovibe.v1 import agents_pb2, logs_pb2

AGENT: Final = "agent"
GATEWAY: Final = "gateway"
MOST_COMPARED: Final = 20_000
MOST_FINDINGS: Final = 100
_RUN: Final = "run"
_LARGEST: Final = 2**31 - 1


async def record_agent_work(
    tx: WriteTx, ctx: CallContext, request: logs_pb2.RecordAgentWorkRequest
) -> None:
    """Record what is known by now; a repeat changes nothing, and what has ended stays so.

    Raises:
        LeaseLostError: the execution belongs to another lease.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    if request.HasField("run"):
        run = await _record_run(tx, ctx, execution, request.run)
    else:
        run = await tx.session.get(AgentExecution, _run_id(execution))
    ids = {_row_id(execution.id, one): one for one in request.tool_calls}
    present = {row.id: row for row in await repository.tool_calls_of(tx, ids)} if ids else {}
    for row_id, report in ids.items():
        row = present.get(row_id)
        if row is None:
            row = _new_call(ctx, execution, row_id, report)
            row.agent_execution_id = run.id if run is not None else None
            tx.session.add(row)
        else:
            _fill_in(row, report)


async def _record_run(
    tx: WriteTx,
    ctx: CallContext,
    execution: Execution,
    report: logs_pb2.AgentRunReport,
) -> AgentExecution:
    run = await tx.session.get(AgentExecution, _run_id(execution))
    if run is None:
        run = AgentExecution(
            id=_run_id(execution),
            execution_id=f"run-{execution.id}",
            task_execution_id=execution.id,
            machine_id=id_or_none(report.machine_id),
            agent_name=report.agent_name,
            prompt=report.prompt,
            status=AgentExecutionStatus.RUNNING,
            created_at=ctx.clock.now(),
            metadata={},
        )
        tx.session.add(run)
        await tx.session.flush()  # tool calls refer to it
    if run.status != AgentExecutionStatus.RUNNING:
        return run
    told = from_struct(report.metadata)
    run.metadata_ = {**run.metadata_, **told, "kind": _RUN, "source": AGENT}
    run.status = AgentExecutionStatus(report.status)
    if run.status != AgentExecutionStatus.RUNNING:
        run.result = column_value(report.result)
        run.tokens_used = min(report.tokens_used, _LARGEST)
        run.duration_ms = min(report.duration_ms, _LARGEST)
        run.completed_at = ctx.clock.now()
    return run


def _run_id(execution: Execution) -> uuid.UUID:
    return uuid.uuid5(execution.id, _RUN)


def _row_id(execution_id: uuid.UUID, report: logs_pb2.ToolCallReport) -> uuid.UUID:
    return uuid.uuid5(execution_id, f"{report.source}/{report.tool_use_id}")


def _new_call(
    ctx: CallContext, execution: Execution, row_id: uuid.UUID, report: logs_pb2.ToolCallReport
) -> ToolExecution:
    at = report.created_at
    row = ToolExecution(
        id=row_id,
        correlation_id=execution.correlation_id,
        tool_name=report.tool_name or "unknown",
        agent_id=id_text(execution.machine_id) or None,
        inputs=from_struct(report.inputs),
        status=ToolExecutionStatus.RUNNING,
        created_at=from_timestamp(at) if report.HasField("created_at") else ctx.clock.now(),
        metadata={
            "source": report.source,
            "tool_use_id": report.tool_use_id,
            "inputs_hash": report.inputs_hash,
        },
    )
    _fill_in(row, report)
    return row


def _fill_in(row: ToolExecution, report: logs_pb2.ToolCallReport) -> None:
    if row.status != ToolExecutionStatus.RUNNING:
        return
    row.status = ToolExecutionStatus(report.status)
    if report.tool_name and row.tool_name == "unknown":
        row.tool_name = report.tool_name
    if row.status != ToolExecutionStatus.RUNNING:
        row.outputs = from_struct(report.outputs) if report.HasField("outputs") else None
        row.error_message = report.error_message or None
        row.duration_ms = min(report.duration_ms, _LARGEST) or None


async def execution_details(tx: ReadTx, execution: Execution) -> logs_pb2.ExecutionDetails:
    """Return an execution with its runs, and what agent and gateway told differently."""
    runs = await repository.agent_runs(tx, execution.id)
    calls = await repository.tool_calls(tx, execution.correlation_id, limit=MOST_COMPARED)
    sources = Counter(_source(call) for call in calls)
    return logs_pb2.ExecutionDetails(
        execution=execution_message(execution),
        agent_runs=[agent_run_message(run) for run in runs],
        findings=compare(execution, runs, calls)[:MOST_FINDINGS],
        agent_tool_calls=sources[AGENT],
        gateway_tool_calls=sources[GATEWAY],
        stdout_log=execution.stdout_log or "",
        stderr_log=execution.stderr_log or "",
    )


def compare(
    execution: Execution, runs: Sequence[AgentExecution], calls: Sequence[ToolExecution]
) -> list[logs_pb2.ToolFinding]:
    """Return what the two sources tell differently.

    A call that only one of them knows counts when the execution has ended, if the agent tells of
    its tools at all; of the agent's only those that the gateway must have seen the result of.
    """
    pairs: dict[str, dict[str, ToolExecution]] = defaultdict(dict)
    for call in calls:
        pairs[str(call.metadata_.get("tool_use_id", ""))][_source(call)] = call
    tells = any(run.metadata_.get("reports_tools") for run in runs)
    ended = execution.status != ExecutionStatus.RUNNING
    seen = [call.created_at for call in calls if _source(call) == GATEWAY]
    last_seen = max(seen, default=None)
    found: list[logs_pb2.ToolFinding] = []
    for tool_use_id, pair in pairs.items():
        agent, gateway = pair.get(AGENT), pair.get(GATEWAY)
        if agent is not None and gateway is not None:
            found += _differences(tool_use_id, agent, gateway)
        elif gateway is not None and ended and tells:
            text = f"The agent did not tell of a call of {gateway.tool_name} that the gateway saw."
            found.append(_finding(tool_use_id, gateway, "missing_at_agent", text))
        elif agent is not None and ended and last_seen is not None:
            done = agent.created_at + timedelta(milliseconds=agent.duration_ms or 0)
            if agent.status != ToolExecutionStatus.RUNNING and done < last_seen:
                text = f"The agent told of a call of {agent.tool_name} that no model asked for."
                found.append(_finding(tool_use_id, agent, "missing_at_gateway", text))
    return found


def _differences(
    tool_use_id: str, agent: ToolExecution, gateway: ToolExecution
) -> Iterator[logs_pb2.ToolFinding]:
    name = gateway.tool_name
    if "unknown" not in {agent.tool_name, name} and agent.tool_name != name:
        text = f"The agent told of a call of {agent.tool_name}, the gateway saw one of {name}."
        yield _finding(tool_use_id, gateway, "name", text)
    hashes = {str(row.metadata_.get("inputs_hash", "")) for row in (agent, gateway)}
    if len(hashes) > 1 and "" not in hashes:
        text = f"The inputs of a call of {name} differ from those that the gateway saw."
        yield _finding(tool_use_id, gateway, "inputs", text)
    running = ToolExecutionStatus.RUNNING
    if running not in {agent.status, gateway.status} and agent.status != gateway.status:
        text = (
            f"The agent told that a call of {name} was {agent.status}, the model heard "
            f"{gateway.status}."
        )
        yield _finding(tool_use_id, gateway, "outcome", text)


def _finding(tool_use_id: str, call: ToolExecution, kind: str, text: str) -> logs_pb2.ToolFinding:
    return logs_pb2.ToolFinding(
        tool_use_id=tool_use_id, tool_name=call.tool_name, kind=kind, message=text
    )


def _source(call: ToolExecution) -> str:
    return str(call.metadata_.get("source", ""))


def agent_run_message(run: AgentExecution) -> logs_pb2.AgentRun:
    """Return the message of a run of an agent."""
    result: dict[str, Any] | None = run.result
    return logs_pb2.AgentRun(
        id=str(run.id),
        run_id=run.execution_id,
        execution_id=id_text(run.task_execution_id),
        machine_id=id_text(run.machine_id),
        agent_name=run.agent_name,
        prompt=run.prompt,
        status=run.status,
        result=column_message(result, agents_pb2.AgentResult) if result is not None else None,
        tokens_used=run.tokens_used or 0,
        duration_ms=run.duration_ms or 0,
        created_at=timestamp(run.created_at),
        completed_at=timestamp(run.completed_at),
        metadata=struct(run.metadata_),
    )


def tool_call_message(call: ToolExecution) -> logs_pb2.ToolCall:
    """Return the message of a tool call as one source told it."""
    return logs_pb2.ToolCall(
        id=str(call.id),
        correlation_id=call.correlation_id,
        tool_use_id=str(call.metadata_.get("tool_use_id", "")),
        tool_name=call.tool_name,
        source=_source(call),
        agent_id=call.agent_id or "",
        agent_run_id=id_text(call.agent_execution_id),
        inputs=struct(call.inputs),
        outputs=struct(call.outputs) if call.outputs is not None else None,
        status=call.status,
        error_message=call.error_message or "",
        duration_ms=call.duration_ms or 0,
        created_at=timestamp(call.created_at),
    )

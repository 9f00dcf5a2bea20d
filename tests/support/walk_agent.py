"""The part of the walk through the contract that a machine makes, under /agent/v1."""

from __future__ import annotations

import contextlib

from walk import Walk

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import agent_api_pb2, agents_pb2, logs_pb2


async def agent_calls(going: Walk) -> None:
    """Call every operation for machines of the work domain, and record what an agent does."""
    await _record(going)
    agent = going.services.agent
    await agent.get_own_task(agent_api_pb2.GetOwnTaskRequest())
    event = agent_api_pb2.AgentApiEvent(text="half done", details=struct({"percent": 50}))
    await agent.send_events(agent_api_pb2.SendEventsRequest(events=[event]))
    part = await agent.create_subtask(
        agent_api_pb2.CreateSubtaskRequest(description="Write the tests", budget="0.50CAD")
    )
    await agent.get_subtask(agent_api_pb2.GetSubtaskRequest(task_id=part.id))
    await agent.list_subtasks(agent_api_pb2.ListSubtasksRequest())
    for to in ("parent", "children"):
        with contextlib.suppress(AutovibeError):
            await agent.send_machine_message(
                agent_api_pb2.SendMachineMessageRequest(to=to, text="hello")
            )
    await agent.take_machine_messages(agent_api_pb2.TakeMachineMessagesRequest())


async def _record(going: Walk) -> None:
    assert going.machine is not None
    logs, execution_id = going.services.logs, going.machine.execution_id
    run = {"machine_id": going.machine.machine_id, "agent_name": "claude_code", "prompt": "Do it"}
    lease = {"execution_id": execution_id, "lease_generation": going.machine.lease_generation}
    told = {"tool_name": "Bash", "inputs": struct({"command": "make"})}
    for status, calls in (
        ("running", [("t1", "agent", "running"), ("t2", "gateway", "success")]),
        ("completed", [("t1", "agent", "success"), ("t1", "gateway", "failed")]),
    ):
        await logs.record_agent_work(
            logs_pb2.RecordAgentWorkRequest(
                run=logs_pb2.AgentRunReport(
                    status=status, result=agents_pb2.AgentResult(output="Done"), **run
                ),
                tool_calls=[
                    logs_pb2.ToolCallReport(tool_use_id=one, source=source, status=how, **told)
                    for one, source, how in calls
                ],
                **lease,
            )
        )


async def look_at_execution(going: Walk, execution_id: str) -> None:
    """Look at an execution as people do."""
    logs = going.services.logs
    await logs.get_execution(logs_pb2.GetExecutionRequest(execution_id=execution_id))
    await logs.list_executions(logs_pb2.ListExecutionsRequest(project="website", page_size=1))
    await logs.list_tool_calls(logs_pb2.ListToolCallsRequest(execution_id=execution_id))
    await logs.list_execution_logs(
        logs_pb2.ListExecutionLogsRequest(execution_id=execution_id, search="tsch")
    )

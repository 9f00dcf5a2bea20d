"""The part of the walk through the contract that a machine makes, under /agent/v1."""

from __future__ import annotations

import contextlib

from walk import Walk

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import agent_api_pb2


async def agent_calls(going: Walk) -> None:
    """Call every operation for machines of the work domain."""
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

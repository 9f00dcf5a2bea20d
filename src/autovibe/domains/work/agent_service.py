"""What a machine may ask for: its own task, events, messages and sub-tasks (decision C8)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines import mailbox
from autovibe.domains.metering import spend_of_task
from autovibe.domains.work.agent_tasks import CreateSubtask, own_task, subtask_message, subtask_of
from autovibe.domains.work.create_task import CreateTask
from autovibe.domains.work.errors import NoRecipientError
from autovibe.domains.work.models import Task
from autovibe.domains.work.relaying import RelayAgentCall
from autovibe.domains.work.repository import agent_tasks as repository
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import to_text
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.protoconv import from_struct, id_text, struct, timestamp
from autovibe.v1 import agent_api_pb2

_LETTERS: Final = 50


class AgentService:
    """Implements autovibe.v1.AgentService."""

    def __init__(self, create_task: CreateTask, relay: RelayAgentCall) -> None:
        """Create sub-tasks as other tasks are created, and relay what machines ask for."""
        self.relay_agent_call = relay
        self.create_subtask = CreateSubtask(create_task)

    async def get_own_task(
        self, tx: ReadTx, ctx: CallContext, request: agent_api_pb2.GetOwnTaskRequest
    ) -> agent_api_pb2.OwnTask:
        """Return the task of the machine that asks.

        Raises:
            LeaseLostError: it works under an old lease.
        """
        del request
        task, execution = await own_task(tx, ctx)
        spend = await spend_of_task(tx, task.id)
        return agent_api_pb2.OwnTask(
            id=str(task.id),
            title=task.title,
            description=task.description or "",
            task_type=task.task_type,
            permission_level=task.permission_level,
            priority=task.priority,
            status=task.status,
            execution_id=str(execution.id),
            machine_id=id_text(execution.machine_id),
            attempt=execution.attempt,
            parent_task_id=id_text(task.parent_task_id),
            budget_cad="" if spend.cap_cad is None else to_text(spend.cap_cad),
            spent_cad=to_text(spend.cost_cad),
        )

    async def send_events(
        self, tx: WriteTx, ctx: CallContext, request: agent_api_pb2.SendEventsRequest
    ) -> agent_api_pb2.SendEventsResponse:
        """Accept events; whoever serves the machine's listener writes them into its log.

        The log has one writer, which numbers its lines (decision E4), and it is there.

        Raises:
            LeaseLostError: the machine works under an old lease.
        """
        await own_task(tx, ctx)
        return agent_api_pb2.SendEventsResponse(accepted=len(request.events))

    async def send_machine_message(
        self, tx: WriteTx, ctx: CallContext, request: agent_api_pb2.SendMachineMessageRequest
    ) -> agent_api_pb2.SendMachineMessageResponse:
        """Put a message into the mailboxes of the machines around.

        Raises:
            LeaseLostError: the machine works under an old lease.
            TaskNotFoundError: it names a task that is no sub-task of its own.
            NoRecipientError: none of those machines runs.
            MailboxFullError: too many messages wait there.
        """
        me = ctx.calling_machine()
        task, execution = await own_task(tx, ctx)
        recipients = await _recipients(tx, task, request.to)
        if not recipients:
            raise NoRecipientError(
                f"No machine of {request.to!r} runs now; send it when its task is in progress.",
                to=request.to,
            )
        payload = {"text": request.text, "data": from_struct(request.data)}
        sent = [
            await mailbox.post(
                tx,
                ctx.clock,
                recipient,
                payload,
                sender_id=me.machine_id,
                correlation_id=execution.correlation_id,
            )
            for recipient in sorted(recipients)
        ]
        return agent_api_pb2.SendMachineMessageResponse(message_ids=[str(one) for one in sent])

    async def take_machine_messages(
        self, tx: WriteTx, ctx: CallContext, request: agent_api_pb2.TakeMachineMessagesRequest
    ) -> agent_api_pb2.TakeMachineMessagesResponse:
        """Give what has come for the machine, the oldest first, each once.

        Raises:
            LeaseLostError: the machine works under an old lease.
        """
        await own_task(tx, ctx)
        limit = request.limit or _LETTERS
        found = await mailbox.take(tx, ctx.clock, ctx.calling_machine().machine_id, limit + 1)
        return agent_api_pb2.TakeMachineMessagesResponse(
            messages=[
                agent_api_pb2.MachineLetter(
                    id=str(one.id),
                    sender_machine_id=id_text(one.sender_machine_id),
                    text=str(one.payload.get("text", "")),
                    data=struct(one.payload.get("data") or {}),
                    sent_at=timestamp(one.enqueued_at),
                )
                for one in found
            ],
            more=len(found) > limit,
        )

    async def get_subtask(
        self, tx: ReadTx, ctx: CallContext, request: agent_api_pb2.GetSubtaskRequest
    ) -> agent_api_pb2.Subtask:
        """Return one sub-task of the machine's task.

        Raises:
            LeaseLostError: the machine works under an old lease.
            TaskNotFoundError: its task has no such part.
        """
        task, _ = await own_task(tx, ctx)
        return subtask_message(await subtask_of(tx, task, request.task_id))

    async def list_subtasks(
        self, tx: ReadTx, ctx: CallContext, request: agent_api_pb2.ListSubtasksRequest
    ) -> agent_api_pb2.ListSubtasksResponse:
        """Return one page of the parts of the machine's task, the newest first.

        Raises:
            LeaseLostError: the machine works under an old lease.
        """
        task, _ = await own_task(tx, ctx)
        size = page_size(request.page_size)
        rows = await repository.parts_of(tx, task.id, decode_place(request.page_token), size + 1)
        last = rows[size - 1] if len(rows) > size else None
        return agent_api_pb2.ListSubtasksResponse(
            subtasks=[subtask_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )


async def _recipients(tx: WriteTx, task: Task, to: str) -> Sequence[uuid.UUID]:
    """Return the running machines of the parent, of the children, or of one child."""
    if to == "parent":
        tasks = [task.parent_task_id] if task.parent_task_id else []
    elif to == "children":
        tasks = await repository.part_ids(tx, task.id)
    else:
        tasks = [(await subtask_of(tx, task, to)).id]
    machines = await repository.machines_at_work(tx, tasks)
    return await mailbox.living_machines(tx, machines)

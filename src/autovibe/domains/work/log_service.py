"""Executions, their logs as they come, and what their agents and tools did."""

from __future__ import annotations

from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.contract import StreamPage
from autovibe.domains.projects import resolve_project_id
from autovibe.domains.work.errors import ExecutionNotFoundError
from autovibe.domains.work.log_lines import (
    execution_has_ended,
    execution_lines,
    log_topic,
    task_has_ended,
    task_lines,
)
from autovibe.domains.work.messages import execution_message
from autovibe.domains.work.models import Execution
from autovibe.domains.work.repository import logs as repository
from autovibe.domains.work.tasks import get_task
from autovibe.domains.work.tool_records import (
    execution_details,
    record_agent_work,
    tool_call_message,
)
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.v1 import logs_pb2, work_pb2

_STREAM_LINES: Final = 200


class StreamTaskLogs:
    """The streaming operation StreamTaskLogs."""

    async def page(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.StreamTaskLogsRequest
    ) -> StreamPage:
        """Return the next lines of a task.

        Raises:
            TaskNotFoundError: there is none.
        """
        del ctx
        task = await get_task(tx, request.task_id)
        entries, cursor, more = await task_lines(tx, task, request, _STREAM_LINES)
        answer = work_pb2.ListTaskLogsResponse(
            entries=entries, next_cursor=cursor, ended=task_has_ended(task) and not more
        )
        return StreamPage(answer, log_topic(task.id), len(entries), more)


class StreamExecutionLogs:
    """The streaming operation StreamExecutionLogs."""

    async def page(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.StreamExecutionLogsRequest
    ) -> StreamPage:
        """Return the next lines of an execution.

        Raises:
            ExecutionNotFoundError: there is none.
        """
        del ctx
        execution = await get_execution(tx, request.execution_id)
        entries, cursor, more = await execution_lines(tx, execution, request, _STREAM_LINES)
        answer = logs_pb2.ListExecutionLogsResponse(
            entries=entries, next_cursor=cursor, ended=execution_has_ended(execution) and not more
        )
        return StreamPage(answer, log_topic(execution.task_id), len(entries), more)


class LogService:
    """Implements autovibe.v1.LogService."""

    def __init__(self) -> None:
        """Serve from the database alone."""
        self.stream_task_logs = StreamTaskLogs()
        self.stream_execution_logs = StreamExecutionLogs()

    async def list_execution_logs(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.ListExecutionLogsRequest
    ) -> logs_pb2.ListExecutionLogsResponse:
        """Return the next lines of an execution.

        Raises:
            ExecutionNotFoundError: there is none.
        """
        execution = await get_execution(tx, request.execution_id)
        size = page_size(request.page_size, default=200, largest=1_000)
        entries, cursor, more = await execution_lines(tx, execution, request, size)
        return logs_pb2.ListExecutionLogsResponse(
            entries=entries, next_cursor=cursor, ended=execution_has_ended(execution) and not more
        )

    async def list_executions(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.ListExecutionsRequest
    ) -> logs_pb2.ListExecutionsResponse:
        """Return one page of executions, the newest first.

        Raises:
            TaskNotFoundError: there is no such task.
            ProjectNotFoundError: there is no such project.
        """
        size = page_size(request.page_size)
        task = await get_task(tx, request.task_id) if request.task_id else None
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        rows = await repository.list_executions(
            tx,
            task_id=task.id if task else None,
            project_id=project_id,
            statuses=list(request.statuses),
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return logs_pb2.ListExecutionsResponse(
            executions=[execution_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.started_at, last.id) if last else "",
        )

    async def get_execution(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.GetExecutionRequest
    ) -> logs_pb2.ExecutionDetails:
        """Return an execution, the runs of its agents, and what its records disagree on.

        Raises:
            ExecutionNotFoundError: there is none.
        """
        return await execution_details(tx, await get_execution(tx, request.execution_id))

    async def list_tool_calls(
        self, tx: ReadTx, ctx: CallContext, request: logs_pb2.ListToolCallsRequest
    ) -> logs_pb2.ListToolCallsResponse:
        """Return one page of the tool calls of an execution, the oldest first.

        Raises:
            ExecutionNotFoundError: there is none.
        """
        execution = await get_execution(tx, request.execution_id)
        size = page_size(request.page_size)
        rows = await repository.tool_calls(
            tx,
            execution.correlation_id,
            source=request.source,
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return logs_pb2.ListToolCallsResponse(
            tool_calls=[tool_call_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def record_agent_work(
        self, tx: WriteTx, ctx: CallContext, request: logs_pb2.RecordAgentWorkRequest
    ) -> logs_pb2.RecordAgentWorkResponse:
        """Record what is known of an agent's run and of its tool calls.

        Raises:
            LeaseLostError: the execution belongs to another lease.
        """
        await record_agent_work(tx, ctx, request)
        return logs_pb2.RecordAgentWorkResponse()


async def get_execution(tx: ReadTx | WriteTx, id_or_prefix: str) -> Execution:
    """Return one execution by its id or the beginning of it.

    Raises:
        ExecutionNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await repository.executions_between(tx, *id_range(id_or_prefix, "execution"))
    if not found:
        raise ExecutionNotFoundError(
            f"There is no execution {id_or_prefix}; see `autovibe execution list`.",
            execution_id=id_or_prefix,
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several executions begin with {id_or_prefix}; give more of the id.",
            field="execution_id",
        )
    return found[0]

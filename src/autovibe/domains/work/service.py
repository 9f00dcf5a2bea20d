"""The rules of tasks and workers; the queue's own are in `queue`."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines.control import Control
from autovibe.domains.projects import resolve_project_id
from autovibe.domains.work import dependencies, repository
from autovibe.domains.work.abandoning import abandon
from autovibe.domains.work.breaker import earlier_attempts
from autovibe.domains.work.claims import Wanted, claim
from autovibe.domains.work.completions import finish
from autovibe.domains.work.continuing import (
    CancelTask,
    ForkCheckpoint,
    ResumeTask,
    RetryTask,
)
from autovibe.domains.work.create_task import CheckTaskContext, CreateTask
from autovibe.domains.work.create_tasks import CreateTasks
from autovibe.domains.work.deleting import delete_task
from autovibe.domains.work.editing import update_task
from autovibe.domains.work.errors import LeaseLostError
from autovibe.domains.work.leave import Leave
from autovibe.domains.work.listing import list_tasks
from autovibe.domains.work.log_lines import log_topic, task_has_ended, task_lines
from autovibe.domains.work.messages import (
    column_value,
    execution_message,
    task_message,
)
from autovibe.domains.work.model_calls import get_model_call, keep_model_call
from autovibe.domains.work.models import (
    Execution,
    ExecutionStatus,
    WorkerAssignment,
)
from autovibe.domains.work.patching import GetTaskPatch
from autovibe.domains.work.ports import Fleet, WorkDefaults
from autovibe.domains.work.queue import check_execution, lease_lost
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.results import ApplyTask, GetTaskResult, PauseTask
from autovibe.domains.work.tasks import get_task
from autovibe.domains.work.watermarks import Watermarks
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.protoconv import from_timestamp, id_or_none, timestamp
from autovibe.store import CheckpointStore
from autovibe.v1 import model_calls_pb2, tasks_pb2, work_pb2

_GRAPH_NODES: Final = 2_000


class WorkService:
    """Implements autovibe.v1.WorkService."""

    def __init__(
        self,
        store: CheckpointStore,
        control: Control,
        fleet: Fleet,
        defaults: WorkDefaults,
        leave: Leave,
    ) -> None:
        """Work with a store, the machines of this process, and what it can run.

        `leave` is asked before tasks begin.
        """
        self._marks = Watermarks()
        self.check_task_context = CheckTaskContext(fleet, defaults)
        self.create_task = CreateTask(fleet, defaults, leave)
        self.create_tasks = CreateTasks(fleet, self.create_task)
        self.resume_task = ResumeTask(fleet, leave)
        self.retry_task = RetryTask(fleet, leave)
        self.cancel_task = CancelTask(control)
        self.fork_checkpoint = ForkCheckpoint(self.create_task)
        self.get_task_result = GetTaskResult(store)
        self.pause_task = PauseTask(control)
        self.apply_task = ApplyTask(store, fleet)
        self.get_task_patch = GetTaskPatch(store, fleet)

    async def keep_model_call(
        self, tx: WriteTx, ctx: CallContext, request: model_calls_pb2.KeepModelCallRequest
    ) -> model_calls_pb2.KeepModelCallResponse:
        """Keep what was asked of a model and what it answered."""
        return await keep_model_call(tx, ctx, request)

    async def get_model_call(
        self, tx: ReadTx, ctx: CallContext, request: model_calls_pb2.GetModelCallRequest
    ) -> model_calls_pb2.ModelCall:
        """Return what was asked of a model and what it answered.

        Raises:
            ModelCallNotFoundError: it was not kept, or is kept no more.
        """
        return await get_model_call(tx, request.request_id)

    async def get_task(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.GetTaskRequest
    ) -> work_pb2.Task:
        """Return one task.

        Raises:
            TaskNotFoundError: there is none.
        """
        return task_message(await get_task(tx, request.task_id))

    async def delete_task(
        self, tx: WriteTx, ctx: CallContext, request: tasks_pb2.DeleteTaskRequest
    ) -> work_pb2.Task:
        """Let a finished task be shown nowhere any more.

        Raises:
            TaskNotFoundError: there is none.
            TaskNotFinishedError: it has neither completed nor been cancelled.
            TaskNeededError: a task below it has not finished, or another waits for it.
        """
        return await delete_task(tx, ctx, request)

    async def list_tasks(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.ListTasksRequest
    ) -> work_pb2.ListTasksResponse:
        """Return one page of tasks, the newest first unless the caller wants another order."""
        return await list_tasks(tx, ctx, request)

    async def update_task(
        self, tx: WriteTx, ctx: CallContext, request: tasks_pb2.UpdateTaskRequest
    ) -> work_pb2.Task:
        """Change what a task is; what is not given stays.

        Raises:
            TaskNotFoundError: there is none.
            EtagMismatchError: it has changed since the caller looked.
            TaskHasStartedError: it cannot become something else any more.
            ParentNotAllowedError: it would have more leave than the task that it is a part of.
        """
        return await update_task(tx, ctx, request)

    async def add_task_dependency(
        self, tx: WriteTx, ctx: CallContext, request: tasks_pb2.AddTaskDependencyRequest
    ) -> tasks_pb2.TaskDependency:
        """Let a task wait for another, or note that they have to do with each other.

        Raises:
            TaskNotFoundError: there is no such task.
            SelfDependencyError: they are the same.
            DuplicateDependencyError: there is one between the two already.
            TaskCycleError: they would wait for each other.
            TaskHasStartedError: the task cannot wait any more.
        """
        return dependencies.dependency_message(await dependencies.add(tx, request))

    async def remove_task_dependency(
        self, tx: WriteTx, ctx: CallContext, request: tasks_pb2.RemoveTaskDependencyRequest
    ) -> work_pb2.Task:
        """Let a task wait for another no longer; if it waits for nothing more, it is queued.

        Raises:
            TaskNotFoundError: there is no such task.
            DependencyNotFoundError: the one does not depend on the other.
        """
        return task_message(await dependencies.remove(tx, ctx, request))

    async def list_task_dependencies(
        self, tx: ReadTx, ctx: CallContext, request: tasks_pb2.ListTaskDependenciesRequest
    ) -> tasks_pb2.ListTaskDependenciesResponse:
        """Return one page of the dependencies of a task and of those on it, the oldest first.

        Raises:
            TaskNotFoundError: there is none.
        """
        task = await get_task(tx, request.task_id)
        size = page_size(request.page_size)
        rows = await graph_repository.list_dependencies(
            tx, task.id, decode_place(request.page_token), size + 1
        )
        last = rows[size - 1] if len(rows) > size else None
        return tasks_pb2.ListTaskDependenciesResponse(
            dependencies=[dependencies.dependency_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def get_task_graph(
        self, tx: ReadTx, ctx: CallContext, request: tasks_pb2.GetTaskGraphRequest
    ) -> tasks_pb2.TaskGraph:
        """Return the tasks around one, or of a project, and how they hang together.

        Raises:
            InvalidArgumentError: neither or both are named.
            TaskNotFoundError: there is no such task.
            ProjectNotFoundError: there is no such project.
        """
        if bool(request.task_id) == bool(request.project):
            raise InvalidArgumentError("Name a task or a project, one of them.", field="task_id")
        task_id = project_id = None
        if request.task_id:
            task_id = (await get_task(tx, request.task_id)).id
        else:
            project_id = await resolve_project_id(tx, request.project)
        return await dependencies.graph_of(
            tx, task_id=task_id, project_id=project_id, limit=_GRAPH_NODES
        )

    async def list_task_logs(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.ListTaskLogsRequest
    ) -> work_pb2.ListTaskLogsResponse:
        """Return the next lines of a task's executions, in order, without gap or repeat.

        The cursor names the attempt and the last line shown.
        """
        task = await get_task(tx, request.task_id)
        size = page_size(request.page_size, default=200, largest=1_000)
        entries, cursor, more = await task_lines(tx, task, request, size)
        return work_pb2.ListTaskLogsResponse(
            entries=entries, next_cursor=cursor, ended=task_has_ended(task) and not more
        )

    async def claim_work_order(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.ClaimWorkOrderRequest
    ) -> work_pb2.ClaimWorkOrderResponse:
        """Claim the next order that a worker may do.

        Raises:
            WorkerNotFoundError: the worker is not registered.
        """
        wanted = Wanted(
            request.instance_id,
            request.queue_name,
            request.lease_s,
            limit=1,
            task_id=id_or_none(request.task_id),
        )
        orders = await claim(tx, ctx, request.worker_id, wanted, self._marks)
        return work_pb2.ClaimWorkOrderResponse(order=orders[0] if orders else None)

    async def heartbeat_work_order(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.HeartbeatWorkOrderRequest
    ) -> work_pb2.HeartbeatWorkOrderResponse:
        """Prolong a lease.

        Raises:
            LeaseLostError: it has passed to another.
        """
        now = ctx.clock.now()
        until = now + timedelta(seconds=request.lease_s)
        order_id = uuid.UUID(request.work_order_id)
        if not await repository.prolong_lease(tx, order_id, request.lease_generation, now, until):
            raise lease_lost(order_id)
        return work_pb2.HeartbeatWorkOrderResponse(lease_expires_at=timestamp(until))

    async def attach_machine(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.AttachMachineRequest
    ) -> work_pb2.Execution:
        """Record which machine does an execution.

        Raises:
            LeaseLostError: the execution has ended, or belongs to another lease.
        """
        execution = await check_execution(
            tx, uuid.UUID(request.execution_id), request.lease_generation
        )
        if execution.status != ExecutionStatus.RUNNING:
            raise LeaseLostError(
                "The execution has ended; no machine can work on it.",
                execution_id=request.execution_id,
            )
        execution.machine_id = uuid.UUID(request.machine_id)
        if execution.work_order_id is not None:
            assignment: WorkerAssignment | None = await repository.find_assignment(
                tx, execution.worker_id, execution.work_order_id
            )
            if assignment is not None:
                assignment.machine_id = execution.machine_id
        return execution_message(execution)

    async def get_earlier_attempts(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.GetEarlierAttemptsRequest
    ) -> work_pb2.EarlierAttempts:
        """Return what earlier attempts at the task of an execution came to."""
        return await earlier_attempts(tx, uuid.UUID(request.execution_id))

    async def finish_execution(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.FinishExecutionRequest
    ) -> work_pb2.Task:
        """Record how an execution ended.

        Raises:
            LeaseLostError: the report comes under an old lease.
        """
        task = await finish(tx, ctx, request)
        execution = await tx.session.get_one(Execution, uuid.UUID(request.execution_id))
        execution.stdout_log = request.stdout_log or None
        execution.stderr_log = request.stderr_log or None
        tx.ring(log_topic(task.id))
        return task_message(task)

    async def abandon_executions(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.AbandonExecutionsRequest
    ) -> work_pb2.AbandonExecutionsResponse:
        """Pause the tasks that nobody works on any longer: they can be resumed.

        Raises:
            InvalidArgumentError: the request names no executions.
        """
        return work_pb2.AbandonExecutionsResponse(abandoned=await abandon(tx, ctx, request))

    async def append_execution_logs(
        self, tx: WriteTx, ctx: CallContext, request: work_pb2.AppendExecutionLogsRequest
    ) -> work_pb2.AppendExecutionLogsResponse:
        """Append log lines; those that are there already are left alone.

        Raises:
            LeaseLostError: the execution belongs to another lease.
        """
        execution_id = uuid.UUID(request.execution_id)
        execution = await check_execution(tx, execution_id, request.lease_generation)
        rows: list[dict[str, Any]] = [
            {
                "execution_id": execution_id,
                "seq": entry.seq,
                "level": entry.level or "INFO",
                "message": entry.message,
                "metadata_": column_value(entry.event),
                "logged_at": from_timestamp(entry.logged_at),
            }
            for entry in request.entries
        ]
        await repository.insert_logs(tx, execution_id, rows)
        tx.ring(log_topic(execution.task_id))
        return work_pb2.AppendExecutionLogsResponse()

"""The long operations on a task that runs or has run: result, pause, apply."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import (
    change_message,
    count_of_machines,
    find_import,
    get_checkpoint,
    get_readable_root,
    is_git_internal,
)
from autovibe.domains.machines.control import Control
from autovibe.domains.metering import TaskSpend, spend_of_task
from autovibe.domains.projects import get_project
from autovibe.domains.work import repository
from autovibe.domains.work.apply import Applied, ApplyPlan, apply_result
from autovibe.domains.work.enqueuing import park
from autovibe.domains.work.errors import NothingToApplyError, TaskNotRunningError
from autovibe.domains.work.leave import check_leave_to_apply, waits_for_person
from autovibe.domains.work.messages import column_message, task_message
from autovibe.domains.work.models import Execution, ExecutionStatus, Task, TaskStatus
from autovibe.domains.work.ports import HistoryReader
from autovibe.domains.work.tasks import get_task
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.waiting import waits
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import to_text
from autovibe.kernel.text import utf8
from autovibe.store import CheckpointStore
from autovibe.v1 import work_pb2

_WORKSPACE: Final = "workspace"
_WELL: Final = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.RUNNING})


@dataclass(frozen=True)
class ResultPlan:
    """What the database says of a task, and the trees to compare."""

    result: work_pb2.TaskResult
    base_root: str | None
    result_root: str | None


class GetTaskResult:
    """The long operation GetTaskResult."""

    def __init__(self, store: CheckpointStore) -> None:
        """Compare trees in a store."""
        self._store = store

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.GetTaskResultRequest
    ) -> ResultPlan:
        """Gather everything but the changed files."""
        task = await get_task(tx, request.task_id)
        executions = await repository.executions_of(tx, task.id)
        spend = await spend_of_task(tx, task.id)
        machines = [e.machine_id for e in executions if e.machine_id is not None]
        result = _result_message(task, executions, spend)
        if task.project_id is not None:
            result.project_name = (await get_project(tx, str(task.project_id))).name
        result.machine_ids.extend(str(machine) for machine in machines)
        result.checkpoint_count = await count_of_machines(tx, machines)
        base_root = await _root(tx, task.base_checkpoint_id)
        result_root = await _root(tx, task.result_checkpoint_id)
        if task.result_checkpoint_id is not None:
            checkpoint = await get_checkpoint(tx, str(task.result_checkpoint_id))
            result.verified = checkpoint.verification_status == "verified"
        return ResultPlan(result, base_root, result_root)

    async def act(self, ctx: CallContext, plan: ResultPlan) -> work_pb2.TaskResult:
        """Add the changed files."""
        if plan.base_root and plan.result_root:
            changes = await asyncio.to_thread(
                self._store.diff, plan.base_root, plan.result_root, path=_WORKSPACE
            )
            plan.result.files_changed.extend(
                change_message(change) for change in changes if not is_git_internal(change.path)
            )
        return plan.result


def _result_message(
    task: Task, executions: Sequence[Execution], spend: TaskSpend
) -> work_pb2.TaskResult:
    result = work_pb2.TaskResult(
        task_id=str(task.id),
        project_id=str(task.project_id or ""),
        status=task.status,
        base_checkpoint_id=str(task.base_checkpoint_id or ""),
        result_checkpoint_id=str(task.result_checkpoint_id or ""),
        cost_cad=to_text(spend.cost_cad),
        api_calls=spend.api_calls,
        budget_cad="" if spend.cap_cad is None else to_text(spend.cap_cad),
    )
    if waits(task):
        result.error.reason = task.block_reason or ""
        result.error.message = (
            "It waits for other tasks. A server (`autovibe up`) begins it when they have "
            f"completed; `autovibe task graph {str(task.id)[:8]}` shows them."
        )
    if waits_for_person(task):
        result.error.reason = task.block_reason or ""
        result.error.message = "It waits for a person; see `autovibe inbox`."
    if not executions:
        return result
    newest = executions[-1]
    metrics = column_message(newest.metrics, work_pb2.ExecutionMetrics)
    result.execution_id = str(newest.id)
    result.machine_id = str(newest.machine_id or "")
    result.summary = metrics.summary
    for execution in executions:
        told = column_message(execution.metrics, work_pb2.ExecutionMetrics)
        result.duration_s += told.duration_s
        result.cpu_s += told.cpu_s
        result.memory_peak_bytes = max(result.memory_peak_bytes, told.memory_peak_bytes)
    if not (waits(task) or waits_for_person(task)) and newest.status not in _WELL:
        result.error.reason = metrics.stop_reason
        result.error.message = metrics.message
    return result


async def _root(tx: ReadTx, checkpoint_id: uuid.UUID | None) -> str | None:
    if checkpoint_id is None:
        return None
    checkpoint = await get_checkpoint(tx, str(checkpoint_id))
    return None if checkpoint.pruned_at else checkpoint.manifest_root


@dataclass(frozen=True)
class PausePlan:
    """Which task is to be paused."""

    task_id: str
    running: bool


class PauseTask:
    """The long operation PauseTask."""

    def __init__(self, control: Control) -> None:
        """Pause tasks whose machines this process runs."""
        self._control = control

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.PauseTaskRequest
    ) -> PausePlan:
        """Find the task."""
        task = await get_task(tx, request.task_id)
        return PausePlan(str(task.id), task.status == TaskStatus.IN_PROGRESS)

    async def act(self, ctx: CallContext, plan: PausePlan) -> None:
        """Stop the agent and wait until its order is released.

        Raises:
            TaskNotRunningError: the task runs elsewhere, or not at all.
        """
        if not await self._control.pause(plan.task_id) and plan.running:
            raise TaskNotRunningError(
                f"Nobody works on task {plan.task_id} any more, and its lease has not ended yet; "
                "pause it in a minute.",
                task_id=plan.task_id,
            )

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: PausePlan, outcome: None
    ) -> work_pb2.Task:
        """Return the task; one that nobody has claimed yet is taken out of the queue.

        Raises:
            TaskNotRunningError: a worker has claimed it in the meantime.
        """
        task = await tx.session.get_one(Task, uuid.UUID(plan.task_id), with_for_update=True)
        if task.status == TaskStatus.QUEUED:
            check_transition("task", task.status, TaskStatus.BLOCKED)
            task.status = TaskStatus.BLOCKED
            task.block_reason = "INTERRUPTED"
            await park(tx, task)
            await tx.session.flush()  # the answer shows the task as it is now
        elif task.status == TaskStatus.IN_PROGRESS:
            raise TaskNotRunningError(
                f"Task {plan.task_id} has just been claimed by a worker; pause it again.",
                task_id=plan.task_id,
            )
        return task_message(task)


class ApplyTask:
    """The long operation ApplyTask."""

    def __init__(self, store: CheckpointStore, history: HistoryReader) -> None:
        """Apply results that are in a store; `history` reads the commits in them."""
        self._store = store
        self._history = history

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.ApplyTaskRequest
    ) -> ApplyPlan:
        """Find both trees and where they came from.

        Raises:
            NothingToApplyError: the task has no result yet.
            ApprovalNeededError: a person has to allow it first.
        """
        task = await get_task(tx, request.task_id)
        if task.result_checkpoint_id is None or task.base_checkpoint_id is None:
            raise NothingToApplyError(f"Task {task.id} has no result yet.")
        await check_leave_to_apply(tx, task)
        base, _ = await get_readable_root(tx, str(task.base_checkpoint_id))
        # A task that went on from another's checkpoint brings along what came before it.
        imported = await find_import(tx, base) or base
        _, base_root = await get_readable_root(tx, str(imported.id))
        _, result_root = await get_readable_root(tx, str(task.result_checkpoint_id))
        context = column_message(task.context, work_pb2.TaskContext)
        origin: dict[str, Any] = imported.metadata_.get("import", {})
        return ApplyPlan(
            task_id=str(task.id),
            title=task.title,
            directory=Path(context.repo_path or "/nonexistent"),
            head_commit=context.head_commit,
            dirty_paths=origin.get("dirty_paths", []),
            dirty_cut=origin.get("dirty_cut", False),
            base_root=base_root,
            result_root=result_root,
            branch=request.branch or f"autovibe/{str(task.id)[:8]}",
            include_ignored=request.include_ignored,
            keep_commits=request.keep_commits,
        )

    async def act(self, ctx: CallContext, plan: ApplyPlan) -> Applied:
        """Make the commit and the branch."""
        history = self._history if plan.keep_commits else None
        return await apply_result(self._store, plan, history)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: ApplyPlan, outcome: Applied
    ) -> work_pb2.ApplyTaskResponse:
        """Note the branch on the task."""
        task = await get_task(tx, plan.task_id)
        task.branch_name = outcome.branch
        task.metadata_ = {**task.metadata_, "applied_commit": outcome.commit}
        return work_pb2.ApplyTaskResponse(
            branch=outcome.branch,
            commit=outcome.commit,
            parent_commit=outcome.parent_commit,
            files=[change_message(change) for change in outcome.changes],
            ignored=[utf8(path) for path in outcome.ignored],
            kept_commits=outcome.kept_commits,
        )

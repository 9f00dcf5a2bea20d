"""From rows to messages, and the JSON columns of this domain."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from autovibe.domains.etags import etag_of
from autovibe.domains.work.models import Execution, ExecutionLog, Task, Worker
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import work_pb2

MessageT = TypeVar("MessageT", bound=Message)


def column_value(message: Message) -> dict[str, Any]:
    """Return what a JSON column holds of a message: its ProtoJSON."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def column_message(value: dict[str, Any], kind: type[MessageT]) -> MessageT:
    """Return the message that a JSON column holds; fields of newer versions are ignored."""
    return json_format.ParseDict(value, kind(), ignore_unknown_fields=True)


def task_message(task: Task) -> work_pb2.Task:
    """Return the message of a task."""
    message = work_pb2.Task(
        id=str(task.id),
        project_id=id_text(task.project_id),
        title=task.title,
        description=task.description or "",
        task_type=task.task_type,
        permission_level=task.permission_level,
        priority=task.priority,
        status=task.status,
        block_reason=task.block_reason or "",
        repository_url=task.repository_url or "",
        branch_name=task.branch_name or "",
        issue_number=task.issue_number or 0,
        pr_number=task.pr_number or 0,
        context=column_message(task.context, work_pb2.TaskContext),
        metadata=struct(task.metadata_),
        created_by=id_text(task.created_by),
        assigned_to=id_text(task.assigned_to),
        parent_task_id=id_text(task.parent_task_id),
        base_checkpoint_id=id_text(task.base_checkpoint_id),
        result_checkpoint_id=id_text(task.result_checkpoint_id),
        started_at=timestamp(task.started_at),
        completed_at=timestamp(task.completed_at),
        created_at=timestamp(task.created_at),
        updated_at=timestamp(task.updated_at),
    )
    message.etag = etag_of(message)
    return message


def worker_traits(worker: Worker) -> work_pb2.WorkerTraits:
    """Return where a worker is, what it has, and what is wanted of it; secrets are left out."""
    return column_message(worker.config, work_pb2.WorkerTraits)


def worker_message(worker: Worker) -> work_pb2.Worker:
    """Return the message of a worker."""
    return work_pb2.Worker(
        id=str(worker.id),
        name=worker.name,
        worker_type=worker.worker_type,
        status=worker.status,
        max_concurrent_tasks=worker.max_concurrent_tasks,
        last_heartbeat_at=timestamp(worker.last_heartbeat_at),
        version=worker.version or "",
        timeout_seconds=worker.timeout_seconds,
        context_window_size=worker.context_window_size,
        capabilities=worker.capabilities,
        created_at=timestamp(worker.created_at),
        updated_at=timestamp(worker.updated_at),
        capability_levels=sorted(
            f"{row.capability_name}:{row.capability_level}" for row in worker.capability_rows
        ),
        traits=worker_traits(worker),
    )


def execution_message(execution: Execution) -> work_pb2.Execution:
    """Return the message of an execution."""
    return work_pb2.Execution(
        id=str(execution.id),
        task_id=str(execution.task_id),
        worker_id=str(execution.worker_id),
        work_order_id=id_text(execution.work_order_id),
        machine_id=id_text(execution.machine_id),
        result_checkpoint_id=id_text(execution.result_checkpoint_id),
        attempt=execution.attempt,
        correlation_id=execution.correlation_id,
        status=execution.status,
        exit_code=execution.exit_code or 0,
        lease_generation=execution.lease_generation,
        metrics=column_message(execution.metrics, work_pb2.ExecutionMetrics),
        started_at=timestamp(execution.started_at),
        completed_at=timestamp(execution.completed_at),
        duration_seconds=execution.duration_seconds or 0,
        created_at=timestamp(execution.created_at),
        updated_at=timestamp(execution.updated_at),
    )


def log_message(line: ExecutionLog) -> work_pb2.LogEntry:
    """Return the message of a log line."""
    return work_pb2.LogEntry(
        execution_id=str(line.execution_id),
        seq=line.seq,
        level=line.level,
        message=line.message,
        event=column_message(line.metadata_, work_pb2.LogEvent),
        logged_at=timestamp(line.logged_at),
    )

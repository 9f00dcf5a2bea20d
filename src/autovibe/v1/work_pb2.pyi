import datetime

from autovibe.v1 import checkpoints_pb2 as _checkpoints_pb2
from autovibe.v1 import model_calls_pb2 as _model_calls_pb2
from autovibe.v1 import options_pb2 as _options_pb2
from autovibe.v1 import tasks_pb2 as _tasks_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(_message.Message):
    __slots__ = ("id", "project_id", "title", "description", "task_type", "permission_level", "priority", "status", "block_reason", "repository_url", "branch_name", "issue_number", "pr_number", "context", "metadata", "created_by", "assigned_to", "parent_task_id", "base_checkpoint_id", "result_checkpoint_id", "started_at", "completed_at", "created_at", "updated_at", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_URL_FIELD_NUMBER: _ClassVar[int]
    BRANCH_NAME_FIELD_NUMBER: _ClassVar[int]
    ISSUE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PR_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_TO_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    title: str
    description: str
    task_type: str
    permission_level: str
    priority: str
    status: str
    block_reason: str
    repository_url: str
    branch_name: str
    issue_number: int
    pr_number: int
    context: TaskContext
    metadata: _struct_pb2.Struct
    created_by: str
    assigned_to: str
    parent_task_id: str
    base_checkpoint_id: str
    result_checkpoint_id: str
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., status: _Optional[str] = ..., block_reason: _Optional[str] = ..., repository_url: _Optional[str] = ..., branch_name: _Optional[str] = ..., issue_number: _Optional[int] = ..., pr_number: _Optional[int] = ..., context: _Optional[_Union[TaskContext, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_by: _Optional[str] = ..., assigned_to: _Optional[str] = ..., parent_task_id: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., result_checkpoint_id: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class TaskContext(_message.Message):
    __slots__ = ("agent", "model", "isolation", "timeout_s", "agent_args", "repo_path", "head_commit", "dirty", "trust_agent", "session_id", "follows_project", "worker_type", "capabilities", "max_retries", "expires_s")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    AGENT_ARGS_FIELD_NUMBER: _ClassVar[int]
    REPO_PATH_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    DIRTY_FIELD_NUMBER: _ClassVar[int]
    TRUST_AGENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_PROJECT_FIELD_NUMBER: _ClassVar[int]
    WORKER_TYPE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_S_FIELD_NUMBER: _ClassVar[int]
    agent: str
    model: str
    isolation: str
    timeout_s: int
    agent_args: _containers.RepeatedScalarFieldContainer[str]
    repo_path: str
    head_commit: str
    dirty: bool
    trust_agent: bool
    session_id: str
    follows_project: bool
    worker_type: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    max_retries: int
    expires_s: int
    def __init__(self, agent: _Optional[str] = ..., model: _Optional[str] = ..., isolation: _Optional[str] = ..., timeout_s: _Optional[int] = ..., agent_args: _Optional[_Iterable[str]] = ..., repo_path: _Optional[str] = ..., head_commit: _Optional[str] = ..., dirty: _Optional[bool] = ..., trust_agent: _Optional[bool] = ..., session_id: _Optional[str] = ..., follows_project: _Optional[bool] = ..., worker_type: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., max_retries: _Optional[int] = ..., expires_s: _Optional[int] = ...) -> None: ...

class WorkOrderPayload(_message.Message):
    __slots__ = ("context", "prompt", "base_checkpoint_id", "session_id", "note")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    context: TaskContext
    prompt: str
    base_checkpoint_id: str
    session_id: str
    note: str
    def __init__(self, context: _Optional[_Union[TaskContext, _Mapping]] = ..., prompt: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., session_id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class CheckTaskContextRequest(_message.Message):
    __slots__ = ("context", "permission_level")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    context: TaskContext
    permission_level: str
    def __init__(self, context: _Optional[_Union[TaskContext, _Mapping]] = ..., permission_level: _Optional[str] = ...) -> None: ...

class CreateTaskRequest(_message.Message):
    __slots__ = ("project", "title", "description", "task_type", "permission_level", "priority", "context", "budget", "base_checkpoint_id", "start", "metadata", "parent_task_id", "after_task_ids")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    title: str
    description: str
    task_type: str
    permission_level: str
    priority: str
    context: TaskContext
    budget: str
    base_checkpoint_id: str
    start: bool
    metadata: _struct_pb2.Struct
    parent_task_id: str
    after_task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., context: _Optional[_Union[TaskContext, _Mapping]] = ..., budget: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., start: _Optional[bool] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., parent_task_id: _Optional[str] = ..., after_task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("project", "statuses", "page_size", "page_token", "ready", "labels", "order_by")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    project: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    ready: bool
    labels: _containers.RepeatedScalarFieldContainer[str]
    order_by: str
    def __init__(self, project: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., ready: _Optional[bool] = ..., labels: _Optional[_Iterable[str]] = ..., order_by: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetTaskResultRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("task_id", "execution_id", "machine_id", "project_id", "status", "base_checkpoint_id", "result_checkpoint_id", "checkpoint_count", "cost_cad", "api_calls", "duration_s", "files_changed", "error", "summary", "budget_cad", "project_name", "verified", "machine_ids", "cpu_s", "memory_peak_bytes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_COUNT_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    API_CALLS_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_CAD_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    MACHINE_IDS_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    execution_id: str
    machine_id: str
    project_id: str
    status: str
    base_checkpoint_id: str
    result_checkpoint_id: str
    checkpoint_count: int
    cost_cad: str
    api_calls: int
    duration_s: float
    files_changed: _containers.RepeatedCompositeFieldContainer[_checkpoints_pb2.FileChange]
    error: TaskError
    summary: str
    budget_cad: str
    project_name: str
    verified: bool
    machine_ids: _containers.RepeatedScalarFieldContainer[str]
    cpu_s: float
    memory_peak_bytes: int
    def __init__(self, task_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., project_id: _Optional[str] = ..., status: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., result_checkpoint_id: _Optional[str] = ..., checkpoint_count: _Optional[int] = ..., cost_cad: _Optional[str] = ..., api_calls: _Optional[int] = ..., duration_s: _Optional[float] = ..., files_changed: _Optional[_Iterable[_Union[_checkpoints_pb2.FileChange, _Mapping]]] = ..., error: _Optional[_Union[TaskError, _Mapping]] = ..., summary: _Optional[str] = ..., budget_cad: _Optional[str] = ..., project_name: _Optional[str] = ..., verified: _Optional[bool] = ..., machine_ids: _Optional[_Iterable[str]] = ..., cpu_s: _Optional[float] = ..., memory_peak_bytes: _Optional[int] = ...) -> None: ...

class TaskError(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PauseTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ResumeTaskRequest(_message.Message):
    __slots__ = ("task_id", "budget", "timeout_s")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    budget: str
    timeout_s: int
    def __init__(self, task_id: _Optional[str] = ..., budget: _Optional[str] = ..., timeout_s: _Optional[int] = ...) -> None: ...

class RetryTaskRequest(_message.Message):
    __slots__ = ("task_id", "budget")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    budget: str
    def __init__(self, task_id: _Optional[str] = ..., budget: _Optional[str] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ForkCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id", "description", "context", "budget", "fresh_conversation", "start")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    FRESH_CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    description: str
    context: TaskContext
    budget: str
    fresh_conversation: bool
    start: bool
    def __init__(self, checkpoint_id: _Optional[str] = ..., description: _Optional[str] = ..., context: _Optional[_Union[TaskContext, _Mapping]] = ..., budget: _Optional[str] = ..., fresh_conversation: _Optional[bool] = ..., start: _Optional[bool] = ...) -> None: ...

class ApplyTaskRequest(_message.Message):
    __slots__ = ("task_id", "branch", "include_ignored", "keep_commits")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_IGNORED_FIELD_NUMBER: _ClassVar[int]
    KEEP_COMMITS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    branch: str
    include_ignored: bool
    keep_commits: bool
    def __init__(self, task_id: _Optional[str] = ..., branch: _Optional[str] = ..., include_ignored: _Optional[bool] = ..., keep_commits: _Optional[bool] = ...) -> None: ...

class ApplyTaskResponse(_message.Message):
    __slots__ = ("branch", "commit", "parent_commit", "files", "ignored", "kept_commits")
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    PARENT_COMMIT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    KEPT_COMMITS_FIELD_NUMBER: _ClassVar[int]
    branch: str
    commit: str
    parent_commit: str
    files: _containers.RepeatedCompositeFieldContainer[_checkpoints_pb2.FileChange]
    ignored: _containers.RepeatedScalarFieldContainer[str]
    kept_commits: int
    def __init__(self, branch: _Optional[str] = ..., commit: _Optional[str] = ..., parent_commit: _Optional[str] = ..., files: _Optional[_Iterable[_Union[_checkpoints_pb2.FileChange, _Mapping]]] = ..., ignored: _Optional[_Iterable[str]] = ..., kept_commits: _Optional[int] = ...) -> None: ...

class GetTaskPatchRequest(_message.Message):
    __slots__ = ("task_id", "include_ignored", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_IGNORED_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    include_ignored: bool
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., include_ignored: _Optional[bool] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetTaskPatchResponse(_message.Message):
    __slots__ = ("patch", "files", "ignored", "next_page_token")
    PATCH_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    patch: bytes
    files: _containers.RepeatedCompositeFieldContainer[_checkpoints_pb2.FileChange]
    ignored: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, patch: _Optional[bytes] = ..., files: _Optional[_Iterable[_Union[_checkpoints_pb2.FileChange, _Mapping]]] = ..., ignored: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTaskLogsRequest(_message.Message):
    __slots__ = ("task_id", "cursor", "page_size", "level", "kinds", "events", "stream", "search", "since")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    cursor: str
    page_size: int
    level: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedScalarFieldContainer[str]
    stream: str
    search: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., cursor: _Optional[str] = ..., page_size: _Optional[int] = ..., level: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[str]] = ..., stream: _Optional[str] = ..., search: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListTaskLogsResponse(_message.Message):
    __slots__ = ("entries", "next_cursor", "ended")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    next_cursor: str
    ended: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., ended: _Optional[bool] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("execution_id", "seq", "level", "message", "event", "logged_at")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    LOGGED_AT_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    seq: int
    level: str
    message: str
    event: LogEvent
    logged_at: _timestamp_pb2.Timestamp
    def __init__(self, execution_id: _Optional[str] = ..., seq: _Optional[int] = ..., level: _Optional[str] = ..., message: _Optional[str] = ..., event: _Optional[_Union[LogEvent, _Mapping]] = ..., logged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LogEvent(_message.Message):
    __slots__ = ("kind", "details")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    details: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("id", "name", "worker_type", "status", "max_concurrent_tasks", "last_heartbeat_at", "version", "timeout_seconds", "context_window_size", "capabilities", "created_at", "updated_at", "capability_levels", "traits")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WORKER_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_TASKS_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_SIZE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_LEVELS_FIELD_NUMBER: _ClassVar[int]
    TRAITS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    worker_type: str
    status: str
    max_concurrent_tasks: int
    last_heartbeat_at: _timestamp_pb2.Timestamp
    version: str
    timeout_seconds: int
    context_window_size: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    capability_levels: _containers.RepeatedScalarFieldContainer[str]
    traits: WorkerTraits
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., worker_type: _Optional[str] = ..., status: _Optional[str] = ..., max_concurrent_tasks: _Optional[int] = ..., last_heartbeat_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., context_window_size: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., capability_levels: _Optional[_Iterable[str]] = ..., traits: _Optional[_Union[WorkerTraits, _Mapping]] = ...) -> None: ...

class WorkerTraits(_message.Message):
    __slots__ = ("host", "machine_types", "isolations", "draining")
    HOST_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPES_FIELD_NUMBER: _ClassVar[int]
    ISOLATIONS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    host: str
    machine_types: _containers.RepeatedScalarFieldContainer[str]
    isolations: _containers.RepeatedScalarFieldContainer[str]
    draining: bool
    def __init__(self, host: _Optional[str] = ..., machine_types: _Optional[_Iterable[str]] = ..., isolations: _Optional[_Iterable[str]] = ..., draining: _Optional[bool] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("id", "task_id", "worker_id", "work_order_id", "machine_id", "result_checkpoint_id", "attempt", "correlation_id", "status", "exit_code", "lease_generation", "metrics", "started_at", "completed_at", "duration_seconds", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    worker_id: str
    work_order_id: str
    machine_id: str
    result_checkpoint_id: str
    attempt: int
    correlation_id: str
    status: str
    exit_code: int
    lease_generation: int
    metrics: ExecutionMetrics
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    duration_seconds: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., work_order_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., result_checkpoint_id: _Optional[str] = ..., attempt: _Optional[int] = ..., correlation_id: _Optional[str] = ..., status: _Optional[str] = ..., exit_code: _Optional[int] = ..., lease_generation: _Optional[int] = ..., metrics: _Optional[_Union[ExecutionMetrics, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_seconds: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExecutionMetrics(_message.Message):
    __slots__ = ("stop_reason", "message", "checkpoints", "model_calls", "duration_s", "cpu_s", "memory_peak_bytes", "summary", "instance_id", "stop_requested", "changed_files", "cost_since_change_cad", "foreground")
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STOP_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FILES_FIELD_NUMBER: _ClassVar[int]
    COST_SINCE_CHANGE_CAD_FIELD_NUMBER: _ClassVar[int]
    FOREGROUND_FIELD_NUMBER: _ClassVar[int]
    stop_reason: str
    message: str
    checkpoints: int
    model_calls: int
    duration_s: float
    cpu_s: float
    memory_peak_bytes: int
    summary: str
    instance_id: str
    stop_requested: bool
    changed_files: bool
    cost_since_change_cad: str
    foreground: bool
    def __init__(self, stop_reason: _Optional[str] = ..., message: _Optional[str] = ..., checkpoints: _Optional[int] = ..., model_calls: _Optional[int] = ..., duration_s: _Optional[float] = ..., cpu_s: _Optional[float] = ..., memory_peak_bytes: _Optional[int] = ..., summary: _Optional[str] = ..., instance_id: _Optional[str] = ..., stop_requested: _Optional[bool] = ..., changed_files: _Optional[bool] = ..., cost_since_change_cad: _Optional[str] = ..., foreground: _Optional[bool] = ...) -> None: ...

class ClaimWorkOrderRequest(_message.Message):
    __slots__ = ("worker_id", "instance_id", "queue_name", "task_id", "lease_s")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    instance_id: str
    queue_name: str
    task_id: str
    lease_s: int
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., task_id: _Optional[str] = ..., lease_s: _Optional[int] = ...) -> None: ...

class ClaimWorkOrderResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: ClaimedOrder
    def __init__(self, order: _Optional[_Union[ClaimedOrder, _Mapping]] = ...) -> None: ...

class ClaimedOrder(_message.Message):
    __slots__ = ("work_order_id", "lease_generation", "task", "execution", "payload", "timeout_s", "lease_expires_at")
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    work_order_id: str
    lease_generation: int
    task: Task
    execution: Execution
    payload: WorkOrderPayload
    timeout_s: int
    lease_expires_at: _timestamp_pb2.Timestamp
    def __init__(self, work_order_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., task: _Optional[_Union[Task, _Mapping]] = ..., execution: _Optional[_Union[Execution, _Mapping]] = ..., payload: _Optional[_Union[WorkOrderPayload, _Mapping]] = ..., timeout_s: _Optional[int] = ..., lease_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HeartbeatWorkOrderRequest(_message.Message):
    __slots__ = ("work_order_id", "lease_generation", "lease_s")
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    work_order_id: str
    lease_generation: int
    lease_s: int
    def __init__(self, work_order_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., lease_s: _Optional[int] = ...) -> None: ...

class HeartbeatWorkOrderResponse(_message.Message):
    __slots__ = ("lease_expires_at",)
    LEASE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    lease_expires_at: _timestamp_pb2.Timestamp
    def __init__(self, lease_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AttachMachineRequest(_message.Message):
    __slots__ = ("execution_id", "lease_generation", "machine_id")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    lease_generation: int
    machine_id: str
    def __init__(self, execution_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., machine_id: _Optional[str] = ...) -> None: ...

class FinishExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "lease_generation", "outcome", "exit_code", "result_checkpoint_id", "metrics", "stdout_log", "stderr_log")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    STDOUT_LOG_FIELD_NUMBER: _ClassVar[int]
    STDERR_LOG_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    lease_generation: int
    outcome: str
    exit_code: int
    result_checkpoint_id: str
    metrics: ExecutionMetrics
    stdout_log: str
    stderr_log: str
    def __init__(self, execution_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., outcome: _Optional[str] = ..., exit_code: _Optional[int] = ..., result_checkpoint_id: _Optional[str] = ..., metrics: _Optional[_Union[ExecutionMetrics, _Mapping]] = ..., stdout_log: _Optional[str] = ..., stderr_log: _Optional[str] = ...) -> None: ...

class AppendExecutionLogsRequest(_message.Message):
    __slots__ = ("execution_id", "lease_generation", "entries")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    lease_generation: int
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    def __init__(self, execution_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ...) -> None: ...

class AppendExecutionLogsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AbandonExecutionsRequest(_message.Message):
    __slots__ = ("machine_id", "result_checkpoint_id", "instance_id", "expired", "living_instance_ids")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    LIVING_INSTANCE_IDS_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    result_checkpoint_id: str
    instance_id: str
    expired: bool
    living_instance_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, machine_id: _Optional[str] = ..., result_checkpoint_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., expired: _Optional[bool] = ..., living_instance_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AbandonExecutionsResponse(_message.Message):
    __slots__ = ("abandoned",)
    ABANDONED_FIELD_NUMBER: _ClassVar[int]
    abandoned: int
    def __init__(self, abandoned: _Optional[int] = ...) -> None: ...

class GetEarlierAttemptsRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class EarlierAttempts(_message.Message):
    __slots__ = ("failed", "cost_cad")
    FAILED_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    failed: int
    cost_cad: str
    def __init__(self, failed: _Optional[int] = ..., cost_cad: _Optional[str] = ...) -> None: ...

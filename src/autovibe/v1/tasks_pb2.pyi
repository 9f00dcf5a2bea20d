import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskDependency(_message.Message):
    __slots__ = ("id", "task_id", "depends_on_task_id", "dependency_type", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCY_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    depends_on_task_id: str
    dependency_type: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., depends_on_task_id: _Optional[str] = ..., dependency_type: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AddTaskDependencyRequest(_message.Message):
    __slots__ = ("task_id", "depends_on_task_id", "dependency_type")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCY_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    depends_on_task_id: str
    dependency_type: str
    def __init__(self, task_id: _Optional[str] = ..., depends_on_task_id: _Optional[str] = ..., dependency_type: _Optional[str] = ...) -> None: ...

class RemoveTaskDependencyRequest(_message.Message):
    __slots__ = ("task_id", "depends_on_task_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    depends_on_task_id: str
    def __init__(self, task_id: _Optional[str] = ..., depends_on_task_id: _Optional[str] = ...) -> None: ...

class ListTaskDependenciesRequest(_message.Message):
    __slots__ = ("task_id", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTaskDependenciesResponse(_message.Message):
    __slots__ = ("dependencies", "next_page_token")
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dependencies: _containers.RepeatedCompositeFieldContainer[TaskDependency]
    next_page_token: str
    def __init__(self, dependencies: _Optional[_Iterable[_Union[TaskDependency, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetTaskGraphRequest(_message.Message):
    __slots__ = ("task_id", "project")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    project: str
    def __init__(self, task_id: _Optional[str] = ..., project: _Optional[str] = ...) -> None: ...

class TaskGraph(_message.Message):
    __slots__ = ("nodes", "dependencies", "truncated")
    NODES_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[TaskNode]
    dependencies: _containers.RepeatedCompositeFieldContainer[TaskDependency]
    truncated: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[TaskNode, _Mapping]]] = ..., dependencies: _Optional[_Iterable[_Union[TaskDependency, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class TaskNode(_message.Message):
    __slots__ = ("id", "title", "status", "block_reason", "parent_task_id", "priority")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    status: str
    block_reason: str
    parent_task_id: str
    priority: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[str] = ..., block_reason: _Optional[str] = ..., parent_task_id: _Optional[str] = ..., priority: _Optional[str] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ("key", "title", "prompt", "after", "parent", "task_type", "permission_level", "priority", "agent", "model", "isolation", "timeout_s", "agent_args", "trust_agent", "budget", "labels", "worker_type", "capabilities", "max_retries", "expires_s")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    AGENT_ARGS_FIELD_NUMBER: _ClassVar[int]
    TRUST_AGENT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    WORKER_TYPE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_S_FIELD_NUMBER: _ClassVar[int]
    key: str
    title: str
    prompt: str
    after: _containers.RepeatedScalarFieldContainer[str]
    parent: str
    task_type: str
    permission_level: str
    priority: str
    agent: str
    model: str
    isolation: str
    timeout_s: int
    agent_args: _containers.RepeatedScalarFieldContainer[str]
    trust_agent: bool
    budget: str
    labels: _containers.ScalarMap[str, str]
    worker_type: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    max_retries: int
    expires_s: int
    def __init__(self, key: _Optional[str] = ..., title: _Optional[str] = ..., prompt: _Optional[str] = ..., after: _Optional[_Iterable[str]] = ..., parent: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ..., isolation: _Optional[str] = ..., timeout_s: _Optional[int] = ..., agent_args: _Optional[_Iterable[str]] = ..., trust_agent: _Optional[bool] = ..., budget: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., worker_type: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., max_retries: _Optional[int] = ..., expires_s: _Optional[int] = ...) -> None: ...

class CreateTasksRequest(_message.Message):
    __slots__ = ("project", "tasks", "start", "dry_run", "idempotency_key")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    project: str
    tasks: _containers.RepeatedCompositeFieldContainer[TaskSpec]
    start: bool
    dry_run: bool
    idempotency_key: str
    def __init__(self, project: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[TaskSpec, _Mapping]]] = ..., start: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateTasksResponse(_message.Message):
    __slots__ = ("tasks", "repeated")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[CreatedTask]
    repeated: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[CreatedTask, _Mapping]]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class CreatedTask(_message.Message):
    __slots__ = ("key", "task_id", "title", "status", "block_reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    key: str
    task_id: str
    title: str
    status: str
    block_reason: str
    def __init__(self, key: _Optional[str] = ..., task_id: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[str] = ..., block_reason: _Optional[str] = ...) -> None: ...

class UpdateTaskRequest(_message.Message):
    __slots__ = ("task_id", "title", "description", "task_type", "permission_level", "priority", "labels", "issue_number", "pr_number", "repository_url", "etag")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ISSUE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PR_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_URL_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    title: str
    description: str
    task_type: str
    permission_level: str
    priority: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    issue_number: int
    pr_number: int
    repository_url: str
    etag: str
    def __init__(self, task_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., issue_number: _Optional[int] = ..., pr_number: _Optional[int] = ..., repository_url: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

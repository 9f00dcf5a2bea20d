import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from autovibe.v1 import work_pb2 as _work_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterWorkerRequest(_message.Message):
    __slots__ = ("name", "worker_type", "max_concurrent_tasks", "capabilities", "version", "machine_types", "isolations", "timeout_s", "host")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WORKER_TYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_TASKS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPES_FIELD_NUMBER: _ClassVar[int]
    ISOLATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    worker_type: str
    max_concurrent_tasks: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    version: str
    machine_types: _containers.RepeatedScalarFieldContainer[str]
    isolations: _containers.RepeatedScalarFieldContainer[str]
    timeout_s: int
    host: str
    def __init__(self, name: _Optional[str] = ..., worker_type: _Optional[str] = ..., max_concurrent_tasks: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., machine_types: _Optional[_Iterable[str]] = ..., isolations: _Optional[_Iterable[str]] = ..., timeout_s: _Optional[int] = ..., host: _Optional[str] = ...) -> None: ...

class HeartbeatWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class HeartbeatWorkerResponse(_message.Message):
    __slots__ = ("draining",)
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    draining: bool
    def __init__(self, draining: _Optional[bool] = ...) -> None: ...

class SignOffWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class ClaimManyRequest(_message.Message):
    __slots__ = ("worker_id", "instance_id", "queue_name", "lease_s", "limit")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    instance_id: str
    queue_name: str
    lease_s: int
    limit: int
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., lease_s: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ClaimManyResponse(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_work_pb2.ClaimedOrder]
    def __init__(self, orders: _Optional[_Iterable[_Union[_work_pb2.ClaimedOrder, _Mapping]]] = ...) -> None: ...

class CompleteManyRequest(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[_work_pb2.FinishExecutionRequest]
    def __init__(self, reports: _Optional[_Iterable[_Union[_work_pb2.FinishExecutionRequest, _Mapping]]] = ...) -> None: ...

class CompleteManyResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[CompletionVerdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[CompletionVerdict, _Mapping]]] = ...) -> None: ...

class CompletionVerdict(_message.Message):
    __slots__ = ("task_status", "reason", "message")
    TASK_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_status: str
    reason: str
    message: str
    def __init__(self, task_status: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class WaitForWorkRequest(_message.Message):
    __slots__ = ("worker_id", "queue_name", "bell", "stopping_task_ids", "wait_s")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    BELL_FIELD_NUMBER: _ClassVar[int]
    STOPPING_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    queue_name: str
    bell: str
    stopping_task_ids: _containers.RepeatedScalarFieldContainer[str]
    wait_s: int
    def __init__(self, worker_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., bell: _Optional[str] = ..., stopping_task_ids: _Optional[_Iterable[str]] = ..., wait_s: _Optional[int] = ...) -> None: ...

class WaitForWorkResponse(_message.Message):
    __slots__ = ("bell", "stop_task_ids", "draining")
    BELL_FIELD_NUMBER: _ClassVar[int]
    STOP_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    bell: str
    stop_task_ids: _containers.RepeatedScalarFieldContainer[str]
    draining: bool
    def __init__(self, bell: _Optional[str] = ..., stop_task_ids: _Optional[_Iterable[str]] = ..., draining: _Optional[bool] = ...) -> None: ...

class RequestStopRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class RequestStopResponse(_message.Message):
    __slots__ = ("asked",)
    ASKED_FIELD_NUMBER: _ClassVar[int]
    asked: bool
    def __init__(self, asked: _Optional[bool] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("statuses", "page_size", "page_token")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, statuses: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next_page_token")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[_work_pb2.Worker]
    next_page_token: str
    def __init__(self, workers: _Optional[_Iterable[_Union[_work_pb2.Worker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class WorkOrder(_message.Message):
    __slots__ = ("id", "task_id", "task_title", "queue_name", "status", "priority", "fair_key", "worker_type", "required_capabilities", "error_message", "retry_count", "max_retries", "timeout_seconds", "lease_generation", "lease_expires_at", "enqueued_at", "available_at", "claimed_at", "completed_at", "expires_at", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TITLE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    FAIR_KEY_FIELD_NUMBER: _ClassVar[int]
    WORKER_TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_AT_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    task_title: str
    queue_name: str
    status: str
    priority: int
    fair_key: float
    worker_type: str
    required_capabilities: _containers.RepeatedScalarFieldContainer[str]
    error_message: str
    retry_count: int
    max_retries: int
    timeout_seconds: int
    lease_generation: int
    lease_expires_at: _timestamp_pb2.Timestamp
    enqueued_at: _timestamp_pb2.Timestamp
    available_at: _timestamp_pb2.Timestamp
    claimed_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., task_title: _Optional[str] = ..., queue_name: _Optional[str] = ..., status: _Optional[str] = ..., priority: _Optional[int] = ..., fair_key: _Optional[float] = ..., worker_type: _Optional[str] = ..., required_capabilities: _Optional[_Iterable[str]] = ..., error_message: _Optional[str] = ..., retry_count: _Optional[int] = ..., max_retries: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., lease_generation: _Optional[int] = ..., lease_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., enqueued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., available_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., claimed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListWorkOrdersRequest(_message.Message):
    __slots__ = ("statuses", "queue_name", "project", "page_size", "page_token")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[str]
    queue_name: str
    project: str
    page_size: int
    page_token: str
    def __init__(self, statuses: _Optional[_Iterable[str]] = ..., queue_name: _Optional[str] = ..., project: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkOrdersResponse(_message.Message):
    __slots__ = ("work_orders", "next_page_token")
    WORK_ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    work_orders: _containers.RepeatedCompositeFieldContainer[WorkOrder]
    next_page_token: str
    def __init__(self, work_orders: _Optional[_Iterable[_Union[WorkOrder, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetWorkOrderRequest(_message.Message):
    __slots__ = ("work_order_id",)
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    work_order_id: str
    def __init__(self, work_order_id: _Optional[str] = ...) -> None: ...

class RequeueWorkOrderRequest(_message.Message):
    __slots__ = ("work_order_id",)
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    work_order_id: str
    def __init__(self, work_order_id: _Optional[str] = ...) -> None: ...

class SetQueueLimitRequest(_message.Message):
    __slots__ = ("project", "queue_name", "max_running")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    project: str
    queue_name: str
    max_running: int
    def __init__(self, project: _Optional[str] = ..., queue_name: _Optional[str] = ..., max_running: _Optional[int] = ...) -> None: ...

class QueueShare(_message.Message):
    __slots__ = ("project_id", "queue_name", "max_running")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    queue_name: str
    max_running: int
    def __init__(self, project_id: _Optional[str] = ..., queue_name: _Optional[str] = ..., max_running: _Optional[int] = ...) -> None: ...

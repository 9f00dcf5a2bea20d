import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetOwnTaskRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OwnTask(_message.Message):
    __slots__ = ("id", "title", "description", "task_type", "permission_level", "priority", "status", "execution_id", "machine_id", "attempt", "parent_task_id", "budget_cad", "spent_cad")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_CAD_FIELD_NUMBER: _ClassVar[int]
    SPENT_CAD_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    description: str
    task_type: str
    permission_level: str
    priority: str
    status: str
    execution_id: str
    machine_id: str
    attempt: int
    parent_task_id: str
    budget_cad: str
    spent_cad: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., status: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., attempt: _Optional[int] = ..., parent_task_id: _Optional[str] = ..., budget_cad: _Optional[str] = ..., spent_cad: _Optional[str] = ...) -> None: ...

class SendEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AgentApiEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[AgentApiEvent, _Mapping]]] = ...) -> None: ...

class AgentApiEvent(_message.Message):
    __slots__ = ("kind", "text", "level", "details")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    text: str
    level: str
    details: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., text: _Optional[str] = ..., level: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SendEventsResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    def __init__(self, accepted: _Optional[int] = ...) -> None: ...

class SendMachineMessageRequest(_message.Message):
    __slots__ = ("to", "text", "data")
    TO_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    to: str
    text: str
    data: _struct_pb2.Struct
    def __init__(self, to: _Optional[str] = ..., text: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SendMachineMessageResponse(_message.Message):
    __slots__ = ("message_ids",)
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    message_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class TakeMachineMessagesRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class TakeMachineMessagesResponse(_message.Message):
    __slots__ = ("messages", "more")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[MachineLetter]
    more: bool
    def __init__(self, messages: _Optional[_Iterable[_Union[MachineLetter, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class MachineLetter(_message.Message):
    __slots__ = ("id", "sender_machine_id", "text", "data", "sent_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    sender_machine_id: str
    text: str
    data: _struct_pb2.Struct
    sent_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., sender_machine_id: _Optional[str] = ..., text: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateSubtaskRequest(_message.Message):
    __slots__ = ("description", "title", "task_type", "permission_level", "priority", "budget", "agent", "model")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    description: str
    title: str
    task_type: str
    permission_level: str
    priority: str
    budget: str
    agent: str
    model: str
    def __init__(self, description: _Optional[str] = ..., title: _Optional[str] = ..., task_type: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., budget: _Optional[str] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class Subtask(_message.Message):
    __slots__ = ("id", "title", "description", "status", "block_reason", "permission_level", "priority", "base_checkpoint_id", "result_checkpoint_id", "created_at", "completed_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    description: str
    status: str
    block_reason: str
    permission_level: str
    priority: str
    base_checkpoint_id: str
    result_checkpoint_id: str
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., status: _Optional[str] = ..., block_reason: _Optional[str] = ..., permission_level: _Optional[str] = ..., priority: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., result_checkpoint_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetSubtaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ListSubtasksRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSubtasksResponse(_message.Message):
    __slots__ = ("subtasks", "next_page_token")
    SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    subtasks: _containers.RepeatedCompositeFieldContainer[Subtask]
    next_page_token: str
    def __init__(self, subtasks: _Optional[_Iterable[_Union[Subtask, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RelayAgentCallRequest(_message.Message):
    __slots__ = ("execution_id", "machine_id", "lease_generation", "method", "request", "idempotency_key")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    machine_id: str
    lease_generation: int
    method: str
    request: bytes
    idempotency_key: str
    def __init__(self, execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., method: _Optional[str] = ..., request: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class RelayAgentCallResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    def __init__(self, response: _Optional[bytes] = ...) -> None: ...

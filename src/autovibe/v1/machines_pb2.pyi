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

class Machine(_message.Message):
    __slots__ = ("id", "machine_type", "status", "project_id", "parent_checkpoint_id", "last_checkpoint_id", "worker_id", "hypervisor", "vm_id", "vm_node", "original_prompt", "resource_constraints", "resource_usage", "current_progress", "error_message", "checkpoint_count", "spawned_at", "terminated_at", "metadata", "created_at", "updated_at", "parent_machine_id", "spawned_by_hub_id", "hub_vm_id", "file_modifications")
    ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    HYPERVISOR_FIELD_NUMBER: _ClassVar[int]
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    VM_NODE_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_PROMPT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USAGE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPAWNED_AT_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_AT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAWNED_BY_HUB_ID_FIELD_NUMBER: _ClassVar[int]
    HUB_VM_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_MODIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    machine_type: str
    status: str
    project_id: str
    parent_checkpoint_id: str
    last_checkpoint_id: str
    worker_id: str
    hypervisor: str
    vm_id: str
    vm_node: str
    original_prompt: str
    resource_constraints: _struct_pb2.Struct
    resource_usage: _struct_pb2.Struct
    current_progress: str
    error_message: str
    checkpoint_count: int
    spawned_at: _timestamp_pb2.Timestamp
    terminated_at: _timestamp_pb2.Timestamp
    metadata: _struct_pb2.Struct
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    parent_machine_id: str
    spawned_by_hub_id: str
    hub_vm_id: str
    file_modifications: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., machine_type: _Optional[str] = ..., status: _Optional[str] = ..., project_id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., last_checkpoint_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., hypervisor: _Optional[str] = ..., vm_id: _Optional[str] = ..., vm_node: _Optional[str] = ..., original_prompt: _Optional[str] = ..., resource_constraints: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., resource_usage: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., current_progress: _Optional[str] = ..., error_message: _Optional[str] = ..., checkpoint_count: _Optional[int] = ..., spawned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., terminated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent_machine_id: _Optional[str] = ..., spawned_by_hub_id: _Optional[str] = ..., hub_vm_id: _Optional[str] = ..., file_modifications: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetMachineRequest(_message.Message):
    __slots__ = ("machine_id",)
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    def __init__(self, machine_id: _Optional[str] = ...) -> None: ...

class ListMachinesRequest(_message.Message):
    __slots__ = ("project", "statuses", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMachinesResponse(_message.Message):
    __slots__ = ("machines", "next_page_token")
    MACHINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    machines: _containers.RepeatedCompositeFieldContainer[Machine]
    next_page_token: str
    def __init__(self, machines: _Optional[_Iterable[_Union[Machine, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CreateMachineRequest(_message.Message):
    __slots__ = ("id", "machine_type", "project_id", "parent_checkpoint_id", "worker_id", "hypervisor", "original_prompt", "resource_constraints", "instance_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    HYPERVISOR_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_PROMPT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    machine_type: str
    project_id: str
    parent_checkpoint_id: str
    worker_id: str
    hypervisor: str
    original_prompt: str
    resource_constraints: _struct_pb2.Struct
    instance_id: str
    def __init__(self, id: _Optional[str] = ..., machine_type: _Optional[str] = ..., project_id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., worker_id: _Optional[str] = ..., hypervisor: _Optional[str] = ..., original_prompt: _Optional[str] = ..., resource_constraints: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., instance_id: _Optional[str] = ...) -> None: ...

class UpdateMachineRequest(_message.Message):
    __slots__ = ("machine_id", "status", "vm_id", "pid", "error_message", "current_progress", "resource_usage")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USAGE_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    status: str
    vm_id: str
    pid: int
    error_message: str
    current_progress: str
    resource_usage: _struct_pb2.Struct
    def __init__(self, machine_id: _Optional[str] = ..., status: _Optional[str] = ..., vm_id: _Optional[str] = ..., pid: _Optional[int] = ..., error_message: _Optional[str] = ..., current_progress: _Optional[str] = ..., resource_usage: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class RecordConnectionsRequest(_message.Message):
    __slots__ = ("machine_id", "connections")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    connections: _containers.RepeatedCompositeFieldContainer[MachineConnection]
    def __init__(self, machine_id: _Optional[str] = ..., connections: _Optional[_Iterable[_Union[MachineConnection, _Mapping]]] = ...) -> None: ...

class MachineConnection(_message.Message):
    __slots__ = ("host", "port", "verdict", "reason", "address", "sent_bytes", "received_bytes", "duration_ms", "count", "ended_at")
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    host: str
    port: int
    verdict: str
    reason: str
    address: str
    sent_bytes: int
    received_bytes: int
    duration_ms: int
    count: int
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, host: _Optional[str] = ..., port: _Optional[int] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., address: _Optional[str] = ..., sent_bytes: _Optional[int] = ..., received_bytes: _Optional[int] = ..., duration_ms: _Optional[int] = ..., count: _Optional[int] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordConnectionsResponse(_message.Message):
    __slots__ = ("recorded",)
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    def __init__(self, recorded: _Optional[int] = ...) -> None: ...

class PurgeMachineRequest(_message.Message):
    __slots__ = ("machine_id", "dry_run")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    dry_run: bool
    def __init__(self, machine_id: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class PurgeMachineResponse(_message.Message):
    __slots__ = ("machine_id", "checkpoints", "stored_bytes")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    checkpoints: int
    stored_bytes: int
    def __init__(self, machine_id: _Optional[str] = ..., checkpoints: _Optional[int] = ..., stored_bytes: _Optional[int] = ...) -> None: ...

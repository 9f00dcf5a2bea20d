import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelCall(_message.Message):
    __slots__ = ("request_id", "execution_id", "machine_id", "model", "status", "request", "response", "upstream_status", "cost_cad", "tokens_used", "duration_ms", "created_at", "shortened")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    TOKENS_USED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SHORTENED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    execution_id: str
    machine_id: str
    model: str
    status: str
    request: str
    response: str
    upstream_status: int
    cost_cad: str
    tokens_used: int
    duration_ms: int
    created_at: _timestamp_pb2.Timestamp
    shortened: bool
    def __init__(self, request_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., model: _Optional[str] = ..., status: _Optional[str] = ..., request: _Optional[str] = ..., response: _Optional[str] = ..., upstream_status: _Optional[int] = ..., cost_cad: _Optional[str] = ..., tokens_used: _Optional[int] = ..., duration_ms: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shortened: _Optional[bool] = ...) -> None: ...

class KeepModelCallRequest(_message.Message):
    __slots__ = ("request_id", "execution_id", "machine_id", "model", "status", "request", "response", "upstream_status", "cost_cad", "tokens_used", "duration_ms", "shortened")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    TOKENS_USED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    SHORTENED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    execution_id: str
    machine_id: str
    model: str
    status: str
    request: str
    response: str
    upstream_status: int
    cost_cad: str
    tokens_used: int
    duration_ms: int
    shortened: bool
    def __init__(self, request_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., model: _Optional[str] = ..., status: _Optional[str] = ..., request: _Optional[str] = ..., response: _Optional[str] = ..., upstream_status: _Optional[int] = ..., cost_cad: _Optional[str] = ..., tokens_used: _Optional[int] = ..., duration_ms: _Optional[int] = ..., shortened: _Optional[bool] = ...) -> None: ...

class KeepModelCallResponse(_message.Message):
    __slots__ = ("kept",)
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kept: bool
    def __init__(self, kept: _Optional[bool] = ...) -> None: ...

class GetModelCallRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

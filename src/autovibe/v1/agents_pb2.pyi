from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApprovalDetails(_message.Message):
    __slots__ = ("tool", "input", "cwd", "text", "amount", "unit", "tool_use_id", "fingerprint")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    tool: str
    input: _struct_pb2.Struct
    cwd: str
    text: str
    amount: str
    unit: str
    tool_use_id: str
    fingerprint: str
    def __init__(self, tool: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., cwd: _Optional[str] = ..., text: _Optional[str] = ..., amount: _Optional[str] = ..., unit: _Optional[str] = ..., tool_use_id: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class ApprovalAnswer(_message.Message):
    __slots__ = ("choice", "text", "by", "identical", "delivered")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    choice: str
    text: str
    by: str
    identical: bool
    delivered: bool
    def __init__(self, choice: _Optional[str] = ..., text: _Optional[str] = ..., by: _Optional[str] = ..., identical: _Optional[bool] = ..., delivered: _Optional[bool] = ...) -> None: ...

class AgentResult(_message.Message):
    __slots__ = ("output", "stop_reason", "error", "data")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    output: str
    stop_reason: str
    error: str
    data: _struct_pb2.Struct
    def __init__(self, output: _Optional[str] = ..., stop_reason: _Optional[str] = ..., error: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class RoundTableParticipant(_message.Message):
    __slots__ = ("provider", "model", "response", "score", "latency_ms", "error")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    response: str
    score: float
    latency_ms: int
    error: str
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., response: _Optional[str] = ..., score: _Optional[float] = ..., latency_ms: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_KIND_UNSPECIFIED: _ClassVar[OperationKind]
    OPERATION_KIND_READ: _ClassVar[OperationKind]
    OPERATION_KIND_WRITE: _ClassVar[OperationKind]
    OPERATION_KIND_LONG: _ClassVar[OperationKind]

class Audience(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIENCE_UNSPECIFIED: _ClassVar[Audience]
    AUDIENCE_PEOPLE: _ClassVar[Audience]
    AUDIENCE_MACHINE: _ClassVar[Audience]
    AUDIENCE_INTERNAL: _ClassVar[Audience]

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_UUID: _ClassVar[Format]
    FORMAT_DECIMAL: _ClassVar[Format]
    FORMAT_ID_PREFIX: _ClassVar[Format]
    FORMAT_AMOUNT: _ClassVar[Format]
    FORMAT_PAGE_TOKEN: _ClassVar[Format]
OPERATION_KIND_UNSPECIFIED: OperationKind
OPERATION_KIND_READ: OperationKind
OPERATION_KIND_WRITE: OperationKind
OPERATION_KIND_LONG: OperationKind
AUDIENCE_UNSPECIFIED: Audience
AUDIENCE_PEOPLE: Audience
AUDIENCE_MACHINE: Audience
AUDIENCE_INTERNAL: Audience
FORMAT_UNSPECIFIED: Format
FORMAT_UUID: Format
FORMAT_DECIMAL: Format
FORMAT_ID_PREFIX: Format
FORMAT_AMOUNT: Format
FORMAT_PAGE_TOKEN: Format
OPERATION_FIELD_NUMBER: _ClassVar[int]
operation: _descriptor.FieldDescriptor
RULE_FIELD_NUMBER: _ClassVar[int]
rule: _descriptor.FieldDescriptor

class Operation(_message.Message):
    __slots__ = ("kind", "audience", "permission", "errors", "idempotent", "unaudited", "anonymous", "answers_once")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    UNAUDITED_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_ONCE_FIELD_NUMBER: _ClassVar[int]
    kind: OperationKind
    audience: Audience
    permission: str
    errors: _containers.RepeatedScalarFieldContainer[str]
    idempotent: bool
    unaudited: bool
    anonymous: bool
    answers_once: bool
    def __init__(self, kind: _Optional[_Union[OperationKind, str]] = ..., audience: _Optional[_Union[Audience, str]] = ..., permission: _Optional[str] = ..., errors: _Optional[_Iterable[str]] = ..., idempotent: _Optional[bool] = ..., unaudited: _Optional[bool] = ..., anonymous: _Optional[bool] = ..., answers_once: _Optional[bool] = ...) -> None: ...

class FieldRule(_message.Message):
    __slots__ = ("required", "min_len", "max_len", "pattern", "one_of", "ge", "le", "format", "says")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    MIN_LEN_FIELD_NUMBER: _ClassVar[int]
    MAX_LEN_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    ONE_OF_FIELD_NUMBER: _ClassVar[int]
    GE_FIELD_NUMBER: _ClassVar[int]
    LE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAYS_FIELD_NUMBER: _ClassVar[int]
    required: bool
    min_len: int
    max_len: int
    pattern: str
    one_of: _containers.RepeatedScalarFieldContainer[str]
    ge: float
    le: float
    format: Format
    says: str
    def __init__(self, required: _Optional[bool] = ..., min_len: _Optional[int] = ..., max_len: _Optional[int] = ..., pattern: _Optional[str] = ..., one_of: _Optional[_Iterable[str]] = ..., ge: _Optional[float] = ..., le: _Optional[float] = ..., format: _Optional[_Union[Format, str]] = ..., says: _Optional[str] = ...) -> None: ...

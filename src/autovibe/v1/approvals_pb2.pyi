import datetime

from autovibe.v1 import agents_pb2 as _agents_pb2
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

class Approval(_message.Message):
    __slots__ = ("id", "task_id", "task_title", "project_id", "project_name", "execution_id", "machine_id", "conversation_id", "kind", "title", "details", "options", "default_answer", "deadline_at", "status", "answer", "answered_by", "answered_at", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TITLE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    task_title: str
    project_id: str
    project_name: str
    execution_id: str
    machine_id: str
    conversation_id: str
    kind: str
    title: str
    details: _agents_pb2.ApprovalDetails
    options: _containers.RepeatedScalarFieldContainer[str]
    default_answer: str
    deadline_at: _timestamp_pb2.Timestamp
    status: str
    answer: _agents_pb2.ApprovalAnswer
    answered_by: str
    answered_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., task_title: _Optional[str] = ..., project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., details: _Optional[_Union[_agents_pb2.ApprovalDetails, _Mapping]] = ..., options: _Optional[_Iterable[str]] = ..., default_answer: _Optional[str] = ..., deadline_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[str] = ..., answer: _Optional[_Union[_agents_pb2.ApprovalAnswer, _Mapping]] = ..., answered_by: _Optional[str] = ..., answered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("statuses", "kinds", "project", "task_id", "page_size", "page_token")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    project: str
    task_id: str
    page_size: int
    page_token: str
    def __init__(self, statuses: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[str]] = ..., project: _Optional[str] = ..., task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("approval_id",)
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    def __init__(self, approval_id: _Optional[str] = ...) -> None: ...

class AnswerApprovalRequest(_message.Message):
    __slots__ = ("approval_id", "choice", "text", "identical")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    choice: str
    text: str
    identical: bool
    def __init__(self, approval_id: _Optional[str] = ..., choice: _Optional[str] = ..., text: _Optional[str] = ..., identical: _Optional[bool] = ...) -> None: ...

class AnswerApprovalResponse(_message.Message):
    __slots__ = ("approval", "also_answered_ids", "task_status")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    ALSO_ANSWERED_IDS_FIELD_NUMBER: _ClassVar[int]
    TASK_STATUS_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    also_answered_ids: _containers.RepeatedScalarFieldContainer[str]
    task_status: str
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ..., also_answered_ids: _Optional[_Iterable[str]] = ..., task_status: _Optional[str] = ...) -> None: ...

class CancelApprovalRequest(_message.Message):
    __slots__ = ("approval_id",)
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    def __init__(self, approval_id: _Optional[str] = ...) -> None: ...

class RequestApplyRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class PermissionPolicy(_message.Message):
    __slots__ = ("rules", "default_effect", "inherited")
    RULES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_EFFECT_FIELD_NUMBER: _ClassVar[int]
    INHERITED_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[PermissionRule]
    default_effect: str
    inherited: bool
    def __init__(self, rules: _Optional[_Iterable[_Union[PermissionRule, _Mapping]]] = ..., default_effect: _Optional[str] = ..., inherited: _Optional[bool] = ...) -> None: ...

class PermissionRule(_message.Message):
    __slots__ = ("effect", "tool", "command", "path")
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    effect: str
    tool: str
    command: str
    path: str
    def __init__(self, effect: _Optional[str] = ..., tool: _Optional[str] = ..., command: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class GetPermissionPolicyRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class SetPermissionPolicyRequest(_message.Message):
    __slots__ = ("project", "policy")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    project: str
    policy: PermissionPolicy
    def __init__(self, project: _Optional[str] = ..., policy: _Optional[_Union[PermissionPolicy, _Mapping]] = ...) -> None: ...

class AskApprovalRequest(_message.Message):
    __slots__ = ("execution_id", "lease_generation", "kind", "tool", "input", "cwd", "tool_use_id", "text", "options", "default_answer", "paths")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    lease_generation: int
    kind: str
    tool: str
    input: _struct_pb2.Struct
    cwd: str
    tool_use_id: str
    text: str
    options: _containers.RepeatedScalarFieldContainer[str]
    default_answer: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, execution_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., kind: _Optional[str] = ..., tool: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., cwd: _Optional[str] = ..., tool_use_id: _Optional[str] = ..., text: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ..., default_answer: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class AskApprovalResponse(_message.Message):
    __slots__ = ("verdict", "approval_id", "message", "decided_by", "deadline_at")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_AT_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    approval_id: str
    message: str
    decided_by: str
    deadline_at: _timestamp_pb2.Timestamp
    def __init__(self, verdict: _Optional[str] = ..., approval_id: _Optional[str] = ..., message: _Optional[str] = ..., decided_by: _Optional[str] = ..., deadline_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WaitForApprovalRequest(_message.Message):
    __slots__ = ("approval_id", "wait_s")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    wait_s: int
    def __init__(self, approval_id: _Optional[str] = ..., wait_s: _Optional[int] = ...) -> None: ...

class WaitForApprovalResponse(_message.Message):
    __slots__ = ("decided",)
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    decided: bool
    def __init__(self, decided: _Optional[bool] = ...) -> None: ...

class ReleaseApprovalsRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class ReleaseApprovalsResponse(_message.Message):
    __slots__ = ("withdrawn",)
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    withdrawn: int
    def __init__(self, withdrawn: _Optional[int] = ...) -> None: ...

import datetime

from autovibe.v1 import agents_pb2 as _agents_pb2
from autovibe.v1 import options_pb2 as _options_pb2
from autovibe.v1 import work_pb2 as _work_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamTaskLogsRequest(_message.Message):
    __slots__ = ("task_id", "cursor", "level", "kinds", "events", "stream", "search", "since")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    cursor: str
    level: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedScalarFieldContainer[str]
    stream: str
    search: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., cursor: _Optional[str] = ..., level: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[str]] = ..., stream: _Optional[str] = ..., search: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamExecutionLogsRequest(_message.Message):
    __slots__ = ("execution_id", "cursor", "level", "kinds", "events", "stream", "search", "since")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    cursor: str
    level: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedScalarFieldContainer[str]
    stream: str
    search: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, execution_id: _Optional[str] = ..., cursor: _Optional[str] = ..., level: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[str]] = ..., stream: _Optional[str] = ..., search: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListExecutionLogsRequest(_message.Message):
    __slots__ = ("execution_id", "cursor", "page_size", "level", "kinds", "events", "stream", "search", "since")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    cursor: str
    page_size: int
    level: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedScalarFieldContainer[str]
    stream: str
    search: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, execution_id: _Optional[str] = ..., cursor: _Optional[str] = ..., page_size: _Optional[int] = ..., level: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[str]] = ..., stream: _Optional[str] = ..., search: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListExecutionLogsResponse(_message.Message):
    __slots__ = ("entries", "next_cursor", "ended")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_work_pb2.LogEntry]
    next_cursor: str
    ended: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[_work_pb2.LogEntry, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., ended: _Optional[bool] = ...) -> None: ...

class ListExecutionsRequest(_message.Message):
    __slots__ = ("task_id", "project", "statuses", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    project: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., project: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_page_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[_work_pb2.Execution]
    next_page_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[_work_pb2.Execution, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class ExecutionDetails(_message.Message):
    __slots__ = ("execution", "agent_runs", "findings", "agent_tool_calls", "gateway_tool_calls", "stdout_log", "stderr_log")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    AGENT_RUNS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    AGENT_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    STDOUT_LOG_FIELD_NUMBER: _ClassVar[int]
    STDERR_LOG_FIELD_NUMBER: _ClassVar[int]
    execution: _work_pb2.Execution
    agent_runs: _containers.RepeatedCompositeFieldContainer[AgentRun]
    findings: _containers.RepeatedCompositeFieldContainer[ToolFinding]
    agent_tool_calls: int
    gateway_tool_calls: int
    stdout_log: str
    stderr_log: str
    def __init__(self, execution: _Optional[_Union[_work_pb2.Execution, _Mapping]] = ..., agent_runs: _Optional[_Iterable[_Union[AgentRun, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[ToolFinding, _Mapping]]] = ..., agent_tool_calls: _Optional[int] = ..., gateway_tool_calls: _Optional[int] = ..., stdout_log: _Optional[str] = ..., stderr_log: _Optional[str] = ...) -> None: ...

class AgentRun(_message.Message):
    __slots__ = ("id", "run_id", "execution_id", "machine_id", "agent_name", "prompt", "status", "result", "tokens_used", "duration_ms", "created_at", "completed_at", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_USED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    run_id: str
    execution_id: str
    machine_id: str
    agent_name: str
    prompt: str
    status: str
    result: _agents_pb2.AgentResult
    tokens_used: int
    duration_ms: int
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., run_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., agent_name: _Optional[str] = ..., prompt: _Optional[str] = ..., status: _Optional[str] = ..., result: _Optional[_Union[_agents_pb2.AgentResult, _Mapping]] = ..., tokens_used: _Optional[int] = ..., duration_ms: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ListToolCallsRequest(_message.Message):
    __slots__ = ("execution_id", "source", "page_size", "page_token")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    source: str
    page_size: int
    page_token: str
    def __init__(self, execution_id: _Optional[str] = ..., source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListToolCallsResponse(_message.Message):
    __slots__ = ("tool_calls", "next_page_token")
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tool_calls: _containers.RepeatedCompositeFieldContainer[ToolCall]
    next_page_token: str
    def __init__(self, tool_calls: _Optional[_Iterable[_Union[ToolCall, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("id", "correlation_id", "tool_use_id", "tool_name", "source", "agent_id", "agent_run_id", "inputs", "outputs", "status", "error_message", "duration_ms", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    correlation_id: str
    tool_use_id: str
    tool_name: str
    source: str
    agent_id: str
    agent_run_id: str
    inputs: _struct_pb2.Struct
    outputs: _struct_pb2.Struct
    status: str
    error_message: str
    duration_ms: int
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., tool_use_id: _Optional[str] = ..., tool_name: _Optional[str] = ..., source: _Optional[str] = ..., agent_id: _Optional[str] = ..., agent_run_id: _Optional[str] = ..., inputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., outputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., status: _Optional[str] = ..., error_message: _Optional[str] = ..., duration_ms: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ToolFinding(_message.Message):
    __slots__ = ("tool_use_id", "tool_name", "kind", "message")
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    tool_use_id: str
    tool_name: str
    kind: str
    message: str
    def __init__(self, tool_use_id: _Optional[str] = ..., tool_name: _Optional[str] = ..., kind: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class RecordAgentWorkRequest(_message.Message):
    __slots__ = ("execution_id", "lease_generation", "run", "tool_calls")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    lease_generation: int
    run: AgentRunReport
    tool_calls: _containers.RepeatedCompositeFieldContainer[ToolCallReport]
    def __init__(self, execution_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., run: _Optional[_Union[AgentRunReport, _Mapping]] = ..., tool_calls: _Optional[_Iterable[_Union[ToolCallReport, _Mapping]]] = ...) -> None: ...

class AgentRunReport(_message.Message):
    __slots__ = ("machine_id", "agent_name", "prompt", "status", "result", "tokens_used", "duration_ms", "metadata")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_USED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    agent_name: str
    prompt: str
    status: str
    result: _agents_pb2.AgentResult
    tokens_used: int
    duration_ms: int
    metadata: _struct_pb2.Struct
    def __init__(self, machine_id: _Optional[str] = ..., agent_name: _Optional[str] = ..., prompt: _Optional[str] = ..., status: _Optional[str] = ..., result: _Optional[_Union[_agents_pb2.AgentResult, _Mapping]] = ..., tokens_used: _Optional[int] = ..., duration_ms: _Optional[int] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ToolCallReport(_message.Message):
    __slots__ = ("tool_use_id", "source", "tool_name", "inputs", "outputs", "status", "error_message", "duration_ms", "created_at", "inputs_hash")
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TOOL_NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_HASH_FIELD_NUMBER: _ClassVar[int]
    tool_use_id: str
    source: str
    tool_name: str
    inputs: _struct_pb2.Struct
    outputs: _struct_pb2.Struct
    status: str
    error_message: str
    duration_ms: int
    created_at: _timestamp_pb2.Timestamp
    inputs_hash: str
    def __init__(self, tool_use_id: _Optional[str] = ..., source: _Optional[str] = ..., tool_name: _Optional[str] = ..., inputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., outputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., status: _Optional[str] = ..., error_message: _Optional[str] = ..., duration_ms: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inputs_hash: _Optional[str] = ...) -> None: ...

class RecordAgentWorkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuditUsageRequest(_message.Message):
    __slots__ = ("project", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class AuditUsageResponse(_message.Message):
    __slots__ = ("differences", "next_page_token", "budgets", "days", "calls", "repriced")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    REPRICED_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[UsageDifference]
    next_page_token: str
    budgets: int
    days: int
    calls: int
    repriced: int
    def __init__(self, differences: _Optional[_Iterable[_Union[UsageDifference, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., budgets: _Optional[int] = ..., days: _Optional[int] = ..., calls: _Optional[int] = ..., repriced: _Optional[int] = ...) -> None: ...

class UsageDifference(_message.Message):
    __slots__ = ("kind", "project_id", "project_name", "resource_type", "unit", "recorded_amount", "expected_amount", "difference_amount", "budget_id", "task_id", "budget_period", "period_start", "usage_date", "reservation_id", "measure", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_PERIOD_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    USAGE_DATE_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    project_id: str
    project_name: str
    resource_type: str
    unit: str
    recorded_amount: str
    expected_amount: str
    difference_amount: str
    budget_id: str
    task_id: str
    budget_period: str
    period_start: str
    usage_date: str
    reservation_id: str
    measure: str
    message: str
    def __init__(self, kind: _Optional[str] = ..., project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., resource_type: _Optional[str] = ..., unit: _Optional[str] = ..., recorded_amount: _Optional[str] = ..., expected_amount: _Optional[str] = ..., difference_amount: _Optional[str] = ..., budget_id: _Optional[str] = ..., task_id: _Optional[str] = ..., budget_period: _Optional[str] = ..., period_start: _Optional[str] = ..., usage_date: _Optional[str] = ..., reservation_id: _Optional[str] = ..., measure: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class RebuildUsageRequest(_message.Message):
    __slots__ = ("project", "dry_run", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    dry_run: bool
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., dry_run: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RebuildUsageResponse(_message.Message):
    __slots__ = ("calls", "next_page_token")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[RebuiltCall]
    next_page_token: str
    def __init__(self, calls: _Optional[_Iterable[_Union[RebuiltCall, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RebuiltCall(_message.Message):
    __slots__ = ("reservation_id", "project_id", "project_name", "execution_id", "recorded_at", "model", "cost_cad", "rows", "source")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    project_id: str
    project_name: str
    execution_id: str
    recorded_at: _timestamp_pb2.Timestamp
    model: str
    cost_cad: str
    rows: int
    source: str
    def __init__(self, reservation_id: _Optional[str] = ..., project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., execution_id: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., cost_cad: _Optional[str] = ..., rows: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

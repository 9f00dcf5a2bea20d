import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from autovibe.v1 import usage_pb2 as _usage_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Budget(_message.Message):
    __slots__ = ("id", "project_id", "task_id", "resource_type", "budget_period", "period_start", "period_end", "allocated_amount", "used_amount", "reserved_amount", "available_amount", "unit", "auto_reset", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_PERIOD_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RESERVED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    AUTO_RESET_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    task_id: str
    resource_type: str
    budget_period: str
    period_start: str
    period_end: str
    allocated_amount: str
    used_amount: str
    reserved_amount: str
    available_amount: str
    unit: str
    auto_reset: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., task_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., budget_period: _Optional[str] = ..., period_start: _Optional[str] = ..., period_end: _Optional[str] = ..., allocated_amount: _Optional[str] = ..., used_amount: _Optional[str] = ..., reserved_amount: _Optional[str] = ..., available_amount: _Optional[str] = ..., unit: _Optional[str] = ..., auto_reset: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetBudgetRequest(_message.Message):
    __slots__ = ("project", "task_id", "resource_type", "amount", "budget_period", "force")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_PERIOD_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    project: str
    task_id: str
    resource_type: str
    amount: str
    budget_period: str
    force: bool
    def __init__(self, project: _Optional[str] = ..., task_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., amount: _Optional[str] = ..., budget_period: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class RaiseBudgetRequest(_message.Message):
    __slots__ = ("project", "task_id", "resource_type", "amount", "budget_period")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_PERIOD_FIELD_NUMBER: _ClassVar[int]
    project: str
    task_id: str
    resource_type: str
    amount: str
    budget_period: str
    def __init__(self, project: _Optional[str] = ..., task_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., amount: _Optional[str] = ..., budget_period: _Optional[str] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("project", "task_id", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    task_id: str
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("project", "task_id", "execution_id", "since")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    project: str
    task_id: str
    execution_id: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, project: _Optional[str] = ..., task_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UsageReport(_message.Message):
    __slots__ = ("lines", "cost_cad", "api_calls", "rate", "uncertain_calls")
    LINES_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    API_CALLS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_CALLS_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[UsageLine]
    cost_cad: str
    api_calls: int
    rate: ExchangeRate
    uncertain_calls: int
    def __init__(self, lines: _Optional[_Iterable[_Union[UsageLine, _Mapping]]] = ..., cost_cad: _Optional[str] = ..., api_calls: _Optional[int] = ..., rate: _Optional[_Union[ExchangeRate, _Mapping]] = ..., uncertain_calls: _Optional[int] = ...) -> None: ...

class UsageLine(_message.Message):
    __slots__ = ("project_id", "resource_type", "resource_subtype", "amount", "unit", "cost_cad", "rows", "model")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    resource_type: str
    resource_subtype: str
    amount: str
    unit: str
    cost_cad: str
    rows: int
    model: str
    def __init__(self, project_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_subtype: _Optional[str] = ..., amount: _Optional[str] = ..., unit: _Optional[str] = ..., cost_cad: _Optional[str] = ..., rows: _Optional[int] = ..., model: _Optional[str] = ...) -> None: ...

class ListDailyUsageRequest(_message.Message):
    __slots__ = ("project", "since", "until", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDailyUsageResponse(_message.Message):
    __slots__ = ("days", "next_page_token")
    DAYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    days: _containers.RepeatedCompositeFieldContainer[DailyUsage]
    next_page_token: str
    def __init__(self, days: _Optional[_Iterable[_Union[DailyUsage, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DailyUsage(_message.Message):
    __slots__ = ("project_id", "project_name", "usage_date", "resource_type", "unit", "amount", "cost_cad", "rows")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    USAGE_DATE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    project_name: str
    usage_date: str
    resource_type: str
    unit: str
    amount: str
    cost_cad: str
    rows: int
    def __init__(self, project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., usage_date: _Optional[str] = ..., resource_type: _Optional[str] = ..., unit: _Optional[str] = ..., amount: _Optional[str] = ..., cost_cad: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class ListPathHistoryRequest(_message.Message):
    __slots__ = ("project", "path", "home", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    path: str
    home: bool
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., path: _Optional[str] = ..., home: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPathHistoryResponse(_message.Message):
    __slots__ = ("changes", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[PathChange]
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[PathChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PathChange(_message.Message):
    __slots__ = ("checkpoint_id", "checkpoint_type", "created_at", "deleted", "machine_id", "machine_type", "cost_cad")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPE_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    checkpoint_type: str
    created_at: _timestamp_pb2.Timestamp
    deleted: bool
    machine_id: str
    machine_type: str
    cost_cad: str
    def __init__(self, checkpoint_id: _Optional[str] = ..., checkpoint_type: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted: _Optional[bool] = ..., machine_id: _Optional[str] = ..., machine_type: _Optional[str] = ..., cost_cad: _Optional[str] = ...) -> None: ...

class GetExchangeRateRequest(_message.Message):
    __slots__ = ("currency",)
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    currency: str
    def __init__(self, currency: _Optional[str] = ...) -> None: ...

class ExchangeRate(_message.Message):
    __slots__ = ("currency", "rate_to_cad", "valid_from", "source", "stale")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_TO_CAD_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    currency: str
    rate_to_cad: str
    valid_from: _timestamp_pb2.Timestamp
    source: str
    stale: bool
    def __init__(self, currency: _Optional[str] = ..., rate_to_cad: _Optional[str] = ..., valid_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., stale: _Optional[bool] = ...) -> None: ...

class ListExchangeRatesRequest(_message.Message):
    __slots__ = ("currency", "page_size", "page_token")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    currency: str
    page_size: int
    page_token: str
    def __init__(self, currency: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExchangeRatesResponse(_message.Message):
    __slots__ = ("rates", "next_page_token")
    RATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedCompositeFieldContainer[ExchangeRate]
    next_page_token: str
    def __init__(self, rates: _Optional[_Iterable[_Union[ExchangeRate, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DatedRate(_message.Message):
    __slots__ = ("currency", "rate_to_cad", "valid_from", "source")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_TO_CAD_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    currency: str
    rate_to_cad: str
    valid_from: str
    source: str
    def __init__(self, currency: _Optional[str] = ..., rate_to_cad: _Optional[str] = ..., valid_from: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class ImportExchangeRatesRequest(_message.Message):
    __slots__ = ("rates",)
    RATES_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedCompositeFieldContainer[DatedRate]
    def __init__(self, rates: _Optional[_Iterable[_Union[DatedRate, _Mapping]]] = ...) -> None: ...

class ImportExchangeRatesResponse(_message.Message):
    __slots__ = ("added", "unchanged")
    ADDED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    added: int
    unchanged: int
    def __init__(self, added: _Optional[int] = ..., unchanged: _Optional[int] = ...) -> None: ...

class GetParkedCallsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ParkedCalls(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[ParkedProviderKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[ParkedProviderKey, _Mapping]]] = ...) -> None: ...

class ParkedProviderKey(_message.Message):
    __slots__ = ("upstream", "opens_at", "oldest_wait_s", "projects")
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    OPENS_AT_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    opens_at: _timestamp_pb2.Timestamp
    oldest_wait_s: int
    projects: _containers.RepeatedCompositeFieldContainer[ParkedProject]
    def __init__(self, upstream: _Optional[str] = ..., opens_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., oldest_wait_s: _Optional[int] = ..., projects: _Optional[_Iterable[_Union[ParkedProject, _Mapping]]] = ...) -> None: ...

class ParkedProject(_message.Message):
    __slots__ = ("project_id", "calls")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    calls: int
    def __init__(self, project_id: _Optional[str] = ..., calls: _Optional[int] = ...) -> None: ...

class ResourceAmount(_message.Message):
    __slots__ = ("resource_type", "amount")
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    resource_type: str
    amount: str
    def __init__(self, resource_type: _Optional[str] = ..., amount: _Optional[str] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("id", "project_id", "task_id", "machine_id", "execution_id", "work_order_id", "lease_generation", "instance_id", "idempotency_key", "amounts", "money_floor", "terms", "ttl_s", "provider_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    MONEY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    task_id: str
    machine_id: str
    execution_id: str
    work_order_id: str
    lease_generation: int
    instance_id: str
    idempotency_key: str
    amounts: _containers.RepeatedCompositeFieldContainer[ResourceAmount]
    money_floor: str
    terms: CallTerms
    ttl_s: int
    provider_key: str
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., task_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., work_order_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., instance_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., amounts: _Optional[_Iterable[_Union[ResourceAmount, _Mapping]]] = ..., money_floor: _Optional[str] = ..., terms: _Optional[_Union[CallTerms, _Mapping]] = ..., ttl_s: _Optional[int] = ..., provider_key: _Optional[str] = ...) -> None: ...

class CallTerms(_message.Message):
    __slots__ = ("provider", "model", "price_source", "currency", "rate_to_cad", "rate_date", "unit_prices", "input_bound_tokens", "output_bound_tokens")
    class UnitPricesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_TO_CAD_FIELD_NUMBER: _ClassVar[int]
    RATE_DATE_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICES_FIELD_NUMBER: _ClassVar[int]
    INPUT_BOUND_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BOUND_TOKENS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    price_source: str
    currency: str
    rate_to_cad: str
    rate_date: str
    unit_prices: _containers.ScalarMap[str, str]
    input_bound_tokens: int
    output_bound_tokens: int
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., price_source: _Optional[str] = ..., currency: _Optional[str] = ..., rate_to_cad: _Optional[str] = ..., rate_date: _Optional[str] = ..., unit_prices: _Optional[_Mapping[str, str]] = ..., input_bound_tokens: _Optional[int] = ..., output_bound_tokens: _Optional[int] = ...) -> None: ...

class ReserveManyRequest(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class ReserveManyResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[ReserveVerdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[ReserveVerdict, _Mapping]]] = ...) -> None: ...

class ReserveVerdict(_message.Message):
    __slots__ = ("id", "admitted", "money_held", "reason", "message", "shortage", "parked_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    MONEY_HELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SHORTAGE_FIELD_NUMBER: _ClassVar[int]
    PARKED_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    admitted: bool
    money_held: str
    reason: str
    message: str
    shortage: BudgetShortage
    parked_ms: int
    def __init__(self, id: _Optional[str] = ..., admitted: _Optional[bool] = ..., money_held: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., shortage: _Optional[_Union[BudgetShortage, _Mapping]] = ..., parked_ms: _Optional[int] = ...) -> None: ...

class BudgetShortage(_message.Message):
    __slots__ = ("budget", "needed_amount", "resets_at")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    NEEDED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    needed_amount: str
    resets_at: _timestamp_pb2.Timestamp
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., needed_amount: _Optional[str] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("id", "outcome", "amounts", "native_cost", "raw_usage", "estimated", "served_model", "upstream_status", "duration_ms", "held_back_ms", "provider_key", "parked_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_COST_FIELD_NUMBER: _ClassVar[int]
    RAW_USAGE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    SERVED_MODEL_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    HELD_BACK_MS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_KEY_FIELD_NUMBER: _ClassVar[int]
    PARKED_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    outcome: str
    amounts: _containers.RepeatedCompositeFieldContainer[ResourceAmount]
    native_cost: str
    raw_usage: _struct_pb2.Struct
    estimated: bool
    served_model: str
    upstream_status: int
    duration_ms: int
    held_back_ms: int
    provider_key: str
    parked_ms: int
    def __init__(self, id: _Optional[str] = ..., outcome: _Optional[str] = ..., amounts: _Optional[_Iterable[_Union[ResourceAmount, _Mapping]]] = ..., native_cost: _Optional[str] = ..., raw_usage: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., estimated: _Optional[bool] = ..., served_model: _Optional[str] = ..., upstream_status: _Optional[int] = ..., duration_ms: _Optional[int] = ..., held_back_ms: _Optional[int] = ..., provider_key: _Optional[str] = ..., parked_ms: _Optional[int] = ...) -> None: ...

class SettleManyRequest(_message.Message):
    __slots__ = ("settlements",)
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    settlements: _containers.RepeatedCompositeFieldContainer[Settlement]
    def __init__(self, settlements: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ...) -> None: ...

class SettleManyResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[SettleVerdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[SettleVerdict, _Mapping]]] = ...) -> None: ...

class SettleVerdict(_message.Message):
    __slots__ = ("id", "overrun", "duplicate", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    overrun: bool
    duplicate: bool
    reason: str
    def __init__(self, id: _Optional[str] = ..., overrun: _Optional[bool] = ..., duplicate: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class UsageSample(_message.Message):
    __slots__ = ("project_id", "machine_id", "execution_id", "resource_type", "resource_subtype", "amount", "unit", "cost_cad", "enforcement", "recorded_at", "metadata", "id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COST_CAD_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    machine_id: str
    execution_id: str
    resource_type: str
    resource_subtype: str
    amount: str
    unit: str
    cost_cad: str
    enforcement: str
    recorded_at: _timestamp_pb2.Timestamp
    metadata: UsageMetadata
    id: str
    def __init__(self, project_id: _Optional[str] = ..., machine_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_subtype: _Optional[str] = ..., amount: _Optional[str] = ..., unit: _Optional[str] = ..., cost_cad: _Optional[str] = ..., enforcement: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Union[UsageMetadata, _Mapping]] = ..., id: _Optional[str] = ...) -> None: ...

class RecordUsageManyRequest(_message.Message):
    __slots__ = ("samples",)
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    samples: _containers.RepeatedCompositeFieldContainer[UsageSample]
    def __init__(self, samples: _Optional[_Iterable[_Union[UsageSample, _Mapping]]] = ...) -> None: ...

class RecordUsageManyResponse(_message.Message):
    __slots__ = ("recorded",)
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    def __init__(self, recorded: _Optional[int] = ...) -> None: ...

class GetBudgetLevelsRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class GetBudgetLevelsResponse(_message.Message):
    __slots__ = ("levels",)
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    levels: _containers.RepeatedCompositeFieldContainer[BudgetLevel]
    def __init__(self, levels: _Optional[_Iterable[_Union[BudgetLevel, _Mapping]]] = ...) -> None: ...

class BudgetLevel(_message.Message):
    __slots__ = ("budget", "low", "exhausted", "message")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    low: bool
    exhausted: bool
    message: str
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., low: _Optional[bool] = ..., exhausted: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class RecoverReservationsRequest(_message.Message):
    __slots__ = ("instance_ids",)
    INSTANCE_IDS_FIELD_NUMBER: _ClassVar[int]
    instance_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RecoverReservationsResponse(_message.Message):
    __slots__ = ("released", "uncertain")
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    released: int
    uncertain: int
    def __init__(self, released: _Optional[int] = ..., uncertain: _Optional[int] = ...) -> None: ...

class UsageMetadata(_message.Message):
    __slots__ = ("terms", "native_cost", "raw_usage", "estimated", "uncertain", "served_model", "over_budget", "carried")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_COST_FIELD_NUMBER: _ClassVar[int]
    RAW_USAGE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    SERVED_MODEL_FIELD_NUMBER: _ClassVar[int]
    OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    terms: CallTerms
    native_cost: str
    raw_usage: _struct_pb2.Struct
    estimated: bool
    uncertain: bool
    served_model: str
    over_budget: bool
    carried: str
    def __init__(self, terms: _Optional[_Union[CallTerms, _Mapping]] = ..., native_cost: _Optional[str] = ..., raw_usage: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., estimated: _Optional[bool] = ..., uncertain: _Optional[bool] = ..., served_model: _Optional[str] = ..., over_budget: _Optional[bool] = ..., carried: _Optional[str] = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HubSystemMetrics(_message.Message):
    __slots__ = ("cpu_percent", "memory_percent", "disk_percent", "load_average")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    DISK_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LOAD_AVERAGE_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    load_average: float
    def __init__(self, cpu_percent: _Optional[float] = ..., memory_percent: _Optional[float] = ..., disk_percent: _Optional[float] = ..., load_average: _Optional[float] = ...) -> None: ...

class HubMetric(_message.Message):
    __slots__ = ("name", "value", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class HubSuccessMetrics(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[HubMetric]
    def __init__(self, targets: _Optional[_Iterable[_Union[HubMetric, _Mapping]]] = ...) -> None: ...

class HubPerformanceData(_message.Message):
    __slots__ = ("original", "experimental")
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTAL_FIELD_NUMBER: _ClassVar[int]
    original: _containers.RepeatedCompositeFieldContainer[HubMetric]
    experimental: _containers.RepeatedCompositeFieldContainer[HubMetric]
    def __init__(self, original: _Optional[_Iterable[_Union[HubMetric, _Mapping]]] = ..., experimental: _Optional[_Iterable[_Union[HubMetric, _Mapping]]] = ...) -> None: ...

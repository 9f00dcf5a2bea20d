from autovibe.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeStoreRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeStoreResponse(_message.Message):
    __slots__ = ("store_id", "instance_id")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    store_id: str
    instance_id: str
    def __init__(self, store_id: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class GetSnapshotObjectsRequest(_message.Message):
    __slots__ = ("root", "after")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    root: str
    after: str
    def __init__(self, root: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class GetSnapshotObjectsResponse(_message.Message):
    __slots__ = ("ids", "more")
    IDS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    more: bool
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ..., more: _Optional[bool] = ...) -> None: ...

class GetObjectsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetObjectsResponse(_message.Message):
    __slots__ = ("contents",)
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, contents: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FindMissingObjectsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FindMissingObjectsResponse(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StoreObject(_message.Message):
    __slots__ = ("id", "content")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    content: bytes
    def __init__(self, id: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class PutObjectsRequest(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[StoreObject]
    def __init__(self, objects: _Optional[_Iterable[_Union[StoreObject, _Mapping]]] = ...) -> None: ...

class PutObjectsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NameSnapshotRequest(_message.Message):
    __slots__ = ("checkpoint_id", "root")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    root: str
    def __init__(self, checkpoint_id: _Optional[str] = ..., root: _Optional[str] = ...) -> None: ...

class NameSnapshotResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

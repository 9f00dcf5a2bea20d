import datetime

from autovibe.v1 import options_pb2 as _options_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Job(_message.Message):
    __slots__ = ("name", "cron", "kind", "cheap", "in_database", "disabled", "last_success_at", "last_run_at", "last_status", "last_error", "last_affected_rows", "due_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHEAP_FIELD_NUMBER: _ClassVar[int]
    IN_DATABASE_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_AFFECTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    cron: str
    kind: str
    cheap: bool
    in_database: bool
    disabled: bool
    last_success_at: _timestamp_pb2.Timestamp
    last_run_at: _timestamp_pb2.Timestamp
    last_status: str
    last_error: str
    last_affected_rows: int
    due_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., cron: _Optional[str] = ..., kind: _Optional[str] = ..., cheap: _Optional[bool] = ..., in_database: _Optional[bool] = ..., disabled: _Optional[bool] = ..., last_success_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_run_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_status: _Optional[str] = ..., last_error: _Optional[str] = ..., last_affected_rows: _Optional[int] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetJobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class BeginJobRequest(_message.Message):
    __slots__ = ("job", "instance_id", "only_if_due")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ONLY_IF_DUE_FIELD_NUMBER: _ClassVar[int]
    job: str
    instance_id: str
    only_if_due: bool
    def __init__(self, job: _Optional[str] = ..., instance_id: _Optional[str] = ..., only_if_due: _Optional[bool] = ...) -> None: ...

class BeginJobResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class StepJobRequest(_message.Message):
    __slots__ = ("run_id", "job", "dry_run")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    job: str
    dry_run: bool
    def __init__(self, run_id: _Optional[str] = ..., job: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class StepJobResponse(_message.Message):
    __slots__ = ("affected_rows", "more")
    AFFECTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    affected_rows: int
    more: bool
    def __init__(self, affected_rows: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class EndJobRequest(_message.Message):
    __slots__ = ("run_id", "duration_ms", "error", "details", "affected_rows")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    duration_ms: int
    error: str
    details: _struct_pb2.Struct
    affected_rows: int
    def __init__(self, run_id: _Optional[str] = ..., duration_ms: _Optional[int] = ..., error: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., affected_rows: _Optional[int] = ...) -> None: ...

class EndJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisterJobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisterJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadArchivableRequest(_message.Message):
    __slots__ = ("what", "before", "cursor", "limit")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    what: str
    before: _timestamp_pb2.Timestamp
    cursor: str
    limit: int
    def __init__(self, what: _Optional[str] = ..., before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cursor: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ReadArchivableResponse(_message.Message):
    __slots__ = ("rows", "next_cursor", "keys", "first_at", "last_at", "revision")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedScalarFieldContainer[str]
    next_cursor: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    first_at: _timestamp_pb2.Timestamp
    last_at: _timestamp_pb2.Timestamp
    revision: str
    def __init__(self, rows: _Optional[_Iterable[str]] = ..., next_cursor: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., first_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class DeleteArchivedRequest(_message.Message):
    __slots__ = ("run_id", "what", "keys", "archive")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    what: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    archive: _struct_pb2.Struct
    def __init__(self, run_id: _Optional[str] = ..., what: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., archive: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class DeleteArchivedResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    def __init__(self, deleted: _Optional[int] = ...) -> None: ...

class InsertArchivedRequest(_message.Message):
    __slots__ = ("rows", "dry_run")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedScalarFieldContainer[str]
    dry_run: bool
    def __init__(self, rows: _Optional[_Iterable[str]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class InsertArchivedResponse(_message.Message):
    __slots__ = ("inserted", "present")
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    inserted: int
    present: int
    def __init__(self, inserted: _Optional[int] = ..., present: _Optional[int] = ...) -> None: ...

class ReconcileReferencesRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class ReconcileReferencesResponse(_message.Message):
    __slots__ = ("dropped", "garbage", "put_back", "lost", "lost_checkpoint_ids")
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    GARBAGE_FIELD_NUMBER: _ClassVar[int]
    PUT_BACK_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LOST_CHECKPOINT_IDS_FIELD_NUMBER: _ClassVar[int]
    dropped: int
    garbage: int
    put_back: int
    lost: int
    lost_checkpoint_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dropped: _Optional[int] = ..., garbage: _Optional[int] = ..., put_back: _Optional[int] = ..., lost: _Optional[int] = ..., lost_checkpoint_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class PruneStoreRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class PruneStoreResponse(_message.Message):
    __slots__ = ("objects_removed", "packs_removed", "stored_bytes_before", "stored_bytes_after", "held_bytes", "packs_kept")
    OBJECTS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    PACKS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_AFTER_FIELD_NUMBER: _ClassVar[int]
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PACKS_KEPT_FIELD_NUMBER: _ClassVar[int]
    objects_removed: int
    packs_removed: int
    stored_bytes_before: int
    stored_bytes_after: int
    held_bytes: int
    packs_kept: int
    def __init__(self, objects_removed: _Optional[int] = ..., packs_removed: _Optional[int] = ..., stored_bytes_before: _Optional[int] = ..., stored_bytes_after: _Optional[int] = ..., held_bytes: _Optional[int] = ..., packs_kept: _Optional[int] = ...) -> None: ...

class AuditStoreRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AuditStoreResponse(_message.Message):
    __slots__ = ("references", "objects", "bytes", "damaged_objects", "damaged", "damaged_checkpoint_ids", "repaired", "damaged_references")
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_CHECKPOINT_IDS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_REFERENCES_FIELD_NUMBER: _ClassVar[int]
    references: int
    objects: int
    bytes: int
    damaged_objects: int
    damaged: int
    damaged_checkpoint_ids: _containers.RepeatedScalarFieldContainer[str]
    repaired: int
    damaged_references: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, references: _Optional[int] = ..., objects: _Optional[int] = ..., bytes: _Optional[int] = ..., damaged_objects: _Optional[int] = ..., damaged: _Optional[int] = ..., damaged_checkpoint_ids: _Optional[_Iterable[str]] = ..., repaired: _Optional[int] = ..., damaged_references: _Optional[_Iterable[str]] = ...) -> None: ...

class ClaimVerificationRequest(_message.Message):
    __slots__ = ("locked_by",)
    LOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    locked_by: str
    def __init__(self, locked_by: _Optional[str] = ...) -> None: ...

class ClaimVerificationResponse(_message.Message):
    __slots__ = ("entry_id", "checkpoint_id", "attempt")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    checkpoint_id: str
    attempt: int
    def __init__(self, entry_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class FinishVerificationRequest(_message.Message):
    __slots__ = ("entry_id", "locked_by", "attempt", "error")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    LOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    locked_by: str
    attempt: int
    error: str
    def __init__(self, entry_id: _Optional[str] = ..., locked_by: _Optional[str] = ..., attempt: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class FinishVerificationResponse(_message.Message):
    __slots__ = ("stale",)
    STALE_FIELD_NUMBER: _ClassVar[int]
    stale: bool
    def __init__(self, stale: _Optional[bool] = ...) -> None: ...

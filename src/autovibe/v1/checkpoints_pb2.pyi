import datetime

from autovibe.v1 import machines_pb2 as _machines_pb2
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

class Checkpoint(_message.Message):
    __slots__ = ("id", "project_id", "parent_checkpoint_id", "creating_machine_id", "checkpoint_type", "depth", "hypervisor", "vm_id", "description", "creation_context", "size_bytes", "stored_bytes", "compression_ratio", "verification_status", "created_at", "verified_at", "pruned_at", "metadata", "manifest_root", "manifest_file_count", "agent_session_id", "last_settled_call_id", "consistency", "proxmox_snapshot_id", "detection", "damage", "damaged_at", "timing")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATING_MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    HYPERVISOR_FIELD_NUMBER: _ClassVar[int]
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATION_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_RATIO_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    PRUNED_AT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ROOT_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    AGENT_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SETTLED_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PROXMOX_SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_AT_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    parent_checkpoint_id: str
    creating_machine_id: str
    checkpoint_type: str
    depth: int
    hypervisor: str
    vm_id: str
    description: str
    creation_context: str
    size_bytes: int
    stored_bytes: int
    compression_ratio: str
    verification_status: str
    created_at: _timestamp_pb2.Timestamp
    verified_at: _timestamp_pb2.Timestamp
    pruned_at: _timestamp_pb2.Timestamp
    metadata: _struct_pb2.Struct
    manifest_root: str
    manifest_file_count: int
    agent_session_id: str
    last_settled_call_id: str
    consistency: str
    proxmox_snapshot_id: str
    detection: Detection
    damage: str
    damaged_at: _timestamp_pb2.Timestamp
    timing: CheckpointTiming
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., creating_machine_id: _Optional[str] = ..., checkpoint_type: _Optional[str] = ..., depth: _Optional[int] = ..., hypervisor: _Optional[str] = ..., vm_id: _Optional[str] = ..., description: _Optional[str] = ..., creation_context: _Optional[str] = ..., size_bytes: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., compression_ratio: _Optional[str] = ..., verification_status: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., verified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pruned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., manifest_root: _Optional[str] = ..., manifest_file_count: _Optional[int] = ..., agent_session_id: _Optional[str] = ..., last_settled_call_id: _Optional[str] = ..., consistency: _Optional[str] = ..., proxmox_snapshot_id: _Optional[str] = ..., detection: _Optional[_Union[Detection, _Mapping]] = ..., damage: _Optional[str] = ..., damaged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timing: _Optional[_Union[CheckpointTiming, _Mapping]] = ...) -> None: ...

class CheckpointTiming(_message.Message):
    __slots__ = ("frozen_ms", "total_ms")
    FROZEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    frozen_ms: float
    total_ms: float
    def __init__(self, frozen_ms: _Optional[float] = ..., total_ms: _Optional[float] = ...) -> None: ...

class Detection(_message.Message):
    __slots__ = ("method", "audited", "missed")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AUDITED_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    method: str
    audited: bool
    missed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, method: _Optional[str] = ..., audited: _Optional[bool] = ..., missed: _Optional[_Iterable[str]] = ...) -> None: ...

class FileEntry(_message.Message):
    __slots__ = ("path", "kind", "size", "sha256", "mode", "modified_at", "link_target")
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    LINK_TARGET_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: str
    size: int
    sha256: str
    mode: str
    modified_at: _timestamp_pb2.Timestamp
    link_target: str
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., mode: _Optional[str] = ..., modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link_target: _Optional[str] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("path", "change")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    path: str
    change: str
    def __init__(self, path: _Optional[str] = ..., change: _Optional[str] = ...) -> None: ...

class FileManifest(_message.Message):
    __slots__ = ("files", "deleted", "relative_to", "truncated")
    FILES_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_TO_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    deleted: _containers.RepeatedScalarFieldContainer[str]
    relative_to: str
    truncated: bool
    def __init__(self, files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ..., deleted: _Optional[_Iterable[str]] = ..., relative_to: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class ManifestFile(_message.Message):
    __slots__ = ("path", "size", "sha256", "modified_at")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    sha256: str
    modified_at: _timestamp_pb2.Timestamp
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., modified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ImportDirectoryRequest(_message.Message):
    __slots__ = ("project", "directory", "exclude", "include_secrets")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SECRETS_FIELD_NUMBER: _ClassVar[int]
    project: str
    directory: str
    exclude: _containers.RepeatedScalarFieldContainer[str]
    include_secrets: bool
    def __init__(self, project: _Optional[str] = ..., directory: _Optional[str] = ..., exclude: _Optional[_Iterable[str]] = ..., include_secrets: _Optional[bool] = ...) -> None: ...

class ImportDirectoryResponse(_message.Message):
    __slots__ = ("checkpoint", "reused", "excluded", "head_commit", "dirty")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    DIRTY_FIELD_NUMBER: _ClassVar[int]
    checkpoint: Checkpoint
    reused: bool
    excluded: _containers.RepeatedScalarFieldContainer[str]
    head_commit: str
    dirty: bool
    def __init__(self, checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., reused: _Optional[bool] = ..., excluded: _Optional[_Iterable[str]] = ..., head_commit: _Optional[str] = ..., dirty: _Optional[bool] = ...) -> None: ...

class ScanSecretsRequest(_message.Message):
    __slots__ = ("project", "directory", "exclude")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    project: str
    directory: str
    exclude: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., directory: _Optional[str] = ..., exclude: _Optional[_Iterable[str]] = ...) -> None: ...

class ScanSecretsResponse(_message.Message):
    __slots__ = ("findings",)
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[SecretFinding]
    def __init__(self, findings: _Optional[_Iterable[_Union[SecretFinding, _Mapping]]] = ...) -> None: ...

class SecretFinding(_message.Message):
    __slots__ = ("path", "why")
    PATH_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    path: str
    why: str
    def __init__(self, path: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id",)
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("project", "machine_id", "page_size", "page_token", "machine_ids")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MACHINE_IDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    machine_id: str
    page_size: int
    page_token: str
    machine_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., machine_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., machine_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "next_page_token")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[Checkpoint]
    next_page_token: str
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[Checkpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCheckpointTreeRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class CheckpointTree(_message.Message):
    __slots__ = ("nodes", "current_checkpoint_id", "truncated")
    NODES_FIELD_NUMBER: _ClassVar[int]
    CURRENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[CheckpointNode]
    current_checkpoint_id: str
    truncated: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[CheckpointNode, _Mapping]]] = ..., current_checkpoint_id: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class CheckpointNode(_message.Message):
    __slots__ = ("id", "parent_checkpoint_id", "checkpoint_type", "depth", "creating_machine_id", "verification_status", "created_at", "pruned")
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    CREATING_MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    PRUNED_FIELD_NUMBER: _ClassVar[int]
    id: str
    parent_checkpoint_id: str
    checkpoint_type: str
    depth: int
    creating_machine_id: str
    verification_status: str
    created_at: _timestamp_pb2.Timestamp
    pruned: bool
    def __init__(self, id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., checkpoint_type: _Optional[str] = ..., depth: _Optional[int] = ..., creating_machine_id: _Optional[str] = ..., verification_status: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pruned: _Optional[bool] = ...) -> None: ...

class GetCheckpointPathRequest(_message.Message):
    __slots__ = ("checkpoint_id", "to_checkpoint_id")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TO_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    to_checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ..., to_checkpoint_id: _Optional[str] = ...) -> None: ...

class CheckpointPath(_message.Message):
    __slots__ = ("nodes", "common_ancestor_id")
    NODES_FIELD_NUMBER: _ClassVar[int]
    COMMON_ANCESTOR_ID_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[CheckpointNode]
    common_ancestor_id: str
    def __init__(self, nodes: _Optional[_Iterable[_Union[CheckpointNode, _Mapping]]] = ..., common_ancestor_id: _Optional[str] = ...) -> None: ...

class ListRunningMachinesRequest(_message.Message):
    __slots__ = ("project", "page_size", "page_token")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project: str
    page_size: int
    page_token: str
    def __init__(self, project: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRunningMachinesResponse(_message.Message):
    __slots__ = ("machines", "next_page_token")
    MACHINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    machines: _containers.RepeatedCompositeFieldContainer[RunningMachine]
    next_page_token: str
    def __init__(self, machines: _Optional[_Iterable[_Union[RunningMachine, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RunningMachine(_message.Message):
    __slots__ = ("machine_id", "project_id", "project_name", "machine_type", "status", "current_progress", "spawned_at", "last_checkpoint_id", "last_checkpoint_at", "last_checkpoint_type")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    MACHINE_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SPAWNED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    project_id: str
    project_name: str
    machine_type: str
    status: str
    current_progress: str
    spawned_at: _timestamp_pb2.Timestamp
    last_checkpoint_id: str
    last_checkpoint_at: _timestamp_pb2.Timestamp
    last_checkpoint_type: str
    def __init__(self, machine_id: _Optional[str] = ..., project_id: _Optional[str] = ..., project_name: _Optional[str] = ..., machine_type: _Optional[str] = ..., status: _Optional[str] = ..., current_progress: _Optional[str] = ..., spawned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_checkpoint_id: _Optional[str] = ..., last_checkpoint_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_checkpoint_type: _Optional[str] = ...) -> None: ...

class ListCheckpointFilesRequest(_message.Message):
    __slots__ = ("checkpoint_id", "path", "home", "page_size", "page_token", "paths")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    path: str
    home: bool
    page_size: int
    page_token: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, checkpoint_id: _Optional[str] = ..., path: _Optional[str] = ..., home: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ListCheckpointFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[FileEntry]
    next_page_token: str
    def __init__(self, files: _Optional[_Iterable[_Union[FileEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DiffCheckpointsRequest(_message.Message):
    __slots__ = ("checkpoint_id", "base_checkpoint_id", "path", "home", "with_patch", "without_git", "paths")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    WITH_PATCH_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_GIT_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    base_checkpoint_id: str
    path: str
    home: bool
    with_patch: bool
    without_git: bool
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, checkpoint_id: _Optional[str] = ..., base_checkpoint_id: _Optional[str] = ..., path: _Optional[str] = ..., home: _Optional[bool] = ..., with_patch: _Optional[bool] = ..., without_git: _Optional[bool] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class DiffCheckpointsResponse(_message.Message):
    __slots__ = ("changes", "patch", "patch_truncated")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    PATCH_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[FileChange]
    patch: str
    patch_truncated: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., patch: _Optional[str] = ..., patch_truncated: _Optional[bool] = ...) -> None: ...

class VerifyCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id",)
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ...) -> None: ...

class VerifyCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint", "ok", "objects", "bytes", "damaged_paths")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_PATHS_FIELD_NUMBER: _ClassVar[int]
    checkpoint: Checkpoint
    ok: bool
    objects: int
    bytes: int
    damaged_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., ok: _Optional[bool] = ..., objects: _Optional[int] = ..., bytes: _Optional[int] = ..., damaged_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class RestoreCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id", "directory", "path", "home", "exact")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    directory: str
    path: str
    home: bool
    exact: bool
    def __init__(self, checkpoint_id: _Optional[str] = ..., directory: _Optional[str] = ..., path: _Optional[str] = ..., home: _Optional[bool] = ..., exact: _Optional[bool] = ...) -> None: ...

class RestoreCheckpointResponse(_message.Message):
    __slots__ = ("files", "bytes")
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    files: int
    bytes: int
    def __init__(self, files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class RecordCheckpointRequest(_message.Message):
    __slots__ = ("id", "project_id", "parent_checkpoint_id", "creating_machine_id", "checkpoint_type", "hypervisor", "vm_id", "description", "creation_context", "size_bytes", "stored_bytes", "original_bytes", "manifest_root", "manifest_file_count", "file_manifest", "agent_session_id", "last_settled_call_id", "consistency", "metadata", "verified", "work_order_id", "lease_generation", "detection", "timing")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATING_MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    HYPERVISOR_FIELD_NUMBER: _ClassVar[int]
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATION_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ROOT_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILE_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    AGENT_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SETTLED_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    WORK_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    parent_checkpoint_id: str
    creating_machine_id: str
    checkpoint_type: str
    hypervisor: str
    vm_id: str
    description: str
    creation_context: str
    size_bytes: int
    stored_bytes: int
    original_bytes: int
    manifest_root: str
    manifest_file_count: int
    file_manifest: FileManifest
    agent_session_id: str
    last_settled_call_id: str
    consistency: str
    metadata: _struct_pb2.Struct
    verified: bool
    work_order_id: str
    lease_generation: int
    detection: Detection
    timing: CheckpointTiming
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., creating_machine_id: _Optional[str] = ..., checkpoint_type: _Optional[str] = ..., hypervisor: _Optional[str] = ..., vm_id: _Optional[str] = ..., description: _Optional[str] = ..., creation_context: _Optional[str] = ..., size_bytes: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., original_bytes: _Optional[int] = ..., manifest_root: _Optional[str] = ..., manifest_file_count: _Optional[int] = ..., file_manifest: _Optional[_Union[FileManifest, _Mapping]] = ..., agent_session_id: _Optional[str] = ..., last_settled_call_id: _Optional[str] = ..., consistency: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., verified: _Optional[bool] = ..., work_order_id: _Optional[str] = ..., lease_generation: _Optional[int] = ..., detection: _Optional[_Union[Detection, _Mapping]] = ..., timing: _Optional[_Union[CheckpointTiming, _Mapping]] = ...) -> None: ...

"""Errors of the checkpoint store."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class StoreNotFoundError(AutovibeError):
    """There is no checkpoint store at this path."""

    code = Code.NOT_FOUND
    reason = "STORE_NOT_FOUND"


class NotAStoreError(AutovibeError):
    """The directory holds something else than a checkpoint store."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_NOT_A_STORE"


class StoreNewerFormatError(AutovibeError):
    """The store was written by a newer autovibe."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_NEWER_FORMAT"


class StoreFullError(AutovibeError):
    """The disk or the quota is full; nothing of the failed write is kept."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "STORE_FULL"


class StoreReadOnlyError(AutovibeError):
    """The store may not be written by this process."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_READ_ONLY"


class StoreWriteError(AutovibeError):
    """The disk of the store fails; nothing of the failed write is kept."""

    code = Code.INTERNAL
    reason = "STORE_WRITE_FAILED"


class StoreKeyError(AutovibeError):
    """The store is encrypted and the key is missing or wrong, or it is not and one was given."""

    code = Code.PERMISSION_DENIED
    reason = "STORE_KEY_WRONG"


class StoreBusyError(AutovibeError):
    """Other processes keep the store in use; nothing was changed."""

    code = Code.ABORTED
    reason = "STORE_BUSY"


class StoreDamagedError(AutovibeError):
    """The store is damaged where it must be whole before anything may be removed from it."""

    code = Code.DATA_LOSS
    reason = "STORE_DAMAGED"


class RefExistsError(AutovibeError):
    """A ref of this name exists already."""

    code = Code.ALREADY_EXISTS
    reason = "STORE_REF_EXISTS"


class UnreadableArchiveError(AutovibeError):
    """An archive is damaged, or holds what may not be imported."""

    code = Code.INVALID_ARGUMENT
    reason = "STORE_ARCHIVE_UNREADABLE"


class ObjectMissingError(AutovibeError):
    """An object that is referred to is not in the store."""

    code = Code.DATA_LOSS
    reason = "STORE_OBJECT_MISSING"


class ObjectCorruptError(AutovibeError):
    """What was read from the store does not have the hash it is addressed by."""

    code = Code.DATA_LOSS
    reason = "STORE_OBJECT_CORRUPT"


class UnsafeTreeError(AutovibeError):
    """A tree holds names or values that no snapshot makes; it is not restored."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_UNSAFE_TREE"


class PathNotFoundError(AutovibeError):
    """A path is not in the snapshot, or a directory to capture does not exist."""

    code = Code.NOT_FOUND
    reason = "STORE_PATH_NOT_FOUND"


class NotAFileError(AutovibeError):
    """The content of something was asked for that has none."""

    code = Code.INVALID_ARGUMENT
    reason = "STORE_NOT_A_FILE"


class TargetNotEmptyError(AutovibeError):
    """The directory to restore into holds something."""

    code = Code.FAILED_PRECONDITION
    reason = "RESTORE_TARGET_NOT_EMPTY"


class TargetUnwritableError(AutovibeError):
    """The directory to restore into cannot be written."""

    code = Code.FAILED_PRECONDITION
    reason = "RESTORE_TARGET_UNWRITABLE"

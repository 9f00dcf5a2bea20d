"""Errors of the database, the same for every backend."""

from __future__ import annotations

from sqlalchemy.exc import DontWrapMixin

from autovibe.db.constraints import RULES
from autovibe.kernel.errors import AutovibeError, Code


class DatabaseUrlError(AutovibeError):
    """The database URL is malformed or names a backend that autovibe does not have."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_DATABASE_URL"


class TlsSettingsError(AutovibeError):
    """The settings of TLS cannot be used, or protect less than is demanded."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_TLS_SETTINGS"


class DatabaseUnavailableError(AutovibeError):
    """The database server cannot be reached, or is starting or stopping."""

    code = Code.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"


class DatabaseOpenError(AutovibeError):
    """The database is there, or should be, and may not be opened."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_CANNOT_OPEN"


class DatabaseNewerError(AutovibeError):
    """A newer autovibe has upgraded this database; this one must not touch it."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_NEWER"


class DatabaseAbsentError(AutovibeError):
    """There is no database yet."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_ABSENT"


class RevisionNotFoundError(AutovibeError):
    """No revision of the schema has this name, or none in the direction that was asked for."""

    code = Code.NOT_FOUND
    reason = "REVISION_NOT_FOUND"


class MigrationBlockedError(AutovibeError):
    """Tables were in use for too long; the migration changed nothing."""

    code = Code.ABORTED
    reason = "MIGRATION_BLOCKED"


class BackupFailedError(AutovibeError):
    """A backup could not be taken, read or restored."""

    code = Code.FAILED_PRECONDITION
    reason = "BACKUP_FAILED"


class ProgramMissingError(AutovibeError):
    """A program of the database's own is needed and not here."""

    code = Code.FAILED_PRECONDITION
    reason = "PROGRAM_MISSING"


class DatabaseFullError(AutovibeError):
    """There is no room left where the database lives."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "DATABASE_FULL"


class DatabaseReadOnlyError(AutovibeError):
    """The database, or the transaction, takes no writes."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_READ_ONLY"


class DatabaseBusyError(AutovibeError):
    """A lock or a connection was not to be had in time; the same call may work later."""

    code = Code.ABORTED
    reason = "DATABASE_BUSY"


class SerializationError(AutovibeError):
    """Two transactions could not both be kept; the whole operation may run again."""

    code = Code.ABORTED
    reason = "SERIALIZATION_FAILURE"


class UnsupportedByBackendError(AutovibeError):
    """This backend has no such thing, and no approximation is offered."""

    code = Code.UNIMPLEMENTED
    reason = "UNSUPPORTED_BY_BACKEND"


class InvalidValueError(AutovibeError, DontWrapMixin):
    """A value cannot be stored in its column: naive time, float for money, unknown member.

    `DontWrapMixin` lets it pass through SQLAlchemy unchanged.
    """

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_VALUE"


class HiddenLoadError(AutovibeError):
    """Code read a relationship or an expired value that its query had not loaded."""

    code = Code.INTERNAL
    reason = "HIDDEN_LOAD"


class ConstraintError(AutovibeError):
    """The database refused a row; `constraint` is the rule's name in `schema.md`, "" if unknown.

    A rule that `db.constraints` knows gives the error its own reason and sentence.
    """

    def __init__(
        self, message: str, *, constraint: str = "", table: str = "", known: bool = True
    ) -> None:
        """Keep the name of the rule and of the table.

        Args:
            message: for a rule that has no sentence of its own.
            constraint: name of the rule.
            table: that has the rule.
            known: whether to look the rule up.
        """
        rule = RULES.get(constraint) if known else None
        super().__init__(rule.sentence if rule else message, constraint=constraint, table=table)
        self.constraint = constraint
        self.table = table
        if rule:
            self.reason = rule.reason  # type: ignore[misc]  # an instance value shadows the class default


class KeyRingError(AutovibeError, DontWrapMixin):
    """The key ring of secret columns is missing, malformed, or cannot be changed."""

    code = Code.FAILED_PRECONDITION
    reason = "KEY_RING_UNUSABLE"


class SecretUnreadableError(AutovibeError, DontWrapMixin):
    """A secret is not under a key of the ring, or was changed or moved since it was written."""

    code = Code.DATA_LOSS
    reason = "SECRET_UNREADABLE"


class UniqueViolationError(ConstraintError):
    """Another row has this key already."""

    code = Code.ALREADY_EXISTS
    reason = "UNIQUE_VIOLATION"


class ForeignKeyViolationError(ConstraintError):
    """A row names another that does not exist, or one that others still name is deleted.

    SQLite does not say which rule it was: `constraint` is "" there, unless a DELETE of this table
    can break one rule only.
    """

    code = Code.FAILED_PRECONDITION
    reason = "FOREIGN_KEY_VIOLATION"


class CheckViolationError(ConstraintError):
    """A value breaks a CHECK rule."""

    code = Code.INVALID_ARGUMENT
    reason = "CHECK_VIOLATION"


class NotNullViolationError(ConstraintError):
    """A column that needs a value has none; `constraint` is the column's name."""

    code = Code.INVALID_ARGUMENT
    reason = "NOT_NULL_VIOLATION"


class RuleViolationError(AutovibeError):
    """A trigger refused a change; the reason is the code after `AV:` in its message."""

    code = Code.FAILED_PRECONDITION
    reason = "RULE_VIOLATION"

    def __init__(self, reason: str, message: str, **facts: str) -> None:
        """Carry the trigger's own reason on the instance, and what it says besides."""
        super().__init__(message, rule=reason, **facts)
        self.reason = reason  # type: ignore[misc]  # an instance value shadows the class default

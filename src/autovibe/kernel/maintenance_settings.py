"""Settings of scheduled jobs: how long rows are kept, and where archives go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError


@dataclass(frozen=True)
class MaintenanceSettings:
    """Ages in days; 0 keeps for ever."""

    logs_days: int = 30
    executions_days: int = 90
    chat_days: int = 0
    model_calls_days: int = 30
    """What projects keep of questions to models and their answers."""
    checkpoints_days: int = 30
    """Automatic checkpoints that nothing needs lose their files after this."""
    checkpoints_keep_last: int = 0
    """Of those the newest so many of each machine stay all the same."""
    checkpoints_keep_daily: int = 0
    """And of each project the newest of each of the last so many days that have one."""
    checkpoints_keep_monthly: int = 0
    """And the newest of each of the last so many months that have one."""
    grace_days: int = 30
    """How long the store keeps what no checkpoint needs any more: at least as long as the database
    can be taken back. 0 gives no space back at all."""
    restore_window_days: int = 30
    """How far back the database can be taken: for so long are backups and logs of it kept."""
    audit_store: bool = True
    """Whether the whole store is read and hashed again once a week."""
    archive_path: Path | None = None
    """None is `archives` in the home."""


_NUMBERS: Final = (
    "logs_days",
    "executions_days",
    "chat_days",
    "model_calls_days",
    "checkpoints_days",
    "checkpoints_keep_last",
    "checkpoints_keep_daily",
    "checkpoints_keep_monthly",
    "grace_days",
    "restore_window_days",
)
MAINTENANCE_KEYS: Final = frozenset({*_NUMBERS, "audit_store", "archive_path"})


def read_maintenance_settings(
    env: Mapping[str, str], table: Mapping[str, object]
) -> MaintenanceSettings:
    """Return the settings of `AUTOVIBE_MAINTENANCE_*` over those of the table `[maintenance]`.

    Raises:
        InvalidArgumentError: a value is malformed, or the store would forget what a database that
            was taken back still names (decision E2).
    """
    source = Source(env, "AUTOVIBE_MAINTENANCE_", table)
    own = MaintenanceSettings()
    numbers = {name: source.number(name, int, getattr(own, name)) for name in _NUMBERS}
    grace, window = numbers["grace_days"], numbers["restore_window_days"]
    if 0 < grace < window:
        raise InvalidArgumentError(
            f"maintenance.grace_days is {grace}, and the database can be taken back by {window} "
            f"days (maintenance.restore_window_days): set the grace to {window} at least, or the "
            "window to how long you keep backups of the database.",
            what="maintenance.grace_days",
            value=grace,
        )
    return MaintenanceSettings(
        **numbers,
        audit_store=source.flag("audit_store", default=own.audit_store),
        archive_path=source.path("archive_path"),
    )

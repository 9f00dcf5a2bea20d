"""Settings of scheduled jobs: how long rows are kept, and where archives go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.kernel.database_settings import Source


@dataclass(frozen=True)
class MaintenanceSettings:
    """Ages in days; 0 keeps for ever."""

    logs_days: int = 30
    executions_days: int = 90
    chat_days: int = 0
    checkpoints_days: int = 30
    """Automatic checkpoints that nothing needs lose their files after this."""
    archive_path: Path | None = None
    """None is `archives` in the home."""


MAINTENANCE_KEYS: Final = frozenset(
    {
        "logs_days",
        "executions_days",
        "chat_days",
        "checkpoints_days",
        "archive_path",
    }
)


def read_maintenance_settings(
    env: Mapping[str, str], table: Mapping[str, object]
) -> MaintenanceSettings:
    """Return the settings of `AUTOVIBE_MAINTENANCE_*` over those of the table `[maintenance]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_MAINTENANCE_", table)
    own = MaintenanceSettings()
    return MaintenanceSettings(
        logs_days=source.number("logs_days", int, own.logs_days),
        executions_days=source.number("executions_days", int, own.executions_days),
        chat_days=source.number("chat_days", int, own.chat_days),
        checkpoints_days=source.number("checkpoints_days", int, own.checkpoints_days),
        archive_path=source.path("archive_path"),
    )

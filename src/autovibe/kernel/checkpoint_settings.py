"""Settings of checkpoints: how it is found out what has changed in a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError

AUTO_DETECTION: Final = "auto"
DETECTIONS: Final = (AUTO_DETECTION, "inotify", "fanotify", "walk")


@dataclass(frozen=True)
class CheckpointSettings:
    """How machines are watched."""

    audit_every: int = 50
    """Every so many checkpoints all files are looked at, whatever was told; 0: the last only."""
    detection: str = AUTO_DETECTION
    """One of `DETECTIONS`; what the kernel refuses is replaced by looking at every file."""
    key_file: Path | None = None
    """Holds the key of an encrypted store; a home that has a plain one stays so."""


CHECKPOINT_KEYS: Final = frozenset({"audit_every", "detection", "key_file"})


def read_checkpoint_settings(
    env: Mapping[str, str], table: Mapping[str, object]
) -> CheckpointSettings:
    """Return the settings of `AUTOVIBE_CHECKPOINTS_*` over those of the table `[checkpoints]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_CHECKPOINTS_", table)
    own = CheckpointSettings()
    detection = source.text("detection", own.detection)
    if detection not in DETECTIONS:
        where = source.value("detection")[1]
        msg = f"{where} must be one of {', '.join(DETECTIONS)}."
        raise InvalidArgumentError(msg, name="detection")
    return CheckpointSettings(
        audit_every=source.number("audit_every", int, own.audit_every),
        detection=detection,
        key_file=source.path("key_file"),
    )

"""Settings of what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.database_settings import Source


@dataclass(frozen=True)
class ApprovalSettings:
    """How long things wait for a person; times are in seconds."""

    deadline_s: int = 86_400
    """After this time nobody has answered, which is a no; of a question its default answer."""
    hold_s: int = 600
    """A machine that has waited so long is checkpointed and freed; 0 keeps it until the end."""


APPROVAL_KEYS: Final = frozenset({"deadline_s", "hold_s"})


def read_approval_settings(env: Mapping[str, str], table: Mapping[str, object]) -> ApprovalSettings:
    """Return the settings of `AUTOVIBE_APPROVALS_*` over those of the table `[approvals]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_APPROVALS_", table)
    own = ApprovalSettings()
    return ApprovalSettings(
        deadline_s=source.number("deadline_s", int, own.deadline_s),
        hold_s=source.number("hold_s", int, own.hold_s),
    )

"""Errors of rules that triggers keep: the codes after `AV:` are the same on every backend."""

from __future__ import annotations

import re
from typing import Final

from autovibe.db.errors import RuleViolationError

_CODE: Final = re.compile(r"AV:([A-Z][A-Z0-9_]*)")
# What PostgreSQL says besides; a trigger of SQLite can raise fixed texts only.
_BUDGET: Final = re.compile(
    r"current=(?P<current>[\d.]+), adding=(?P<attempted>[\d.]+), budget=(?P<limit>[\d.]+)"
)
_SENTENCES: Final = {
    "BUDGET_EXCEEDED": "No budget has room for this usage; raise one with `autovibe budget raise`.",
    "BUDGET_UNIT_MISMATCH": "A budget counts this resource in another unit; use that one.",
    "CHECKPOINT_IMMUTABLE": "A verified checkpoint cannot be changed; make a new one instead.",
}


def rule_violation(message: str) -> RuleViolationError | None:
    """Return the error for a trigger's message; None when it carries no code."""
    match = _CODE.search(message)
    if match is None:
        return None
    reason = match[1]
    sentence = _SENTENCES.get(reason, f"The database refused this change by its rule {reason}.")
    numbers = _BUDGET.search(message)
    return RuleViolationError(reason, sentence, **(numbers.groupdict() if numbers else {}))

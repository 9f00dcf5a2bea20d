"""Durations and sizes as people write them."""

from __future__ import annotations

import re
from typing import Final

from autovibe.kernel.errors import InvalidArgumentError

_COUNT: Final = "([0-9]{1,9})"  # far beyond 30 days, and cheap to turn into a number
_DURATION: Final = re.compile(rf"(?:{_COUNT}d)?(?:{_COUNT}h)?(?:{_COUNT}m)?(?:{_COUNT}s?)?")
_MAX_DURATION_S: Final = 30 * 86_400


def parse_duration_s(text: str) -> int:
    """Parse `90`, `90s`, `30m`, `1h30m`, `2d` into whole seconds, 1 to 2,592,000 (30 days).

    Raises:
        InvalidArgumentError: malformed or out of range.
    """
    match = _DURATION.fullmatch(text.strip())
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups()) if match else (0, 0, 0, 0)
    total = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if not 1 <= total <= _MAX_DURATION_S:
        msg = f"{text!r} is not a duration; write for example 90s, 30m or 1h30m (at most 30d)."
        raise InvalidArgumentError(msg, what="duration", value=text)
    return total


def duration_text(seconds: float) -> str:
    """Write a duration for people: `0.4s`, `12s`, `3m05s`, `2h10m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3_600}h{whole % 3_600 // 60:02}m"

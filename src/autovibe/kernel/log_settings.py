"""Settings of logs: what is taken out of them, and how much raw output they keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError


@dataclass(frozen=True)
class LogSettings:
    """What is kept of what agents print."""

    redact: tuple[str, ...] = ()
    """Regular expressions: what they find is taken out, beside known shapes of secrets."""
    raw_kb: int = 8192
    """Raw output of one execution in its log; 0 keeps none."""
    tail_kb: int = 64
    """The end of the raw output that stays with the execution when its log has gone."""


LOG_KEYS: Final = frozenset({"redact", "raw_kb", "tail_kb"})


def read_log_settings(env: Mapping[str, str], table: Mapping[str, object]) -> LogSettings:
    """Return the settings of `AUTOVIBE_LOGS_*` over those of the table `[logs]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_LOGS_", table)
    own = LogSettings()
    patterns = source.texts("redact")
    for pattern in patterns:
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise InvalidArgumentError(
                f"{pattern!r} in [logs] redact is no regular expression ({error}); correct it.",
                name="redact",
            ) from None
        if found.match(""):
            raise InvalidArgumentError(
                f"{pattern!r} in [logs] redact finds nothing at all, too; make it find something.",
                name="redact",
            )
    return LogSettings(
        redact=patterns,
        raw_kb=source.number("raw_kb", int, own.raw_kb),
        tail_kb=source.number("tail_kb", int, own.tail_kb),
    )

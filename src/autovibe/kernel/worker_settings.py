"""Settings of workers and their queue: when a host is too busy, and what carries the bell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError

_PERCENT: Final = 100


@dataclass(frozen=True)
class WorkerSettings:
    """What a host must have free before a worker on it begins one more task."""

    min_free_memory_mb: int = 256
    """Memory that must be available."""
    max_cpu_pressure: float = 95.0
    """Percent of the last ten seconds in which something waited for a processor (PSI), at most;
    a worker that does nothing begins one task all the same. 100 never keeps anything waiting."""


WORKER_KEYS: Final = frozenset({"min_free_memory_mb", "max_cpu_pressure"})


@dataclass(frozen=True)
class QueueSettings:
    """What carries the bell for new tasks besides the database."""

    url: str = field(default="", repr=False)
    """`redis://`, `rediss://`, `valkey://` or `unix://`, of an instance that evicts nothing."""


QUEUE_KEYS: Final = frozenset({"url"})
_SCHEMES: Final = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")


def read_queue_settings(env: Mapping[str, str], table: Mapping[str, object]) -> QueueSettings:
    """Return the settings of `AUTOVIBE_QUEUE_*` over those of the table `[queue]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_QUEUE_", table)
    url = source.text("url")
    if url and not url.startswith(_SCHEMES):
        where = source.value("url")[1]
        raise InvalidArgumentError(f"{where} must be redis://HOST:PORT/DATABASE.", name="url")
    return QueueSettings(url)


def read_worker_settings(env: Mapping[str, str], table: Mapping[str, object]) -> WorkerSettings:
    """Return the settings of `AUTOVIBE_WORKER_*` over those of the table `[worker]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_WORKER_", table)
    own = WorkerSettings()
    pressure = source.number("max_cpu_pressure", float, own.max_cpu_pressure)
    if pressure > _PERCENT:
        where = source.value("max_cpu_pressure")[1]
        raise InvalidArgumentError(f"{where} must be a percentage.", name="max_cpu_pressure")
    return WorkerSettings(
        min_free_memory_mb=source.number("min_free_memory_mb", int, own.min_free_memory_mb),
        max_cpu_pressure=pressure,
    )

"""Settings of workers: when a host is too busy for one more task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

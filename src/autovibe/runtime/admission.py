"""Whether this host has room for one more task: measured, not counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.kernel.worker_settings import WorkerSettings

_AVAILABLE: Final = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
_SOME: Final = re.compile(r"^some avg10=([0-9.]+) ", re.MULTILINE)
_KIB_PER_MB: Final = 1024
_MB: Final = 1024 * 1024


@dataclass(frozen=True)
class Load:
    """How busy a host is; `None` is what its kernel does not tell."""

    free_memory_mb: int | None
    cpu_pressure: float | None


def measure(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Load:
    """Return how busy this host is: memory within this process's own limit, and CPU pressure."""
    memory = _AVAILABLE.search(_text(proc / "meminfo"))
    free = [int(memory[1]) // _KIB_PER_MB] if memory else []
    limit, used = _text(cgroup / "memory.max").strip(), _text(cgroup / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        free.append(max(0, int(limit) - int(used)) // _MB)
    pressure = _SOME.search(_text(proc / "pressure" / "cpu"))
    return Load(min(free, default=None), float(pressure[1]) if pressure else None)


@dataclass(frozen=True)
class Admission:
    """Says whether one more task may begin."""

    settings: WorkerSettings
    measure: Callable[[], Load] = measure

    def refusal(self, running: int) -> str:
        """Return why no task may begin now, "" if one may.

        Args:
            running: how many this worker does at the moment. One that does none begins one however
                busy the processors are: others may keep them busy for ever.
        """
        load, own = self.measure(), self.settings
        if load.free_memory_mb is not None and load.free_memory_mb < own.min_free_memory_mb:
            return (
                f"{load.free_memory_mb} MB of memory are free, and one more task needs "
                f"{own.min_free_memory_mb} MB"
            )
        if running and load.cpu_pressure is not None and load.cpu_pressure > own.max_cpu_pressure:
            return (
                f"something waits for a processor {load.cpu_pressure:.0f} % of the time, and "
                f"{own.max_cpu_pressure:.0f} % are the limit"
            )
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""

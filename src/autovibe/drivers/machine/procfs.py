"""Reading /proc: who runs in a machine, in which state, and what it uses.

Every function answers for the moment of the call; a process that ends meanwhile is left out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the program name, which may itself hold blanks and brackets.
_STATE, _PPID, _UTIME, _STIME, _CUTIME, _CSTIME, _THREADS, _START = 0, 1, 11, 12, 13, 14, 17, 19
_STOPPED: Final = frozenset("TtZXx")


@dataclass(frozen=True)
class Stat:
    """The part of /proc/PID/stat that drivers need; `start_ticks` counts from boot."""

    pid: int
    state: str
    parent: int
    cpu_s: float
    threads: int
    start_ticks: int


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - read thousands of times per freeze
        return file.read()


def read_stat(pid: int) -> Stat | None:
    """Return the state of a process, `None` when it is gone."""
    try:
        raw = _read(f"/proc/{pid}/stat")
        fields = raw[raw.rindex(b")") + 2 :].split()
    except (OSError, ValueError):
        return None
    ticks = sum(int(fields[i]) for i in (_UTIME, _STIME, _CUTIME, _CSTIME))
    return Stat(
        pid=pid,
        state=fields[_STATE].decode(),
        parent=int(fields[_PPID]),
        cpu_s=ticks / _TICKS_PER_S,
        threads=int(fields[_THREADS]),
        start_ticks=int(fields[_START]),
    )


def all_pids() -> Iterator[int]:
    """Yield the pid of every process that can be seen."""
    for name in os.listdir(PROC):  # noqa: PTH208 - names only; a Path for each costs more than the rest
        if name.isdigit():
            yield int(name)


def pid_namespace(pid: int) -> str | None:
    """Return the name of a process's pid namespace, `None` when gone or not ours to see."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - for every pid of the host
    except OSError:
        return None


def namespaced_pid(pid: int) -> int | None:
    """Return the pid that a process has in its own, innermost pid namespace."""
    try:
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    except OSError:
        return None
    return None


def namespace_members(namespace: str) -> list[int]:
    """Return all processes in a pid namespace, its first process included.

    Going by the namespace and not by parents: a process that is given to another parent between
    two reads would be missed otherwise.
    """
    return [pid for pid in all_pids() if pid_namespace(pid) == namespace]


def descendants(root: int) -> list[int]:
    """Return all processes below `root`, without `root` itself, nearest first."""
    children: dict[int, list[int]] = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is not None:
            children.setdefault(stat.parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def is_stopped(pid: int) -> bool:
    """Return whether no thread of a process runs (stopped, traced, ended or gone)."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - as in all_pids
    except OSError:
        return True
    for thread in threads:
        with contextlib.suppress(OSError, ValueError):
            raw = _read(f"/proc/{pid}/task/{thread}/stat")
            if chr(raw[raw.rindex(b")") + 2]) not in _STOPPED:
                return False
    return True


def is_alive(pid: int) -> bool:
    """Return whether a process exists and has not ended (a zombie has)."""
    stat = read_stat(pid)
    return stat is not None and stat.state not in "ZXx"


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the memory of these processes: proportional set sizes, shared pages counted once."""
    total = 0
    for pid in pids:
        try:
            lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
        except OSError:  # gone, a kernel without the file, or no permission to read it
            total += _resident_bytes(pid)
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in lines if line.startswith((b"Pss:", b"SwapPss:"))
        )
    return total


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(_read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of these processes and of the children they waited for."""
    return sum(stat.cpu_s for pid in pids if (stat := read_stat(pid)) is not None)


def tasks(pids: Iterable[int]) -> int:
    """Return the number of threads of these processes, which is what the kernel's limits count."""
    return sum(stat.threads for pid in pids if (stat := read_stat(pid)) is not None)


def has_arguments(pid: int, wanted: Sequence[str]) -> bool:
    """Return whether a process has these arguments, whole and one after the other."""
    try:
        raw = b"\0" + _read(f"/proc/{pid}/cmdline")
    except OSError:
        return False
    return b"\0" + b"\0".join(argument.encode() for argument in wanted) + b"\0" in raw


def with_environment(entry: str) -> list[int]:
    """Return the processes whose starting environment holds `NAME=value`, as far as readable."""
    wanted = entry.encode()
    found: list[int] = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if wanted in _read(f"/proc/{pid}/environ").split(b"\0"):
                found.append(pid)
    return found


def boot_id() -> str:
    """Return the id of this boot: pids and start times mean nothing in another one."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def own_cgroups() -> Mapping[str, str]:
    """Return this process's group by controller; the v2 hierarchy has the empty name."""
    groups: dict[str, str] = {}
    for line in (PROC / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups

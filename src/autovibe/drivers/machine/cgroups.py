"""Control groups, version 2 where it has the controllers, else version 1, else nothing.

A hybrid host has both: limits are then kept by version 1, freezing and killing by version 2.
The version 1 freezer is not used: a process frozen by it cannot be killed, so the death of the
control plane would leave it behind for good.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Limits
from autovibe.drivers.machine import procfs

PREFIX: Final = "autovibe."
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_CPU_PERIOD_US: Final = 100_000
_MIB: Final = 1024 * 1024
_END_ROUNDS: Final = 400
_END_ROUND_S: Final = 0.005
_LIMIT_NAMES: Final = {"memory": "memory", "pids": "processes", "cpu": "cpus"}


@dataclass(frozen=True)
class Hierarchies:
    """Where groups may be made on this host.

    `v1` maps a controller to the directory under which its groups go; `v2` is the place for a
    version 2 group, and `v2_controllers` says which limits can be set there.
    """

    v1: Mapping[str, Path] = field(default_factory=dict[str, Path])
    v2: Path | None = None
    v2_controllers: frozenset[str] = frozenset()

    def groups(self, vm_id: str) -> list[Path]:
        """Return where the groups of a machine would be, whether or not there are any."""
        parents = {*self.v1.values(), *([] if self.v2 is None else [self.v2])}
        return [parent / (PREFIX + vm_id) for parent in parents]


def _mounts(mountinfo: str) -> list[tuple[str, str, Path, frozenset[str]]]:
    """Return (type, root, mount point, super options) of the cgroup mounts."""
    found: list[tuple[str, str, Path, frozenset[str]]] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if kind and kind[0] in {"cgroup", "cgroup2"}:
            options = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset[str]()
            found.append((kind[0], fields[3], Path(fields[4]), options))
    return found


def _below(mount: Path, root: str, group: str) -> Path | None:
    """Return the directory of `group` in a mount that shows the hierarchy from `root` down."""
    try:
        relative = Path(group).relative_to(root)
    except ValueError:
        return None
    directory = mount / relative
    return directory if directory.is_dir() else None


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _v2_place(own: Path, mount: Path) -> tuple[Path | None, frozenset[str]]:
    """Choose the nearest group, ours or above, that gives its children the controllers.

    A group that holds processes cannot give controllers on, so below ours there is usually only
    freezing; a parent that is ours to write (a systemd user slice) has them.
    """
    candidate = own
    while True:
        with contextlib.suppress(OSError):
            given = frozenset((candidate / "cgroup.subtree_control").read_text().split())
            if _is_writable(candidate) and {"memory", "pids"} <= given:
                return candidate, given
        if candidate == mount:
            break
        candidate = candidate.parent
    return (own if _is_writable(own) else None), frozenset()


def find_hierarchies(mountinfo: str, own: Mapping[str, str]) -> Hierarchies:
    """Work out from this process's mounts and groups where machines' groups can be made.

    Machines go below the control plane's own group, so that limits set on it hold for them too.
    """
    v1: dict[str, Path] = {}
    v2: Path | None = None
    v2_controllers: frozenset[str] = frozenset()
    for kind, root, mount, options in _mounts(mountinfo):
        if kind == "cgroup2":
            group = _below(mount, root, own.get("", "/"))
            if group is not None and v2 is None:
                v2, v2_controllers = _v2_place(group, mount)
            continue
        for controller in options.intersection(_CONTROLLERS):
            group = _below(mount, root, own.get(controller, "/"))
            if group is not None and _is_writable(group):
                v1.setdefault(controller, group)
    return Hierarchies(v1, v2, v2_controllers)


def host_hierarchies() -> Hierarchies:
    """Return where groups may be made on this host, nothing when there are no groups at all."""
    try:
        mountinfo = (procfs.PROC / "self/mountinfo").read_text()
        return find_hierarchies(mountinfo, procfs.own_cgroups())
    except OSError:
        return Hierarchies()


def _counter(path: Path, key: str) -> int:
    """Return the number behind `key` in a file of `key value` lines, 0 when there is none."""
    try:
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    except (OSError, ValueError):
        return 0
    return 0


def _number(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, value: str | int) -> bool:
    try:
        path.write_text(f"{value}\n")
    except OSError:
        return False
    return True


class MachineGroups:
    """The groups of one machine; without any, every method is a harmless no."""

    def __init__(
        self,
        v1: Mapping[str, Path] | None = None,
        v2: Path | None = None,
        enforced: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the directories; `enforced` maps a controller to `cgroup` where it keeps a limit."""
        self._v1 = dict(v1 or {})
        self._v2 = v2
        self._enforced = dict(enforced or {})

    @property
    def enforced(self) -> Mapping[str, str]:
        """The limits that the kernel keeps through these groups, by their names in `Limits`."""
        return {_LIMIT_NAMES[name]: how for name, how in self._enforced.items()}

    @property
    def directories(self) -> list[Path]:
        """Every directory that belongs to the machine, each once."""
        found = dict.fromkeys(self._v1.values())
        if self._v2 is not None:
            found[self._v2] = None
        return list(found)

    def add(self, pid: int) -> None:
        """Move a process, and so all that it starts from now on, into the groups.

        A group that the kernel does not let it join (a delegation without the right to move) is
        given up, and `enforced` no longer claims its limits.
        """
        for directory in self.directories:
            if not _write(directory / "cgroup.procs", pid):
                self._give_up(directory)

    def keep_only(self, joined: Collection[Path]) -> None:
        """Give up the groups that a process, which was to join by itself, could not join."""
        for directory in self.directories:
            if directory not in joined:
                self._give_up(directory)

    def _give_up(self, directory: Path) -> None:
        if directory == self._v2:
            self._v2 = None
            lost = {name for name in self._enforced if name not in self._v1}
        else:
            lost = {name for name, place in self._v1.items() if place == directory}
        for name in lost:
            self._v1.pop(name, None)
            self._enforced.pop(name, None)
        with contextlib.suppress(OSError):
            directory.rmdir()

    @property
    def can_freeze(self) -> bool:
        """Whether the kernel stops the whole group at once."""
        return self._v2 is not None and (self._v2 / "cgroup.freeze").exists()

    def set_frozen(self, *, frozen: bool) -> bool:
        """Ask the kernel to stop or continue the group; returns whether it took the request."""
        return self._v2 is not None and _write(self._v2 / "cgroup.freeze", int(frozen))

    def is_frozen(self) -> bool:
        """Return whether no process of the group runs."""
        return self._v2 is not None and _counter(self._v2 / "cgroup.events", "frozen") == 1

    def kill(self) -> None:
        """End every process of the machine, those just being started too."""
        if self._v2 is not None and _write(self._v2 / "cgroup.kill", 1):
            return
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Return the processes in the groups."""
        return sorted({pid for directory in self.directories for pid in group_pids(directory)})

    def _memory_is_v2(self) -> bool:
        return "memory" not in self._v1

    def limit_hit(self) -> str | None:
        """Name the limit the kernel enforced with force: `memory`, `processes`, or `None`."""
        memory, pids = self._v1.get("memory", self._v2), self._v1.get("pids", self._v2)
        events = "memory.events" if self._memory_is_v2() else "memory.oom_control"
        if memory is not None and _counter(memory / events, "oom_kill"):
            return "memory"
        if pids is not None and _counter(pids / "pids.events", "max"):
            return "processes"
        return None

    def cpu_s(self) -> float | None:
        """Return the processor time used so far in seconds, `None` when not counted here."""
        if self._v2 is None:
            return None
        return _counter(self._v2 / "cpu.stat", "usage_usec") / 1e6 or None

    def memory_peak_bytes(self) -> int | None:
        """Return the highest memory use so far, `None` when not counted here."""
        if not self._memory_is_v2():
            return _number(self._v1["memory"] / "memory.max_usage_in_bytes")
        return _number(self._v2 and self._v2 / "memory.peak")

    def memory_bytes(self) -> int | None:
        """Return the present memory use, `None` when not counted here."""
        if not self._memory_is_v2():
            return _number(self._v1["memory"] / "memory.usage_in_bytes")
        return _number(self._v2 and self._v2 / "memory.current")

    def remove(self) -> None:
        """Remove the groups; their processes must have been ended."""
        for directory in self.directories:
            remove_group(directory)


def group_pids(directory: Path) -> list[int]:
    """Return the processes of one group, none when it is gone."""
    try:
        return [int(line) for line in (directory / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def end_group(directory: Path) -> bool:
    """End what a dead control plane left in a group and remove it; returns whether it existed."""
    if not directory.is_dir():
        return False
    # Continued first: where the kernel cannot kill a whole group, nobody should stay stopped.
    _write(directory / "cgroup.freeze", 0)
    for _ in range(_END_ROUNDS):
        if not _write(directory / "cgroup.kill", 1):
            for pid in group_pids(directory):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        try:
            directory.rmdir()
        except FileNotFoundError:
            break
        except OSError:
            time.sleep(_END_ROUND_S)
        else:
            break
    return True


def remove_group(directory: Path) -> None:
    """Remove one group directory; waits a while for dying processes to leave it."""
    for _ in range(_END_ROUNDS):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_END_ROUND_S)
        else:
            return


def _settings_v1(limits: Limits) -> dict[str, list[tuple[str, int]]]:
    settings: dict[str, list[tuple[str, int]]] = {}
    if limits.memory_mb is not None:
        size = limits.memory_mb * _MIB
        # The second only exists when swap is accounted; without it swap would widen the limit.
        settings["memory"] = [
            ("memory.limit_in_bytes", size),
            ("memory.memsw.limit_in_bytes", size),
        ]
    if limits.processes is not None:
        settings["pids"] = [("pids.max", limits.processes)]
    if limits.cpus is not None:
        settings["cpu"] = [
            ("cpu.cfs_period_us", _CPU_PERIOD_US),
            ("cpu.cfs_quota_us", int(limits.cpus * _CPU_PERIOD_US)),
        ]
    return settings


def _settings_v2(limits: Limits) -> dict[str, list[tuple[str, str | int]]]:
    settings: dict[str, list[tuple[str, str | int]]] = {}
    if limits.memory_mb is not None:
        settings["memory"] = [("memory.max", limits.memory_mb * _MIB), ("memory.swap.max", 0)]
    if limits.processes is not None:
        settings["pids"] = [("pids.max", limits.processes)]
    if limits.cpus is not None:
        settings["cpu"] = [("cpu.max", f"{int(limits.cpus * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")]
    return settings


def _apply(directory: Path, settings: Sequence[tuple[str, str | int]]) -> bool:
    """Write those settings that this kernel has; returns whether all of them took."""
    done = [
        _write(directory / name, value) for name, value in settings if (directory / name).exists()
    ]
    return bool(done) and all(done)


def _make(parent: Path, name: str) -> Path | None:
    directory = parent / name
    try:
        directory.mkdir()
    except OSError:
        return None
    return directory


def make_groups(hierarchies: Hierarchies, vm_id: str, limits: Limits) -> MachineGroups:
    """Make the groups of one machine with its limits; what cannot be had is left out."""
    name = PREFIX + vm_id
    v1: dict[str, Path] = {}
    enforced: dict[str, str] = {}
    v2 = _make(hierarchies.v2, name) if hierarchies.v2 is not None else None
    for controller, settings in _settings_v2(limits).items():
        if v2 and controller in hierarchies.v2_controllers and _apply(v2, settings):
            enforced[controller] = "cgroup"
    made: dict[Path, Path] = {}
    for controller, settings in _settings_v1(limits).items():
        parent = hierarchies.v1.get(controller)
        if parent is None or controller in enforced:
            continue
        # Controllers mounted together (cpu,cpuacct) share one directory.
        directory = made.get(parent) or _make(parent, name)
        if directory is None:
            continue
        made[parent] = v1[controller] = directory
        if _apply(directory, settings):
            enforced[controller] = "cgroup"
    return MachineGroups(v1, v2, enforced)

"""What is written down about a running machine, and ending what a dead control plane left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine import procfs
from autovibe.drivers.machine.cgroups import PREFIX, end_group, host_hierarchies

_VM_ID: Final = re.compile(r"[a-z]+-[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
_GONE_ROUNDS: Final = 1000
_GONE_ROUND_S: Final = 0.005


@dataclass(frozen=True)
class Record:
    """What is written down about a running machine, for the control plane that comes after us.

    A pid alone may be another process's by now; pid, start time and boot together are not.
    """

    boot_id: str
    processes: Mapping[int, int]
    groups: Sequence[str]

    def write(self, directory: Path) -> None:
        """Write the record, whole or not at all."""
        body = {
            "boot_id": self.boot_id,
            "processes": {str(pid): start for pid, start in self.processes.items()},
            "groups": list(self.groups),
        }
        draft = directory / "record.json.new"
        draft.write_text(json.dumps(body))
        draft.rename(directory / "record.json")

    def living(self) -> list[int]:
        """Return those of its processes that still are the same ones."""
        if self.boot_id != procfs.boot_id():
            return []
        return [
            pid
            for pid, start in self.processes.items()
            if (stat := procfs.read_stat(pid)) is not None and stat.start_ticks == start
        ]


def make_record(pids: Sequence[int], groups: Sequence[Path]) -> Record:
    """Return the record of a machine that runs now."""
    processes = {
        pid: stat.start_ticks for pid in pids if (stat := procfs.read_stat(pid)) is not None
    }
    return Record(procfs.boot_id(), processes, [str(group) for group in groups])


def read_record(directory: Path) -> Record | None:
    """Return the record in a machine's scratch directory, `None` when there is none."""
    try:
        body = json.loads((directory / "record.json").read_text())
        processes = {int(pid): int(start) for pid, start in body["processes"].items()}
        return Record(str(body["boot_id"]), processes, [str(g) for g in body["groups"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def make_scratch(scratch: Path, name: str) -> Path:
    """Make the private directory of one machine.

    Raises:
        MachineSpawnError: it exists (the machine runs already) or cannot be made.
    """
    directory = scratch / name
    try:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    except FileExistsError as error:
        raise MachineSpawnError(
            f"Machine {name} runs already, or was left by a process that died: end it first."
        ) from error
    except OSError as error:
        raise MachineSpawnError(f"{directory} could not be made: {error}.") from error
    return directory


def remove_scratch(directory: Path) -> None:
    """Remove the private directory of one machine."""
    shutil.rmtree(directory, ignore_errors=True)


def marked(arguments: Sequence[str]) -> list[int]:
    """Return the processes that carry a machine's mark on their command line.

    Needed beside the record: a control plane that dies while a machine starts has written none,
    and its bubblewrap can leave a child that waits for ever for the parent that died with it.
    """
    return [pid for pid in procfs.all_pids() if procfs.has_arguments(pid, arguments)]


async def end_leftovers(scratch: Path, name: str, others: Sequence[int]) -> bool:
    """End what is left of machine `name` and remove its scratch directory.

    Args:
        scratch: the driver's directory.
        name: the `vm_id`.
        others: processes known to be the machine's, besides those in its record.

    Returns whether anything was there.
    """
    if not _VM_ID.fullmatch(name):
        return False
    directory = scratch / name
    record = read_record(directory)
    pids = {*others, *(record.living() if record else ())}
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    recorded = [Path(group) for group in (record.groups if record else ())]
    groups = {group for group in recorded if group.name == PREFIX + name}
    # Whoever died before it wrote the record may have made them.
    groups |= set(host_hierarchies().groups(name))
    ended = [await asyncio.to_thread(end_group, group) for group in sorted(groups)]
    for _ in range(_GONE_ROUNDS):
        if not any(procfs.is_alive(pid) for pid in pids):
            break
        await asyncio.sleep(_GONE_ROUND_S)
    existed = directory.is_dir()
    remove_scratch(directory)
    return bool(pids) or any(ended) or existed

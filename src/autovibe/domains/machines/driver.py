"""What a machine driver must do: the contract between the runtime and `drivers/machine`."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LISTENER_PORT = 9000
"""TCP port of the listener inside a machine; the agent reaches nothing else."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one machine. `None` means that the driver sets no such limit."""

    cpus: float | None = 2.0
    memory_mb: int | None = 4096
    processes: int | None = 512
    disk_write_mb: int | None = None


@dataclass(frozen=True)
class Bind:
    """A host path shown read-only inside the machine at `inside`.

    A driver without a root of its own puts the host path in place of `inside` where an argument or
    a variable is that path or lies below it.
    """

    host: Path
    inside: str


@dataclass(frozen=True)
class MachineSpec:
    """Everything that is needed to start one machine with one program in it.

    `workspace` and `home` are host directories that belong to this machine alone. They appear as
    `/workspace` and `/home/agent` where the driver has its own root, else under their host paths;
    `Machine.workspace_inside` and `.home_inside` say which. The driver replaces
    `{autovibe:workspace}`, `{autovibe:home}` and `{autovibe:port}` in `argv` and in `env`.
    """

    machine_id: str
    workspace: Path
    home: Path
    argv: Sequence[str]
    env: Mapping[str, str]
    binds: Sequence[Bind] = ()
    path_prefix: Sequence[str] = ()
    """Directories inside the machine put in front of its PATH."""
    limits: Limits = field(default_factory=Limits)
    stderr_path: Path | None = None
    """Host file that gets the program's standard error; `None` merges it into the output."""


@dataclass(frozen=True)
class Exit:
    """How the program ended.

    `code` is the exit status, or 128 + signal number. `limit` names the limit that ended it
    (`memory`, `processes`), `None` when no limit did.
    """

    code: int
    limit: str | None = None


@dataclass(frozen=True)
class Usage:
    """What a machine has used so far; `memory_bytes` is what it holds now."""

    cpu_s: float
    memory_peak_bytes: int
    processes: int
    memory_bytes: int = 0


class Machine(Protocol):
    """A running machine. Every method may be called after its program has ended."""

    @property
    def machine_id(self) -> str:
        """The id given in the spec."""
        ...

    @property
    def vm_id(self) -> str:
        """The driver's own name for it, unique among live machines of this driver on this host."""
        ...

    @property
    def listener(self) -> socket.socket:
        """The listening socket that only programs inside this machine can reach.

        It is non-blocking and is served by the caller; `destroy()` closes it.
        """
        ...

    @property
    def pid(self) -> int:
        """Host pid of the machine's outermost process: ending it ends everything in the machine."""
        ...

    def process_ids(self) -> list[int]:
        """Return the host pids of the programs in the machine, none once it has ended.

        Complete while it is frozen; checkpoints ask these processes which files they map.
        """
        ...

    @property
    def workspace_inside(self) -> str:
        """Path of the workspace as programs in the machine see it."""
        ...

    @property
    def home_inside(self) -> str:
        """Path of the home as programs in the machine see it."""
        ...

    @property
    def enforced(self) -> Mapping[str, str]:
        """How each limit is kept: `{"memory": "cgroup" | "sampled" | "none", ...}`."""
        ...

    def output(self) -> AsyncIterator[bytes]:
        """Yield the program's standard output by lines, each with its newline, until it ends.

        A line longer than 16 MiB arrives in pieces. May be iterated once.
        """
        ...

    async def wait(self) -> Exit:
        """Wait until the program has ended and return how."""
        ...

    async def freeze(self) -> None:
        """Stop every process of the machine where it is; returns once none of them runs."""
        ...

    async def thaw(self) -> None:
        """Let the processes go on. Does nothing when they are not frozen."""
        ...

    async def stop(self, grace_s: float) -> Exit:
        """Ask the program to end (SIGTERM), and end every process after `grace_s` seconds."""
        ...

    async def destroy(self) -> None:
        """End every process and release listener, cgroups and scratch files; idempotent.

        The directories of the spec stay.
        """
        ...

    async def usage(self) -> Usage:
        """Return what the machine has used."""
        ...


@dataclass(frozen=True)
class Probe:
    """Whether a driver can work on this host, found by really trying.

    `reason` is a sentence for people: what is missing and how to get it, empty when `ok`.
    `enforced` is as in `Machine.enforced`.
    """

    ok: bool
    reason: str = ""
    enforced: Mapping[str, str] = field(default_factory=dict[str, str])


class MachineDriver(Protocol):
    """Starts machines. One instance serves one control-plane process."""

    name: str
    isolated: bool
    """Whether programs in its machines are kept from the host (files, network, keys)."""

    async def probe(self) -> Probe:
        """Start a trivial program and report; the result is kept for the life of the driver."""
        ...

    async def spawn(self, spec: MachineSpec) -> Machine:
        """Start a machine; must be called on the main thread (the parent-death signal follows it).

        Raises:
            MachineSpawnError: it could not be started; nothing is left behind.
        """
        ...

    async def end_leftover(self, vm_id: str, pid: int | None) -> bool:
        """End what a dead control-plane process left of a machine.

        Returns whether anything was there.
        """
        ...

"""A running machine: what is the same for every driver that starts local processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Exit, Limits, Usage
from autovibe.drivers.machine import launch, leftovers, procfs
from autovibe.drivers.machine.cgroups import MachineGroups
from autovibe.drivers.machine.freezing import Freezer
from autovibe.drivers.machine.output import OutputPipe
from autovibe.kernel.clock import Clock

SAMPLE_PERIOD_S: Final = 1.0
KILL_TIMEOUT_S: Final = 10.0
_KILLED: Final = 128 + signal.SIGKILL
_MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Parts:
    """What a driver hands over when a machine has been started."""

    machine_id: str
    vm_id: str
    inside: launch.Inside
    process: subprocess.Popen[bytes]
    pidfd: int
    program_pid: int | None
    listener: socket.socket
    output: OutputPipe
    groups: MachineGroups
    limits: Limits
    enforced: Mapping[str, str]
    scratch: Path
    clock: Clock


class RunningMachine:
    """One machine. Subclasses say who is in it and how all of them are ended."""

    def __init__(self, parts: Parts) -> None:
        """Take over the parts; they are released by `destroy()`."""
        self._parts = parts
        self._groups = parts.groups
        self._freezer = Freezer(parts.groups, self._members, parts.clock)
        self._program_pidfd = _open_pidfd(parts.program_pid)
        self._usage = Usage(0.0, 0, 0)
        self._over: str | None = None
        self._ending = False
        self._destroying: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        loop.add_reader(parts.pidfd, self._on_end)
        self._sampler: asyncio.Task[None] | None = None
        if "sampled" in parts.enforced.values():
            self._sampler = asyncio.create_task(self._sample_on())

    # -- who is in it ------------------------------------------------------------------------

    def _members(self) -> Sequence[int]:
        """Return every process of the machine but those that only hold it together."""
        raise NotImplementedError

    def _signal_all(self) -> None:
        """Start to end every process of the machine; called again until all are gone."""
        raise NotImplementedError

    def _is_empty(self) -> bool:
        """Return whether no process of the machine is left."""
        raise NotImplementedError

    def _extra_memory_bytes(self) -> int:
        """Return memory that belongs to no process: files in memory."""
        return 0

    # -- the contract ------------------------------------------------------------------------

    @property
    def machine_id(self) -> str:
        """The id given in the spec."""
        return self._parts.machine_id

    @property
    def vm_id(self) -> str:
        """The driver's own name for it, unique on this host."""
        return self._parts.vm_id

    @property
    def listener(self) -> socket.socket:
        """The listening socket that only programs inside this machine are meant to reach."""
        return self._parts.listener

    @property
    def pid(self) -> int:
        """Host pid of the machine's outermost process."""
        return self._parts.process.pid

    def process_ids(self) -> list[int]:
        """Return the host pids of the programs in the machine, none once it has ended."""
        return [] if self._ended.done() else list(self._members())

    @property
    def workspace_inside(self) -> str:
        """Path of the workspace as programs in the machine see it."""
        return self._parts.inside.workspace

    @property
    def home_inside(self) -> str:
        """Path of the home as programs in the machine see it."""
        return self._parts.inside.home

    @property
    def enforced(self) -> Mapping[str, str]:
        """How each limit is kept: `cgroup`, `rlimit`, `sampled` or `none`."""
        return self._parts.enforced

    def output(self) -> AsyncIterator[bytes]:
        """Yield the program's standard output by lines until it ends; may be iterated once."""
        return self._parts.output.lines()

    async def wait(self) -> Exit:
        """Wait until the program, and with it the machine, has ended and return how."""
        return await asyncio.shield(self._ended)

    async def freeze(self) -> None:
        """Stop every process of the machine; returns once none of them runs.

        Raises:
            UnavailableError: a process did not stop in time; all were let go on.
        """
        if not self._ended.done():
            await self._freezer.freeze()

    async def thaw(self) -> None:
        """Let the processes go on. Does nothing when they are not frozen."""
        self._freezer.thaw()

    async def stop(self, grace_s: float) -> Exit:
        """Ask the program to end, and end every process after `grace_s` seconds."""
        self._freezer.thaw()
        self._ending = True
        if not self._ended.done() and self._program_pidfd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._program_pidfd, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    return await self.wait()
        await self._end_all()
        return await self.wait()

    async def destroy(self) -> None:
        """End every process and release listener, groups and scratch files. Idempotent."""
        if self._destroying is None:
            self._destroying = asyncio.create_task(self._destroy())
        await asyncio.shield(self._destroying)

    async def usage(self) -> Usage:
        """Return what the machine has used; the last known numbers once it has ended."""
        if not self._ended.done():
            await asyncio.to_thread(self._measure)
        return self._usage

    # -- inside ------------------------------------------------------------------------------

    def _on_end(self) -> None:
        """Record how it ended: the outermost process is gone, and with it all others."""
        process = self._parts.process
        spent_s = 0.0
        with contextlib.suppress(ChildProcessError):  # somebody has asked for its status already
            pid, status, spent = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                spent_s = spent.ru_utime + spent.ru_stime
        code = process.poll()
        if code is None:
            return
        asyncio.get_running_loop().remove_reader(self._parts.pidfd)
        code = code if code >= 0 else 128 - code
        self._measure()
        # Where no group counts, what the last processes used shows here only.
        cpu_s = max(self._usage.cpu_s, spent_s)
        self._usage = replace(self._usage, cpu_s=cpu_s, memory_bytes=0)
        if not self._ended.done():
            self._ended.set_result(Exit(code, self._limit_that_ended(code)))

    def _limit_that_ended(self, code: int) -> str | None:
        """Name the limit behind an exit.

        The kernel ends a process for memory with SIGKILL; for too many processes it only refuses
        new ones, so any failure after such a refusal counts. What we ended ourselves does not.
        """
        if self._over is not None or self._ending or code == 0:
            return self._over
        hit = self._groups.limit_hit()
        return None if hit == "memory" and code != _KILLED else hit

    def _measure(self) -> None:
        """Bring `_usage` up to date; what was measured never falls."""
        members = self._members()
        counted = self._groups.cpu_s()
        cpu_s = procfs.cpu_seconds(members) if counted is None else counted
        memory = self._groups.memory_bytes()
        if memory is None:
            memory = procfs.memory_bytes(members) + self._extra_memory_bytes()
        peak = self._groups.memory_peak_bytes()
        before = self._usage
        self._usage = Usage(
            max(before.cpu_s, cpu_s),
            max(before.memory_peak_bytes, memory if peak is None else peak),
            len(members),
            memory,
        )

    async def _sample_on(self) -> None:
        """End the machine once it is over a limit that the kernel does not keep for us."""
        while not self._ended.done():
            self._over = await asyncio.to_thread(self._sample)
            if self._over is not None:
                await self._end_all()
                return
            await asyncio.sleep(SAMPLE_PERIOD_S)

    def _sample(self) -> str | None:
        limits, enforced = self._parts.limits, self._parts.enforced
        members = self._members()
        if (
            enforced.get("processes") == "sampled"
            and limits.processes is not None
            and procfs.tasks(members) > limits.processes
        ):
            return "processes"
        if enforced.get("memory") == "sampled" and limits.memory_mb is not None:
            used = procfs.memory_bytes(members) + self._extra_memory_bytes()
            self._usage = replace(
                self._usage, memory_peak_bytes=max(self._usage.memory_peak_bytes, used)
            )
            if used > limits.memory_mb * _MIB:
                return "memory"
        return None

    async def _end_all(self) -> None:
        """Return once no process is left, or it is certain that one cannot be ended."""
        self._ending = True
        deadline = self._parts.clock.monotonic() + KILL_TIMEOUT_S
        while self._parts.clock.monotonic() < deadline:
            self._signal_all()
            if self._ended.done() and self._is_empty():
                return
            await asyncio.sleep(0.002)

    async def _destroy(self) -> None:
        if self._sampler is not None:
            self._sampler.cancel()
        self._parts.listener.close()
        if not self._ended.done():
            await asyncio.to_thread(self._measure)
        await self._end_all()
        self._usage = replace(self._usage, processes=0)
        self._parts.output.close()
        await asyncio.to_thread(self._groups.remove)
        leftovers.remove_scratch(self._parts.scratch)
        for descriptor in (self._parts.pidfd, self._program_pidfd):
            if descriptor is not None:
                asyncio.get_running_loop().remove_reader(descriptor)
                os.close(descriptor)
        self._program_pidfd = None


def _open_pidfd(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended already
        return None

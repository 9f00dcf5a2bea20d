"""Machines as plain processes of the user: no isolation, only supervision.

For people who know what they run, and for hosts where nothing else works (decision C1).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from autovibe.domains.machines.driver import MachineSpec, Probe
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine import launch, leftovers, procfs
from autovibe.drivers.machine.attempt import Attempt, attempt, enforcement
from autovibe.drivers.machine.cgroups import Hierarchies, host_hierarchies
from autovibe.drivers.machine.running import Parts, RunningMachine
from autovibe.drivers.machine.trial import run_trivial
from autovibe.kernel.clock import Clock, SystemClock

_PATIENCE_ROUNDS: Final = 500
"""How often the supervisor is asked before everything is killed without it."""


class ProcessMachine(RunningMachine):
    """A program below a supervisor that adopts and ends whatever it leaves behind."""

    def __init__(self, parts: Parts) -> None:
        """Take over the parts; the outermost process is the supervisor."""
        self._asked = 0
        super().__init__(parts)

    def _members(self) -> Sequence[int]:
        return procfs.descendants(self._parts.process.pid)

    def _signal_all(self) -> None:
        process = self._parts.process
        self._groups.kill()
        self._asked += 1
        if process.returncode is not None:
            for pid in self._orphans():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            return
        # The program can stop its supervisor, so it is continued first.
        for number in (signal.SIGCONT, signal.SIGTERM):
            process.send_signal(number)
        if self._asked > _PATIENCE_ROUNDS:
            for pid in (*self._members(), process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _is_empty(self) -> bool:
        return not self._groups.pids() and not self._orphans()

    def _orphans(self) -> list[int]:
        """Return processes that outlived the supervisor, known by their temporary directory."""
        return procfs.with_environment(f"TMPDIR={self._parts.inside.tmp}")


class ProcessDriver:
    """Starts machines as processes of the user that autovibe runs as."""

    name = "process"
    isolated = False

    def __init__(
        self,
        scratch: Path,
        clock: Clock | None = None,
        *,
        hierarchies: Hierarchies | None = None,
    ) -> None:
        """Prepare.

        Args:
            scratch: private directory for small files of running machines.
            clock: measures how long freezing and ending take.
            hierarchies: where control groups are made; found on this host when not given.
        """
        self._scratch = scratch
        self._clock: Clock = clock or SystemClock()
        self._hierarchies = host_hierarchies() if hierarchies is None else hierarchies
        self._probe: Probe | None = None
        self._probing = asyncio.Lock()

    async def probe(self) -> Probe:
        """Start a trivial program and report; the result is kept from the first call on."""
        async with self._probing:
            if self._probe is None:
                try:
                    enforced = await run_trivial(self.spawn, self._scratch, Path(sys.executable))
                except MachineSpawnError as error:
                    self._probe = Probe(ok=False, reason=error.message)
                else:
                    self._probe = Probe(ok=True, enforced=enforced)
        return self._probe

    async def spawn(self, spec: MachineSpec) -> ProcessMachine:
        """Start a machine; must be called on the main thread.

        Raises:
            MachineSpawnError: it could not be started; nothing is left behind.
        """
        launch.check_spec(spec)
        name = launch.vm_id(self.name, spec.machine_id)
        async with attempt(spec, name, self._scratch, self._hierarchies) as started:
            return await self._start(started)

    async def _start(self, started: Attempt) -> ProcessMachine:
        spec = started.spec
        started.end_signal = signal.SIGTERM
        started.listener = _listen()
        inside = _inside(spec, started.scratch, started.listener.getsockname()[1])
        os.mkdir(inside.tmp, 0o700)  # noqa: PTH102 - one quick call, before anything runs
        command = [sys.executable, "-I", "-S", str(launch.INNER), str(started.control_inside)]
        process = started.start([*command, *_mark(started.name)])
        orders = launch.orders(
            _at_host_paths(spec), inside, supervise=True, join=started.groups.directories
        )
        await launch.send_orders(started.control, orders)
        answer, _ = await launch.receive_answer(started.control)
        program = answer.get("program")
        if not isinstance(program, int):
            raise MachineSpawnError("The supervisor did not say what it started; try again.")
        started.groups.keep_only(_paths(answer.get("joined")))
        leftovers.make_record([process.pid, program], started.groups.directories).write(
            started.scratch
        )
        parts = Parts(
            machine_id=spec.machine_id,
            vm_id=started.name,
            inside=inside,
            process=process,
            pidfd=started.pidfd(),
            program_pid=program,
            listener=started.listener,
            output=started.output,
            groups=started.groups,
            limits=spec.limits,
            enforced=enforcement(started.groups, spec.limits),
            scratch=started.scratch,
            clock=self._clock,
        )
        return ProcessMachine(parts)

    async def end_leftover(self, vm_id: str, pid: int | None) -> bool:  # noqa: ARG002 - the contract
        """End what a dead control-plane process left; returns whether there was anything.

        Found by its record, by its name among the supervisor's arguments, and by the temporary
        directory that its programs have in their environment; `pid` alone proves nothing.
        """
        others = leftovers.marked(_mark(vm_id))
        others += [below for supervisor in others for below in procfs.descendants(supervisor)]
        others += procfs.with_environment(f"TMPDIR={_tmp(self._scratch / vm_id)}")
        return await leftovers.end_leftovers(self._scratch, vm_id, others)


def _at_host_paths(spec: MachineSpec) -> MachineSpec:
    """Name what is bound by its own path: there is no other root to show it in."""

    def host(text: str) -> str:
        for bind in spec.binds:
            if text == bind.inside or text.startswith(f"{bind.inside}/"):
                return f"{bind.host}{text.removeprefix(bind.inside)}"
        return text

    return replace(
        spec,
        argv=[host(text) for text in spec.argv],
        env={name: host(text) for name, text in spec.env.items()},
        path_prefix=[host(text) for text in spec.path_prefix],
    )


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _mark(name: str) -> tuple[str, str]:
    """Return arguments that do nothing but make the supervisor of machine `name` known."""
    return ("--machine", name)


def _paths(joined: object) -> list[Path]:
    """Return the groups that the program says it has joined."""
    if not isinstance(joined, list):
        return []
    return [Path(str(procs)).parent for procs in cast("list[object]", joined)]


def _tmp(scratch: Path) -> str:
    return str(scratch / "tmp")


def _inside(spec: MachineSpec, scratch: Path, port: int) -> launch.Inside:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return launch.Inside(str(spec.workspace), str(spec.home), _tmp(scratch), user, port)

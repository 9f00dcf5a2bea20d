"""Starting one machine so that nothing is left when it fails at any point."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Limits, MachineSpec
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine import launch, leftovers, procfs
from autovibe.drivers.machine.cgroups import Hierarchies, MachineGroups, make_groups
from autovibe.drivers.machine.output import OutputPipe

_GONE_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.001


class Attempt:
    """What a machine being started owns; all of it is undone unless `succeeded()` is called."""

    end_signal = signal.SIGKILL
    """What ends everything in the machine when its outermost process gets it."""

    def __init__(self, spec: MachineSpec, name: str, scratch: Path, groups: MachineGroups) -> None:
        """Make the control socket and the output pipe."""
        self.spec = spec
        self.name = name
        self.scratch = scratch
        self.groups = groups
        self.control, self._control_inside = socket.socketpair()
        self.control.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        reading, self._output_inside = os.pipe2(os.O_CLOEXEC)
        self.output = OutputPipe(reading)
        self.process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self.listener: socket.socket | None = None

    @property
    def control_inside(self) -> int:
        """The descriptor that `inner.py` is told."""
        return self._control_inside.fileno()

    def start(self, command: Sequence[str], keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start the outermost process; it inherits `keep` and the control socket.

        Raises:
            MachineSpawnError: it could not be started.
        """
        self.process = launch.start(
            command,
            keep=[self.control_inside, *keep],
            stdout=self._output_inside,
            stderr_path=self.spec.stderr_path,
        )
        self._close_inside()
        self._pidfd = os.pidfd_open(self.process.pid)
        return self.process

    def pidfd(self) -> int:
        """Return the pidfd of the outermost process, for the running machine to keep."""
        assert self._pidfd is not None
        return self._pidfd

    def succeeded(self) -> None:
        """Release what is needed for starting only; the rest belongs to the machine now."""
        self.control.close()

    def _close_inside(self) -> None:
        self._control_inside.close()
        if self._output_inside >= 0:
            os.close(self._output_inside)
            self._output_inside = -1

    async def abandon(self) -> bytes:
        """Undo everything; returns what the machine printed."""
        self._close_inside()
        self.control.close()
        if self.process is not None and self._pidfd is not None:
            self.groups.kill()
            await self._end(self.process)
            await launch.readable(self._pidfd)
            self.process.wait()
            os.close(self._pidfd)
        printed = b""
        # Its end is also the end of every process that was started: they all hold the pipe.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_TIMEOUT_S):
                printed = await self.output.read_all()
        self.output.close()
        if self.listener is not None:
            self.listener.close()
        await asyncio.to_thread(self.groups.remove)
        leftovers.remove_scratch(self.scratch)
        return printed or self._errors()

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End the outermost process, and what it has started so far.

        A child that bubblewrap has only just made does not die with it yet, but waits for ever for
        a word from it [run]. So it is stopped first: then it can make no more, and all go at once.
        """
        below: list[int] = []
        if self.end_signal == signal.SIGKILL and process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            while not procfs.is_stopped(process.pid):  # noqa: ASYNC110 - the kernel sets no event
                await asyncio.sleep(_POLL_S)
            below = procfs.descendants(process.pid)
        for pid, number in [(pid, signal.SIGKILL) for pid in below] + [
            (process.pid, self.end_signal)
        ]:
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def _errors(self) -> bytes:
        if self.spec.stderr_path is None:
            return b""
        with contextlib.suppress(OSError):
            return self.spec.stderr_path.read_bytes()[-4096:]
        return b""


@contextlib.asynccontextmanager
async def attempt(
    spec: MachineSpec, name: str, scratch: Path, hierarchies: Hierarchies
) -> AsyncGenerator[Attempt, None]:
    """Give an attempt that is undone when the block fails, is cancelled or takes too long.

    Raises:
        MachineSpawnError: whatever went wrong, with what the machine printed.
    """
    directory = leftovers.make_scratch(scratch, name)
    groups = make_groups(hierarchies, name, spec.limits)
    try:
        started = Attempt(spec, name, directory, groups)
    except OSError as error:
        groups.remove()
        leftovers.remove_scratch(directory)
        raise MachineSpawnError(f"The machine could not be started: {error}.") from error
    try:
        async with asyncio.timeout(launch.SPAWN_TIMEOUT_S):
            yield started
        started.succeeded()
    except MachineSpawnError as error:
        raise launch.explain(error, await started.abandon()) from error
    except TimeoutError as error:
        late = MachineSpawnError(
            f"The machine did not start within {launch.SPAWN_TIMEOUT_S:g} s; try again when the"
            " host is less busy."
        )
        raise launch.explain(late, await started.abandon()) from error
    except OSError as error:
        failed = MachineSpawnError(f"The machine could not be started: {error}.")
        raise launch.explain(failed, await started.abandon()) from error
    except BaseException:
        await started.abandon()
        raise


def enforcement(groups: MachineGroups, limits: Limits) -> dict[str, str]:
    """Say how each limit is kept: by the kernel, by looking every second, or not at all."""
    kept = groups.enforced
    return {
        "cpus": kept.get("cpus", "none"),
        "memory": "none" if limits.memory_mb is None else kept.get("memory", "sampled"),
        "processes": "none" if limits.processes is None else kept.get("processes", "sampled"),
        "disk_write": "none",
    }

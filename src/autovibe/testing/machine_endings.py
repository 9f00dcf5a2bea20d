"""The part of the machine conformance kit about freezing, limits and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

from autovibe.domains.machines.driver import Exit, Limits
from autovibe.testing.machine_case import (
    COUNTERS,
    DAEMONS,
    DEAF,
    MachineCase,
    assert_nothing_left,
    doomed_control_plane,
    first_line,
    groups_of,
    number_in,
    processes_of,
    until,
)

Check: TypeAlias = Callable[[MachineCase, Path], Awaitable[None]]

_SLEEP: Final = "print('ready', flush=True)\nimport time\ntime.sleep(1000)\n"
_COUNTERS: Final = ("main", "child", "daemon")
_MAPPERS: Final = """
import mmap, os, time
def hold(name):
    with open(name, "w+b") as file:
        file.truncate(4096)
        held = mmap.mmap(file.fileno(), 4096)
    open(name + ".held", "w").close()
    time.sleep(1000)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        hold("daemon")
    os._exit(0)
if os.fork() == 0:
    hold("child")
hold("main")
"""


async def check_freeze_stops_everything(case: MachineCase, directory: Path) -> None:
    """No process counts on while frozen, not even a daemon; all do after the thaw."""
    spec = case.spec(directory, COUNTERS)
    files = [spec.workspace / name for name in _COUNTERS]
    async with case.running(directory, spec) as machine:
        await until(lambda: all(number_in(file) > 0 for file in files))
        for _ in range(5):
            await machine.freeze()
            await machine.freeze()
            before = [number_in(file) for file in files]
            await asyncio.sleep(0.02)
            assert [number_in(file) for file in files] == before
            await machine.thaw()
            await machine.thaw()
            await until(
                lambda seen=before: all(
                    number_in(file) > old for file, old in zip(files, seen, strict=True)
                )
            )
        await machine.freeze()  # and is destroyed frozen


def _shared_inodes(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/maps").read_text("ascii", "replace").splitlines()
    return [line.split()[4] for line in lines if line.split()[1].endswith("s")]


async def check_processes_are_known_by_their_host_pids(case: MachineCase, directory: Path) -> None:
    """What any program maps can be read on the host while it is frozen; none is left at the end."""
    spec = case.spec(directory, _MAPPERS)
    async with case.running(directory, spec) as machine:
        held = [spec.workspace / f"{name}.held" for name in _COUNTERS]
        await until(lambda: all(path.exists() for path in held))
        await machine.freeze()
        pids = machine.process_ids()
        mapped = {inode for pid in pids for inode in _shared_inodes(pid)}
        await machine.thaw()
        assert {str((spec.workspace / name).stat().st_ino) for name in _COUNTERS} <= mapped
        assert not {os.getpid(), machine.pid} & set(pids)
        await machine.destroy()
        assert machine.process_ids() == []


async def check_frozen_machine_can_be_stopped(case: MachineCase, directory: Path) -> None:
    """Stopping thaws first, so that the program can end as asked."""
    text = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        "sys.exit(5)\n"
    )
    async with case.running(directory, case.spec(directory, text)) as machine:
        await first_line(machine)
        await machine.freeze()
        assert await machine.stop(60) == Exit(5)


async def check_stop_ends_the_deaf(case: MachineCase, directory: Path) -> None:
    """A program that ignores SIGTERM is ended after the grace time."""
    async with case.running(directory, case.spec(directory, DEAF)) as machine:
        assert await first_line(machine) == b"deaf\n"
        assert await machine.stop(0.05) == Exit(128 + signal.SIGKILL)


async def check_daemons_end_with_the_program(case: MachineCase, directory: Path) -> None:
    """When the program has ended, nothing that it started is left."""
    spec = case.spec(directory, DAEMONS)
    async with case.running(directory, spec) as machine:
        assert await machine.wait() == Exit(0)
        await until(lambda: processes_of(spec.machine_id) == [])


async def check_destroy_ends_daemons(case: MachineCase, directory: Path) -> None:
    """Neither another session nor another parent saves a process; destroying twice is harmless."""
    spec = case.spec(directory, DAEMONS + "time.sleep(1000)\n")
    async with case.running(directory, spec) as machine:
        await first_line(machine)
        assert len(processes_of(spec.machine_id)) >= 4
        await asyncio.gather(machine.destroy(), machine.destroy())
        assert processes_of(spec.machine_id) == []
        assert machine.listener.fileno() == -1
        assert (await machine.wait()).code == 128 + signal.SIGKILL
    assert spec.workspace.is_dir()


async def check_supervisor_death_ends_the_program(case: MachineCase, directory: Path) -> None:
    """Ending the outermost process ends the program, and `destroy()` finds the rest."""
    spec = case.spec(directory, DAEMONS + "time.sleep(1000)\n")
    async with case.running(directory, spec) as machine:
        await first_line(machine)
        os.kill(machine.pid, signal.SIGKILL)
        assert (await machine.wait()).code == 128 + signal.SIGKILL


async def check_memory_limit_ends_a_hog(case: MachineCase, directory: Path) -> None:
    """A program over its memory is ended, and the exit names the limit."""
    text = (
        "held = []\nfor _ in range(60): held.append(bytearray(b'x' * (4 << 20)))\n"
        "import time\ntime.sleep(1000)\n"
    )
    spec = case.spec(directory, text, limits=Limits(memory_mb=96))
    async with case.running(directory, spec) as machine:
        assert machine.enforced["memory"] in {"cgroup", "sampled"}
        assert await machine.wait() == Exit(128 + signal.SIGKILL, "memory")


async def check_process_limit_ends_a_crowd(case: MachineCase, directory: Path) -> None:
    """Too many processes are refused or ended, and the exit names the limit."""
    text = (
        "import os, time\nfor _ in range(60):\n    if os.fork() == 0: time.sleep(1000)\n"
        "time.sleep(1000)\n"
    )
    spec = case.spec(directory, text, limits=Limits(processes=30))
    async with case.running(directory, spec) as machine:
        assert machine.enforced["processes"] in {"cgroup", "sampled"}
        ended = await machine.wait()
    assert ended.code != 0
    assert ended.limit == "processes"


async def check_limits_can_be_left_out(case: MachineCase, directory: Path) -> None:
    """No limit is claimed where none was asked for."""
    spec = case.spec(directory, "pass", limits=Limits(cpus=None, memory_mb=None, processes=None))
    async with case.running(directory, spec) as machine:
        assert set(machine.enforced.values()) == {"none"}
        assert await machine.wait() == Exit(0)


async def check_machine_dies_with_its_control_plane(case: MachineCase, directory: Path) -> None:
    """After `kill -9` of the control plane nothing runs on; what is left is cleared away once."""
    for program, frozen in ((DAEMONS + "time.sleep(1000)\n", False), (DEAF, True)):
        spec = case.spec(directory, program)
        async with doomed_control_plane(case, directory, spec, frozen=frozen) as (vm_id, pid):
            if not frozen:  # a stopped one may have to be found
                await until(lambda who=spec: processes_of(who.machine_id) == [])
            successor = case.driver(directory)
            assert await successor.end_leftover(vm_id, pid)
            assert_nothing_left(case.scratch(directory), spec)
            assert not await successor.end_leftover(vm_id, pid)


async def check_strangers_are_left_alone(case: MachineCase, directory: Path) -> None:
    """A pid that is another process's by now, or a name that is none of ours, ends nothing."""
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    driver = case.driver(directory)
    spec = case.spec(directory, _SLEEP)
    try:
        async with case.running(directory, spec, driver) as machine:
            await first_line(machine)
            gone = machine.vm_id.replace(spec.machine_id, "00000000-0000-0000-0000-000000000000")
            for name in (gone, "../../etc", "", "/", machine.vm_id[:-1]):
                assert not await driver.end_leftover(name, stranger.pid)
                assert not await driver.end_leftover(name, machine.pid)
            assert processes_of(spec.machine_id)
            assert stranger.returncode is None
    finally:
        await stranger.communicate(b"\n")
    assert stranger.returncode == 0


async def check_cancelled_start_leaves_nothing(case: MachineCase, directory: Path) -> None:
    """Giving up at any moment of the start leaves nothing, or a machine that is handed over."""
    driver = case.driver(directory)
    await driver.probe()
    for turns in range(12):
        spec = case.spec(directory, _SLEEP)
        starting = asyncio.ensure_future(driver.spawn(spec))
        for _ in range(turns):
            await asyncio.sleep(0.004)
        starting.cancel()
        try:
            machine = await starting
        except asyncio.CancelledError:
            await until(lambda who=spec: processes_of(who.machine_id) == [])
        else:
            await machine.destroy()
        assert groups_of(spec.machine_id) == []
        assert_nothing_left(case.scratch(directory), spec)


CHECKS: Final[dict[str, Check]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_freeze_stops_everything,
        check_processes_are_known_by_their_host_pids,
        check_frozen_machine_can_be_stopped,
        check_stop_ends_the_deaf,
        check_daemons_end_with_the_program,
        check_destroy_ends_daemons,
        check_supervisor_death_ends_the_program,
        check_memory_limit_ends_a_hog,
        check_process_limit_ends_a_crowd,
        check_limits_can_be_left_out,
        check_machine_dies_with_its_control_plane,
        check_strangers_are_left_alone,
        check_cancelled_start_leaves_nothing,
    )
}
"""These checks by their names."""

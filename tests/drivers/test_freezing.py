"""Freezing by signals, where the kernel has no freezer for us."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from autovibe.drivers.machine.cgroups import Hierarchies, MachineGroups
from autovibe.drivers.machine.freezing import FREEZE_TIMEOUT_S, Freezer
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.procfs import is_stopped
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import UnavailableError
from autovibe.testing.machine_case import MachineCase, number_in, until

FORKING = """
import os
number = 0
while True:
    number += 1
    if os.fork() == 0:
        with open(f"count.{number % 2}", "w") as file:
            file.write(str(number))
        os._exit(0)
    if number > 8:
        os.wait()
"""
THREADS = """
import threading
def count(name):
    number = 0
    while True:
        number += 1
        with open(name, "r+" if number > 1 else "w") as file:
            file.write(str(number))
for name in ("count.0", "count.1"):
    threading.Thread(target=count, args=(name,)).start()
"""


@pytest.mark.parametrize("driver", [ProcessDriver, SandboxDriver])
@pytest.mark.parametrize("program", [FORKING, THREADS], ids=["forking", "threads"])
async def test_restless_programs_stand_still(driver, program, tmp_path):
    case = MachineCase(
        lambda scratch: driver(scratch, hierarchies=Hierarchies()), "", "", str(own_interpreter())
    )
    spec = case.spec(tmp_path, program)
    files = [spec.workspace / f"count.{number}" for number in range(2)]
    async with case.running(tmp_path, spec) as machine:
        await until(lambda: all(number_in(file) > 0 for file in files))
        for _ in range(3):
            await machine.freeze()
            before = [file.read_text() for file in files]
            await asyncio.sleep(0.03)
            assert [file.read_text() for file in files] == before
            await machine.thaw()
            await until(lambda old=before: [file.read_text() for file in files] != old)


async def test_process_stopped_before_stays_stopped():
    """A job that a shell has stopped is not ours to continue."""
    one, two = [await asyncio.create_subprocess_exec("sleep", "1000") for _ in range(2)]
    try:
        os.kill(one.pid, signal.SIGSTOP)
        await until(lambda: is_stopped(one.pid))
        freezer = Freezer(MachineGroups(), lambda: [one.pid, two.pid], SystemClock())
        await freezer.freeze()
        assert is_stopped(two.pid)
        freezer.thaw()
        await until(lambda: not is_stopped(two.pid))
        assert is_stopped(one.pid)
    finally:
        for process in (one, two):
            process.kill()
            await process.wait()


async def test_process_that_does_not_stop_lets_all_go_on():
    class Impatient:
        def __init__(self):
            self.reading = 0.0

        def monotonic(self):
            self.reading += FREEZE_TIMEOUT_S / 2
            return self.reading

        now = SystemClock.now

    sleeper = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        # The first process of a namespace takes no signal that it has not asked for from inside.
        freezer = Freezer(MachineGroups(), lambda: [1, sleeper.pid], Impatient())
        with pytest.raises(UnavailableError, match="did not stop"):
            await freezer.freeze()
        assert not freezer.frozen
        await until(lambda: not is_stopped(sleeper.pid))
    finally:
        sleeper.kill()
        await sleeper.wait()

"""Ten sandboxes at once: each keeps its own limits, and none feels those of another."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from pathlib import Path

import pytest

from autovibe.domains.machines.driver import Exit, Limits, Machine
from autovibe.drivers.machine.cgroups import Hierarchies
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import MachineCase, assert_nothing_left

HOG = """
held = []
for _ in range(60):
    held.append(bytearray(b"x" * (4 << 20)))
import time
time.sleep(1000)
"""
CROWD = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        time.sleep(1000)
time.sleep(1000)
"""
# Within its limits, and at work until it is told that all others have ended.
MODEST = """
import os, time
held = bytearray(b"x" * (24 << 20))
children = [os.fork() for _ in range(1)]
if children[0] == 0:
    time.sleep(1000)
print("begun", flush=True)
while not os.path.exists("enough"):
    time.sleep(0.05)
os.kill(children[0], 9)
print("done", flush=True)
"""
KILLED = 128 + signal.SIGKILL
DRIVERS = {"groups": SandboxDriver, "sampled": partial(SandboxDriver, hierarchies=Hierarchies())}


@pytest.mark.long
@pytest.mark.parametrize("kind", DRIVERS)
async def test_each_of_ten_machines_keeps_its_own_limits(kind: str, tmp_path: Path) -> None:
    case = MachineCase(DRIVERS[kind], "", "", str(own_interpreter()))
    driver = case.driver(tmp_path)
    memory = Limits(memory_mb=96, processes=200)
    processes = Limits(memory_mb=1024, processes=20)
    specs = [
        *(case.spec(tmp_path, HOG, limits=memory) for _ in range(4)),
        *(case.spec(tmp_path, CROWD, limits=processes) for _ in range(3)),
        *(case.spec(tmp_path, MODEST, limits=memory) for _ in range(3)),
    ]
    async with contextlib.AsyncExitStack() as stack:
        machines: list[Machine] = []
        for spec in specs:
            machine = await driver.spawn(spec)
            stack.push_async_callback(machine.destroy)
            machines.append(machine)
        assert len(machines) == 10
        for machine in machines:
            expected = "sampled" if kind == "sampled" else machine.enforced["memory"]
            assert machine.enforced["memory"] == expected != "none"
        modest = [machine.output() for machine in machines[7:]]
        for output in modest:
            assert await anext(output) == b"begun\n"

        ended = await asyncio.gather(*(machine.wait() for machine in machines[:7]))
        assert ended[:4] == [Exit(KILLED, "memory")] * 4
        assert [one.limit for one in ended[4:]] == ["processes"] * 3
        # The others work on: no limit is shared.
        for spec, output in zip(specs[7:], modest, strict=True):
            (spec.workspace / "enough").touch()
            assert await anext(output) == b"done\n"
        assert [await machine.wait() for machine in machines[7:]] == [Exit(0)] * 3
        for machine in machines[7:]:
            used = await machine.usage()
            # What is sampled once a second may miss the highest point.
            least = 24 << 20 if machine.enforced["memory"] == "cgroup" else 1
            assert least <= used.memory_peak_bytes <= 96 << 20
    for spec in specs:
        assert_nothing_left(case.scratch(tmp_path), spec)

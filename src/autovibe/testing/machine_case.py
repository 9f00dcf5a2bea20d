"""What the machine conformance checks share: a driver to try, programs, the look afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Bind, Limits, Machine, MachineDriver, MachineSpec
from autovibe.kernel.ids import new_id

_POLL_S: Final = 0.005

COUNTERS: Final = """
import os, sys
def count(name):
    number = 0
    while True:
        number += 1
        with open(name + ".new", "w") as file:
            file.write(str(number))
        os.rename(name + ".new", name)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        count("daemon")
    os._exit(0)
if os.fork() == 0:
    count("child")
count("main")
"""
"""Counts for ever in the program, in a child, and in a daemon that left session and parent."""

DEAF: Final = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    time.sleep(1000)
"""
"""Ends for no polite signal."""

DAEMONS: Final = """
import os, sys, time
sys.stdout.flush()
for number in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
            open("daemon%d" % number, "w").close()
            time.sleep(1000)
        os._exit(0)
while not all(os.path.exists("daemon%d" % number) for number in range(3)):
    time.sleep(0.005)
print("ready", flush=True)
"""
"""Leaves three daemons with other sessions and parents behind, then goes on with what follows."""


@dataclass(frozen=True)
class MachineCase:
    """A driver under test.

    `make` gives a driver that keeps its files in the given directory; `source` is the text of a
    Python expression for the same (`scratch` is defined in it), with `imports` before it, for a
    control plane that is killed. `python` runs in its machines and on the host.
    """

    make: Callable[[Path], MachineDriver]
    imports: str
    source: str
    python: str

    def scratch(self, directory: Path) -> Path:
        """Return where the driver keeps its files during a check."""
        return directory / "scratch"

    def driver(self, directory: Path) -> MachineDriver:
        """Return a fresh driver."""
        return self.make(self.scratch(directory))

    def spec(
        self,
        directory: Path,
        program: str,
        *,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        binds: Sequence[Bind] = (),
        path_prefix: Sequence[str] = (),
        stderr_path: Path | None = None,
    ) -> MachineSpec:
        """Return the spec of a new machine that runs a Python text."""
        machine_id = str(new_id())
        workspace = directory / "machines" / machine_id / "workspace"
        home = workspace.with_name("home")
        workspace.mkdir(parents=True)
        home.mkdir()
        # The id as last argument: whatever the program starts by forking is found by it.
        argv = [self.python, "-I", "-S", "-c", program, machine_id]
        return MachineSpec(
            machine_id=machine_id,
            workspace=workspace,
            home=home,
            argv=argv,
            env=env or {},
            binds=binds,
            path_prefix=path_prefix,
            limits=limits or Limits(),
            stderr_path=stderr_path,
        )

    @contextlib.asynccontextmanager
    async def running(
        self, directory: Path, spec: MachineSpec, driver: MachineDriver | None = None
    ) -> AsyncGenerator[Machine]:
        """Start a machine, and see afterwards that nothing of it is left on the host."""
        machine = await (driver or self.driver(directory)).spawn(spec)
        try:
            yield machine
        finally:
            await machine.destroy()
        assert_nothing_left(self.scratch(directory), spec)

    async def run(self, directory: Path, spec: MachineSpec) -> tuple[bytes, int]:
        """Run a program to its end and return its output and exit code."""
        async with self.running(directory, spec) as machine:
            output = b"".join([line async for line in machine.output()])
            return output, (await machine.wait()).code


def processes_of(machine_id: str) -> list[int]:
    """Return the living processes that have the machine's id in an argument."""
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # Empty for a process that has ended and only waits to be noticed.
            if machine_id.encode() in Path(entry.path, "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def groups_of(machine_id: str) -> list[str]:
    """Return the control groups that carry the machine's id."""
    return [
        os.path.join(parent, name)  # noqa: PTH118 - os.walk speaks in strings
        for parent, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if machine_id in name
    ]


def assert_nothing_left(scratch: Path, spec: MachineSpec) -> None:
    """Look for processes, control groups and files of a machine that is gone."""
    assert processes_of(spec.machine_id) == []
    assert groups_of(spec.machine_id) == []
    assert not scratch.exists() or list(scratch.iterdir()) == []


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is going to happen; the test's own time limit is the only one."""
    while not condition():  # noqa: ASYNC110 - processes and files of others set no event
        await asyncio.sleep(_POLL_S)


def number_in(path: Path) -> int:
    """Return the number in a file, 0 while there is none."""
    try:
        return int(path.read_text() or 0)
    except OSError:
        return 0


async def first_line(machine: Machine) -> bytes:
    """Return the first line of the output; the rest stays unread."""
    async for line in machine.output():
        return line
    return b""


@contextlib.asynccontextmanager
async def doomed_control_plane(
    case: MachineCase, directory: Path, spec: MachineSpec, *, frozen: bool = False
) -> AsyncGenerator[tuple[str, int]]:
    """Start the machine from another process, and kill that one; gives vm_id and pid."""
    code = f"""
import asyncio, json, sys
from pathlib import Path
from autovibe.domains.machines.driver import MachineSpec
{case.imports}
async def main():
    scratch, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    spec = MachineSpec(orders["id"], Path(orders["workspace"]), Path(orders["home"]),
                       orders["argv"], {{}})
    machine = await ({case.source}).spawn(spec)
    await anext(machine.output())
    if orders["frozen"]:
        await machine.freeze()
    print(json.dumps([machine.vm_id, machine.pid]), flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""
    orders = {
        "id": spec.machine_id,
        "workspace": str(spec.workspace),
        "home": str(spec.home),
        "argv": list(spec.argv),
        "frozen": frozen,
    }
    parent = await asyncio.create_subprocess_exec(
        case.python,
        "-c",
        code,
        str(case.scratch(directory)),
        json.dumps(orders),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert parent.stdout is not None
        vm_id, pid = json.loads(await parent.stdout.readline())
    finally:
        parent.kill()
        await parent.communicate()
    yield str(vm_id), int(pid)

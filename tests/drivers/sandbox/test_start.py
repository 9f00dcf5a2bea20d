"""The moments of a start in which bubblewrap's child does not die with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import pytest

from autovibe.drivers.machine.launch import vm_id
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import MachineCase, assert_nothing_left, processes_of, until

CASE = MachineCase(SandboxDriver, "", "", str(own_interpreter()))


@pytest.fixture
def hesitant(tmp_path):
    """Return a bubblewrap that has made its child and then does nothing more."""
    path = tmp_path / "bwrap"
    path.write_text(f"#!{sys.executable} -IS\nimport os, time\nos.fork()\ntime.sleep(1000)\n")
    path.chmod(0o755)
    return path


async def test_child_just_made_is_ended_with_a_start_given_up(hesitant, tmp_path):
    spec = CASE.spec(tmp_path, "pass")
    starting = asyncio.create_task(CASE.driver(tmp_path)._launch(hesitant, spec))
    await until(lambda: len(processes_of(spec.machine_id)) == 2)
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    assert starting.cancelled()
    assert_nothing_left(CASE.scratch(tmp_path), spec)


async def test_child_just_made_is_found_when_the_control_plane_died(hesitant, tmp_path):
    """There is no record yet, and its parent is gone: only its command line tells."""
    spec = CASE.spec(tmp_path, "pass")
    name = vm_id("sandbox", spec.machine_id)
    command = [str(hesitant), "--hostname", name, "--other"]
    parent = await asyncio.create_subprocess_exec(*command)
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", name, "--hostname", stdin=asyncio.subprocess.PIPE
    )
    try:
        await until(lambda: len(processes_of(spec.machine_id)) == 3)
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        assert len(processes_of(spec.machine_id)) == 2
        assert await CASE.driver(tmp_path).end_leftover(name, None)
        assert processes_of(spec.machine_id) == [stranger.pid]
    finally:
        await stranger.communicate(b"\n")
    assert stranger.returncode == 0
    assert_nothing_left(CASE.scratch(tmp_path), spec)

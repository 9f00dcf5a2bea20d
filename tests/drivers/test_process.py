"""What only the process driver does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from autovibe.domains.machines.driver import Limits
from autovibe.drivers.machine import procfs
from autovibe.drivers.machine.cgroups import Hierarchies
from autovibe.drivers.machine.leftovers import read_record
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import DAEMONS, MachineCase, first_line, processes_of, until

CASE = MachineCase(
    lambda scratch: ProcessDriver(scratch, hierarchies=Hierarchies()),
    "",
    "",
    str(own_interpreter()),
)
NUMBERS = "import time; print('ready', flush=True); time.sleep(1000)"


def test_it_says_that_it_does_not_isolate(tmp_path):
    driver = CASE.driver(tmp_path)
    assert driver.name == "process"
    assert not driver.isolated


async def test_probe_and_machine_claim_the_same_limits(tmp_path):
    driver = ProcessDriver(CASE.scratch(tmp_path))
    async with CASE.running(tmp_path, CASE.spec(tmp_path, "pass"), driver) as machine:
        assert (await driver.probe()).enforced == machine.enforced
    driver = CASE.driver(tmp_path)
    async with CASE.running(tmp_path, CASE.spec(tmp_path, "pass"), driver) as machine:
        assert (await driver.probe()).enforced == machine.enforced


async def test_paths_inside_are_those_of_the_host(tmp_path):
    spec = CASE.spec(tmp_path, "pass")
    async with CASE.running(tmp_path, spec) as machine:
        assert machine.workspace_inside == str(spec.workspace)
        assert machine.home_inside == str(spec.home)


async def test_supervisor_that_the_program_stopped_is_still_ended(tmp_path):
    spec = CASE.spec(
        tmp_path, f"import os, signal; os.kill(os.getppid(), signal.SIGSTOP)\n{NUMBERS}"
    )
    async with CASE.running(tmp_path, spec) as machine:
        await first_line(machine)
        await until(lambda: procfs.is_stopped(machine.pid))
        await machine.stop(0)


async def test_daemons_of_a_killed_supervisor_are_found_by_a_successor(tmp_path):
    """Nobody is left who knows them but the record and their environment."""
    spec = CASE.spec(tmp_path, DAEMONS + "time.sleep(1000)\n")
    driver = CASE.driver(tmp_path)
    async with CASE.running(tmp_path, spec, driver) as machine:
        await first_line(machine)
        os.kill(machine.pid, signal.SIGKILL)
        await machine.wait()
        assert len(processes_of(spec.machine_id)) >= 3
        assert await CASE.driver(tmp_path).end_leftover(machine.vm_id, None)
        assert processes_of(spec.machine_id) == []


async def test_record_of_another_boot_names_nobody(tmp_path):
    spec = CASE.spec(tmp_path, NUMBERS)
    async with CASE.running(tmp_path, spec) as machine:
        await first_line(machine)
        directory = CASE.scratch(tmp_path) / machine.vm_id
        record = read_record(directory)
        assert machine.pid in record.living()
        text = (directory / "record.json").read_text()
        (directory / "record.json").write_text(text.replace(procfs.boot_id(), "another boot"))
        assert read_record(directory).living() == []
        changed = {pid: start + 1 for pid, start in record.processes.items()}
        assert type(record)(record.boot_id, changed, []).living() == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"boot_id": 1}', '{"boot_id": "", "processes": 3}']
)
def test_damaged_record_is_none(text, tmp_path):
    (tmp_path / "record.json").write_text(text)
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "missing") is None


async def test_program_that_dies_with_its_supervisor_takes_no_other_machine_along(tmp_path):
    driver = CASE.driver(tmp_path)
    one, two = CASE.spec(tmp_path, NUMBERS), CASE.spec(tmp_path, NUMBERS, limits=Limits(cpus=None))
    async with CASE.running(tmp_path, one, driver) as first:
        machine = await driver.spawn(two)
        await first_line(machine)
        await machine.destroy()
        await first_line(first)
        assert processes_of(one.machine_id)
        assert Path(f"/proc/{first.pid}").exists()

"""Both drivers pass the kit, with control groups and without."""

from __future__ import annotations

from functools import partial

import pytest

from autovibe.drivers.machine.cgroups import Hierarchies
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import MachineCase
from autovibe.testing.machine_conformance import CHECKS

PYTHON = str(own_interpreter())
IMPORTS = """
from autovibe.drivers.machine.cgroups import Hierarchies
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
"""
NONE = Hierarchies()
CASES = {
    "sandbox": (SandboxDriver, "SandboxDriver(scratch)"),
    "process": (ProcessDriver, "ProcessDriver(scratch)"),
    "sandbox-without-groups": (
        partial(SandboxDriver, hierarchies=NONE),
        "SandboxDriver(scratch, hierarchies=Hierarchies())",
    ),
    "process-without-groups": (
        partial(ProcessDriver, hierarchies=NONE),
        "ProcessDriver(scratch, hierarchies=Hierarchies())",
    ),
}


@pytest.mark.parametrize("driver", CASES)
@pytest.mark.parametrize("check", CHECKS)
async def test_driver_passes_the_conformance_check(driver, check, tmp_path):
    make, source = CASES[driver]
    await CHECKS[check](MachineCase(make, IMPORTS, source, PYTHON), tmp_path)

"""The driver finds a bubblewrap by really starting one, or says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine.sandbox import SandboxDriver, reasons
from autovibe.drivers.machine.sandbox.driver import bubblewraps
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import MachineCase

CASE = MachineCase(SandboxDriver, "", "", str(own_interpreter()))


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "bwrap"
    path.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    path.chmod(0o755)
    return path


async def test_probe_is_made_once_and_leaves_nothing(tmp_path):
    driver = CASE.driver(tmp_path)
    first = await driver.probe()
    assert first.ok
    assert first.reason == ""
    assert set(first.enforced) == {"cpus", "memory", "processes", "disk_write"}
    assert list(CASE.scratch(tmp_path).iterdir()) == []
    assert await driver.probe() is first


async def test_next_bubblewrap_is_tried_when_the_first_does_not_work(broken, tmp_path):
    driver = SandboxDriver(CASE.scratch(tmp_path), candidates=[broken, *bubblewraps()])
    assert (await driver.probe()).ok
    spec = CASE.spec(tmp_path, "print('works')")
    async with CASE.running(tmp_path, spec, driver) as machine:
        assert [line async for line in machine.output()] == [b"works\n"]


async def test_reason_says_what_was_tried_and_spawn_repeats_it(broken, tmp_path):
    driver = SandboxDriver(CASE.scratch(tmp_path), candidates=[broken])
    probe = await driver.probe()
    assert not probe.ok
    assert "No permissions to create new namespace" in probe.reason
    assert str(broken) in probe.reason
    with pytest.raises(MachineSpawnError) as caught:
        await driver.spawn(CASE.spec(tmp_path, "pass"))
    assert caught.value.message == probe.reason
    assert list(CASE.scratch(tmp_path).iterdir()) == []


async def test_missing_bubblewrap_is_said(tmp_path):
    probe = await SandboxDriver(CASE.scratch(tmp_path), candidates=[]).probe()
    assert not probe.ok
    assert "install it" in probe.reason


async def test_scratch_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "scratch").write_text("a file")
    probe = await CASE.driver(tmp_path).probe()
    assert not probe.ok
    assert "scratch cannot be written" in probe.reason


@pytest.mark.parametrize(
    ("settings", "container", "advice"),
    [
        ({"user/max_user_namespaces": "0"}, False, "user.max_user_namespaces"),
        ({"kernel/unprivileged_userns_clone": "0"}, False, "unprivileged_userns_clone=1"),
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, False, "apparmor-profiles"),
        ({}, True, "--security-opt"),
        ({}, False, "see what bubblewrap says"),
    ],
)
def test_reason_names_the_fix(settings, container, advice):
    failures = [(Path("/usr/bin/bwrap"), "it failed")]
    said = reasons.explain(failures, settings.get, container=container)
    assert advice in said
    assert "/usr/bin/bwrap: it failed" in said

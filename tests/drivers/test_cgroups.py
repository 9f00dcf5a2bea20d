"""Where groups are made, on the kinds of hosts there are, and that the limits reach the kernel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from autovibe.domains.machines.driver import Limits
from autovibe.drivers.machine.cgroups import (
    PREFIX,
    Hierarchies,
    MachineGroups,
    end_group,
    find_hierarchies,
    host_hierarchies,
    make_groups,
)
from autovibe.drivers.machine.leftovers import end_leftovers
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.testing.machine_case import MachineCase, until

CASE = MachineCase(ProcessDriver, "", "", str(own_interpreter()))
LIMITS = Limits(cpus=1.5, memory_mb=100, processes=50)
host_only = pytest.mark.skipif(
    not host_hierarchies().v1, reason="this host lets nobody make version 1 control groups here"
)


def group(path, given=""):
    """Make a directory that looks like a group."""
    path.mkdir(parents=True)
    (path / "cgroup.procs").touch()
    (path / "cgroup.subtree_control").write_text(given)
    return path


def mount(kind, point, root="/", options="rw"):
    return f"30 25 0:27 {root} {point} rw,nosuid - {kind} {kind} {options}\n"


def test_delegated_slice_above_ours_is_used_on_a_version_2_host(tmp_path):
    slice_ = group(tmp_path / "user.slice" / "app.slice", "cpu memory pids")
    group(slice_ / "autovibe.scope")
    found = find_hierarchies(
        mount("cgroup2", tmp_path), {"": "/user.slice/app.slice/autovibe.scope"}
    )
    assert found == Hierarchies({}, slice_, frozenset({"cpu", "memory", "pids"}))


def test_version_2_without_controllers_still_freezes(tmp_path):
    own = group(tmp_path / "own")
    found = find_hierarchies(mount("cgroup2", tmp_path), {"": "/own"})
    assert found == Hierarchies({}, own, frozenset())


def test_hybrid_host_limits_by_version_1(tmp_path):
    for name in ("memory", "cpu,cpuacct", "freezer"):
        group(tmp_path / name / "own")
    unified = group(tmp_path / "unified")
    mountinfo = (
        mount("cgroup", tmp_path / "memory", options="rw,memory")
        + mount("cgroup", tmp_path / "cpu,cpuacct", options="rw,cpu,cpuacct")
        + mount("cgroup", tmp_path / "freezer", options="rw,freezer")
        + mount("cgroup2", unified)
        + mount("tmpfs", tmp_path)
    )
    own = {"memory": "/own", "cpu": "/own", "freezer": "/own", "": "/"}
    assert find_hierarchies(mountinfo, own) == Hierarchies(
        {"memory": tmp_path / "memory/own", "cpu": tmp_path / "cpu,cpuacct/own"},
        unified,
        frozenset(),
    )


def test_mount_that_shows_only_a_part_is_understood(tmp_path):
    group(tmp_path / "own")
    shown = find_hierarchies(
        mount("cgroup", tmp_path, root="/docker/1", options="memory"), {"memory": "/docker/1/own"}
    )
    assert shown.v1 == {"memory": tmp_path / "own"}
    hidden = find_hierarchies(
        mount("cgroup", tmp_path, root="/docker/1", options="memory"), {"memory": "/other"}
    )
    assert hidden.v1 == {}


def test_host_without_groups_has_none():
    assert find_hierarchies("", {}) == Hierarchies()
    groups = make_groups(Hierarchies(), "sandbox-x", LIMITS)
    assert groups.enforced == {}
    assert groups.directories == []
    groups.kill()
    groups.remove()
    assert not groups.can_freeze
    assert groups.limit_hit() is None
    assert groups.memory_peak_bytes() is None
    assert groups.cpu_s() is None


def test_group_that_cannot_be_limited_claims_nothing(tmp_path):
    """Plain directories have none of the kernel's files: nothing may be called enforced."""
    places = Hierarchies({"memory": tmp_path}, None, frozenset())
    groups = make_groups(places, "sandbox-x", LIMITS)
    assert groups.enforced == {}


def test_group_that_cannot_be_joined_is_given_up(tmp_path):
    group(tmp_path / "memory")
    (tmp_path / "memory" / "cgroup.subtree_control").unlink()
    (tmp_path / "memory" / "cgroup.procs").unlink()
    (tmp_path / "memory" / "cgroup.procs").mkdir()  # writing to it fails, for root too
    groups = MachineGroups({"memory": tmp_path / "memory"}, None, {"memory": "cgroup"})
    assert groups.enforced == {"memory": "cgroup"}
    groups.add(os.getpid())
    assert groups.enforced == {}
    assert groups.directories == []


@host_only
async def test_limits_reach_the_kernel(tmp_path):
    spec = CASE.spec(
        tmp_path,
        "print('ready', flush=True)\nwhile True: pass",
        limits=Limits(cpus=0.25, memory_mb=100, processes=50),
    )
    async with CASE.running(tmp_path, spec) as machine:
        async for _ in machine.output():
            break
        places = host_hierarchies().v1
        name = PREFIX + machine.vm_id
        read = lambda controller, file: (places[controller] / name / file).read_text()  # noqa: E731
        assert int(read("memory", "memory.limit_in_bytes")) == 100 << 20
        assert int(read("pids", "pids.max")) == 50
        assert int(read("cpu", "cpu.cfs_quota_us")) == 25_000
        await until(lambda: "nr_throttled 0" not in read("cpu", "cpu.stat"))
        assert machine.enforced == {
            "cpus": "cgroup",
            "memory": "cgroup",
            "processes": "cgroup",
            "disk_write": "none",
        }


@host_only
async def test_group_of_a_dead_control_plane_is_ended():
    groups = make_groups(host_hierarchies(), "sandbox-leftover-test", LIMITS)
    sleeper = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        groups.add(sleeper.pid)
        assert groups.pids() == [sleeper.pid]
        ended = await asyncio.gather(
            *(asyncio.to_thread(end_group, directory) for directory in groups.directories)
        )
        assert await sleeper.wait() == -9
    finally:
        groups.kill()
        groups.remove()
    assert ended == [True] * len(ended)
    assert not any(directory.exists() for directory in groups.directories)
    assert not end_group(Path(groups.directories[0]))


@host_only
async def test_groups_of_a_machine_whose_starter_died_before_it_wrote_them_down_are_removed(
    tmp_path,
):
    made = make_groups(host_hierarchies(), "process-died-early", LIMITS)
    directories = made.directories
    assert directories
    assert await end_leftovers(tmp_path, "process-died-early", [])
    assert not [directory for directory in directories if directory.exists()]

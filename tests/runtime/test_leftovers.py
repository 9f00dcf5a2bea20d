"""What dead control planes leave is found and removed; nothing of a living one is touched."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from plane import Plane, write_files

from autovibe.domains.machines.driver import MachineDriver
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.settings import Settings, ensure_home, load_settings
from autovibe.runtime.instance import boot_id, host_name, lock_path
from autovibe.runtime.leftovers import find_leftovers, remove_leftover
from autovibe.v1 import identity_pb2, machines_pb2

OLD = time.time() - 3600


@dataclass
class Home:
    """A home with control planes that live and that died."""

    plane: Plane
    settings: Settings
    project_id: str
    base_id: str
    held: list[int] = field(default_factory=list)

    async def instance(self, *, alive: bool) -> str:
        instance_id = str(uuid.uuid4())
        self.lock(instance_id, held=alive)
        await self.plane.services.identity.register_instance(
            identity_pb2.RegisterInstanceRequest(
                id=instance_id, host=host_name(), boot_id=boot_id(), pid=1
            )
        )
        return instance_id

    def lock(self, name: str, *, held: bool) -> Path:
        path = lock_path(self.settings.run_path, name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if held:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self.held.append(descriptor)
        else:
            os.close(descriptor)
        return path

    async def machine(self, instance_id: str, *, ended: bool, saved: bool = False) -> Path:
        """Record a machine and make its directory."""
        machine = await self.plane.machine(self.project_id, instance_id=instance_id)
        if saved:
            await self.plane.checkpoint(
                self.project_id,
                checkpoint_type="final",
                creating_machine_id=machine.id,
                parent_checkpoint_id=self.base_id,
            )
        if ended:
            await self.plane.services.machines.update_machine(
                machines_pb2.UpdateMachineRequest(machine_id=machine.id, status="terminated")
            )
        directory = self.settings.machines_path / machine.id
        write_files(directory, {"tree/workspace/file": "work\n"})
        (directory / "tree" / "workspace").chmod(0o500)
        (self.settings.machines_path / "scratch" / f"process-{machine.id}").mkdir(parents=True)
        return directory

    async def found(self) -> dict[tuple[str, str], Any]:
        clock = SystemClock()
        return {(item.kind, item.name): item for item in await find_leftovers(self.settings, clock)}


@pytest.fixture
async def home(plane: Plane, tmp_path: Path) -> AsyncGenerator[Home]:
    url = plane.db.url.render_as_string(hide_password=False)
    settings = load_settings(
        {"AUTOVIBE_HOME": str(tmp_path / "home"), "AUTOVIBE_DATABASE_URL": url}
    )
    ensure_home(settings)
    write_files(tmp_path / "dir", {"a": "1\n"})
    project = await plane.project()
    base = (await plane.load(tmp_path / "dir")).checkpoint
    made = Home(plane, settings, project.id, base.id)
    yield made
    for descriptor in made.held:
        os.close(descriptor)


async def test_only_what_dead_ones_left_is_found(home: Home):
    alive, dead = await home.instance(alive=True), await home.instance(alive=False)
    running = await home.machine(alive, ended=False)
    lost = await home.machine(dead, ended=False)
    kept = await home.machine(alive, ended=True)
    done = await home.machine(alive, ended=True, saved=True)
    found = await home.found()
    assert set(found) == {
        ("instance", dead),
        ("machine", lost.name),
        ("directory", lost.name),
        ("directory", kept.name),
        ("directory", done.name),
        *(("scratch", f"process-{path.name}") for path in (lost, kept, done)),
    }
    # Only a final checkpoint that was read back makes files dispensable.
    assert found["directory", lost.name].unsaved
    assert found["directory", kept.name].unsaved
    assert not found["directory", done.name].unsaved
    assert running.exists()


async def test_leftovers_are_removed_even_when_they_may_not_be_written(home: Home):
    dead = await home.instance(alive=False)
    done = await home.machine(dead, ended=True, saved=True)
    scratch = home.settings.machines_path / "scratch"
    drivers = {"process": cast("MachineDriver", ProcessDriver(scratch, SystemClock()))}
    found = await home.found()
    for item in found.values():
        gone = await remove_leftover(item, drivers)
        assert gone == (item.path is not None)
    assert not done.exists()
    assert list(scratch.iterdir()) == []
    # The instance itself is for recovery.
    assert set(await home.found()) == {("instance", dead)}


async def test_locks_that_nobody_holds_are_found_when_they_are_old(home: Home):
    young, held, old = (str(uuid.uuid4()) for _ in range(3))
    home.lock(young, held=False)
    os.utime(home.lock(held, held=True), (OLD, OLD))
    os.utime(home.lock(old, held=False), (OLD, OLD))
    found = await home.found()
    assert set(found) == {("lock", old)}
    assert await remove_leftover(found["lock", old], {})
    assert not lock_path(home.settings.run_path, old).exists()


async def test_a_lock_that_was_taken_in_the_meantime_stays(home: Home):
    name = str(uuid.uuid4())
    path = home.lock(name, held=False)
    os.utime(path, (OLD, OLD))
    found = await home.found()
    home.lock(name, held=True)
    assert not await remove_leftover(found["lock", name], {})
    assert path.exists()


async def test_machines_of_another_database_are_left_alone_while_it_is_used(home: Home):
    stranger = home.settings.machines_path / str(uuid.uuid4())
    stranger.mkdir()
    os.utime(stranger, (OLD, OLD))
    found = await home.found()
    assert found["directory", stranger.name].unsaved
    home.lock(str(uuid.uuid4()), held=True)
    assert await home.found() == {}


async def test_scratch_of_a_trial_is_left_only_when_nobody_runs_it(home: Home):
    scratch = home.settings.machines_path / "scratch"
    names = {name: scratch / name for name in ("young", "old", "running")}
    for path in names.values():
        path.mkdir(parents=True)
    record = {
        "boot_id": boot_id(),
        "processes": {str(os.getpid()): _start_ticks()},
        "groups": [],
    }
    (names["running"] / "record.json").write_text(json.dumps(record))
    for name in ("old", "running"):
        os.utime(names[name], (OLD, OLD))
    assert set(await home.found()) == {("scratch", "old")}


@pytest.mark.parametrize(
    "text", ['{"instance_id": "%s"}', "garbage", "[]", '{"instance_id": "../x"}']
)
async def test_the_address_of_a_dead_server_is_found(text: str, home: Home):
    name = str(uuid.uuid4())
    home.settings.server_file.write_text(text.replace("%s", name))
    found = await home.found()
    assert set(found) == {("server", "server.json")}
    assert await remove_leftover(found["server", "server.json"], {})
    home.settings.server_file.write_text(json.dumps({"instance_id": name}))
    home.lock(name, held=True)
    assert await home.found() == {}


async def test_a_home_without_a_database_has_nothing_left(tmp_path: Path):
    settings = load_settings({"AUTOVIBE_HOME": str(tmp_path / "home")})
    assert await find_leftovers(settings, SystemClock()) == []
    ensure_home(settings)
    assert await find_leftovers(settings, SystemClock()) == []
    assert not (tmp_path / "home" / "autovibe.db").exists()


def _start_ticks() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])

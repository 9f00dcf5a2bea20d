from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from plane import Plane

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.runtime import instance as module
from autovibe.runtime.instance import (
    beat,
    boot_id,
    dead_instances,
    host_name,
    lock_path,
    registered_instance,
)
from autovibe.v1 import identity_pb2

# A control plane reduced to what makes it an instance; it lives until it is killed.
_PROCESS = """
import asyncio, sys, uuid
from pathlib import Path
from autovibe.db import open_database
from autovibe.domains.identity import IdentityService
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.operations import Operations, Registry, local_twin
from autovibe.runtime.instance import registered_instance

async def main(url, instance_id, run_path):
    database = open_database(url)
    operations = Operations(
        database,
        Registry({"autovibe.v1.IdentityService": IdentityService()}),
        instance_id=instance_id,
    )
    actor = Actor("system", "tests", ALL_SCOPES)
    services = local_twin(operations, lambda: operations.context(actor))
    async with registered_instance(services.identity, instance_id, run_path):
        print("registered", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await database.close()

asyncio.run(main(sys.argv[1], uuid.UUID(sys.argv[2]), Path(sys.argv[3])))
"""


@contextlib.asynccontextmanager
async def _process(
    plane: Plane, run_path: Path
) -> AsyncGenerator[tuple[str, asyncio.subprocess.Process]]:
    """Run another control plane on the same database; give its instance id."""
    instance_id = str(uuid.uuid4())
    url = plane.db.url.set(drivername=plane.db.url.get_backend_name())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROCESS,
        url.render_as_string(hide_password=False),
        instance_id,
        str(run_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"registered\n"
        yield instance_id, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _listed(plane: Plane) -> dict[str, identity_pb2.Instance]:
    answer = await plane.services.identity.list_instances(identity_pb2.ListInstancesRequest())
    return {instance.id: instance for instance in answer.instances}


async def _dead(plane: Plane, run_path: Path, own: str = "") -> set[str]:
    found = await dead_instances(
        plane.services.identity, uuid.UUID(own or str(uuid.uuid4())), run_path, plane.clock
    )
    return {instance.id for instance in found}


async def _until_beat(plane: Plane, instance_id: str) -> None:
    """Return when the row of an instance says that it lives now."""
    while from_timestamp((await _listed(plane))[instance_id].heartbeat_at) < plane.clock.now():  # noqa: ASYNC110 - only the database tells
        await asyncio.sleep(0.005)


async def _register(plane: Plane, host: str, boot: str) -> str:
    instance_id = str(uuid.uuid4())
    await plane.services.identity.register_instance(
        identity_pb2.RegisterInstanceRequest(id=instance_id, host=host, boot_id=boot, pid=1)
    )
    return instance_id


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    run_path = tmp_path / "run"
    run_path.mkdir()
    return run_path


async def test_an_instance_holds_its_lock_keeps_its_row_alive_and_removes_both(
    plane: Plane, run_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    own = uuid.uuid4()
    async with registered_instance(plane.services.identity, own, run_path):
        row = (await _listed(plane))[str(own)]
        assert (row.host, row.boot_id, row.pid) == (host_name(), boot_id(), os.getpid())
        assert lock_path(run_path, str(own)).exists()
        assert await _dead(plane, run_path) == set()
        plane.clock.advance(hours=1)
        await _until_beat(plane, str(own))
    assert await _listed(plane) == {}
    assert list(run_path.iterdir()) == []


async def test_an_instance_that_cannot_register_leaves_no_lock(one_plane: Plane, run_path: Path):
    await one_plane.db.close()
    Path(str(one_plane.db.url.database)).unlink()
    with pytest.raises(AutovibeError):
        async with registered_instance(one_plane.services.identity, uuid.uuid4(), run_path):
            raise AssertionError("it must not come here")
    assert list(run_path.iterdir()) == []


async def test_only_a_process_that_was_killed_is_found_dead(plane: Plane, run_path: Path):
    async with (
        _process(plane, run_path) as (living, _),
        _process(plane, run_path) as (killed, victim),
        _process(plane, run_path) as (ended, polite),
    ):
        assert set(await _listed(plane)) == {living, killed, ended}
        assert await _dead(plane, run_path) == set()
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        assert polite.stdin is not None
        polite.stdin.close()
        assert await polite.wait() == 0
        assert set(await _listed(plane)) == {living, killed}
        # However old the heartbeat of the living one is: on one host the lock decides.
        plane.clock.advance(days=365)
        assert await _dead(plane, run_path) == {killed}
        assert await _dead(plane, run_path, own=killed) == set()


async def test_where_there_is_no_lock_to_ask_the_heartbeat_decides(
    one_plane: Plane, run_path: Path
):
    other_host = await _register(one_plane, "another-host", "boot")
    before_boot = await _register(one_plane, host_name(), "another-boot")
    # On this host, but with its lock in another home: it may well be alive.
    other_home = await _register(one_plane, host_name(), boot_id())
    assert await _dead(one_plane, run_path) == set()
    one_plane.clock.advance(seconds=60)
    assert await _dead(one_plane, run_path) == set()
    one_plane.clock.advance(seconds=1)
    assert await _dead(one_plane, run_path) == {other_host, before_boot, other_home}


async def test_one_that_was_taken_for_dead_while_it_slept_registers_anew(
    plane: Plane, run_path: Path
):
    own = uuid.uuid4()
    async with registered_instance(plane.services.identity, own, run_path):
        await plane.services.identity.remove_instance(
            identity_pb2.RemoveInstanceRequest(id=str(own))
        )
        await beat(plane.services.identity, str(own))
        assert (await _listed(plane))[str(own)].pid == os.getpid()
    assert await _listed(plane) == {}


async def test_two_that_look_at_once_do_not_take_each_other_for_the_dead_one(
    one_plane: Plane, run_path: Path
):
    dead = await _register(one_plane, host_name(), boot_id())
    with lock_path(run_path, dead).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as one that looks holds it for a moment
        assert await _dead(one_plane, run_path) == {dead}
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await _dead(one_plane, run_path) == set()

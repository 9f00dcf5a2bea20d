"""What dead control planes left in this home, and removing it.

Recovery (`runtime.recovery`) ends machines, holds and orders of dead instances at each start; this
finds what is left on disk besides. Nothing of a living instance is touched: what cannot be told to
be a dead one's is left alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from autovibe.db import open_configured
from autovibe.db.engine import Database
from autovibe.db.upgrade import HEAD, current_revision
from autovibe.domains.checkpoints import get_checkpoint
from autovibe.domains.identity import IdentityService
from autovibe.domains.machines import MachineService
from autovibe.domains.machines.driver import MachineDriver
from autovibe.drivers.machine.cgroups import PREFIX, end_group, host_hierarchies
from autovibe.drivers.machine.leftovers import read_record
from autovibe.kernel.clock import Clock
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.ids import new_id
from autovibe.kernel.protoconv import from_struct
from autovibe.kernel.settings import Settings
from autovibe.operations import Operations, Registry, local_twin
from autovibe.runtime.doctor import is_absent
from autovibe.runtime.instance import dead_instances, lock_path
from autovibe.runtime.workplace import Workplace
from autovibe.sdk.services import Services
from autovibe.v1 import identity_pb2, machines_pb2

Kind = Literal["instance", "machine", "directory", "scratch", "group", "lock", "server"]

SCRATCH: Final = "scratch"
_LIVE: Final = ("spawning", "active", "working", "checkpointing", "error")
_YOUNG_S: Final = 600
"""What is younger may belong to something that is just starting and has no row yet."""


@dataclass(frozen=True)
class Leftover:
    """One thing that a dead control plane left.

    `unsaved`: it may hold work that is in no checkpoint, so that only a person removes it.
    """

    kind: Kind
    name: str
    text: str
    path: Path | None = None
    unsaved: bool = False


@dataclass
class _Look:
    """One look at database and home."""

    settings: Settings
    services: Services
    database: Database
    instances: frozenset[str]
    dead: frozenset[str]
    now: float
    found: list[Leftover] = field(default_factory=list[Leftover])

    def lives(self, machine: machines_pb2.Machine) -> bool:
        """Return whether the instance of a machine that has not ended lives."""
        owner = str(from_struct(machine.metadata).get("instance_id") or "")
        return machine.status != "terminated" and owner in self.instances - self.dead

    async def machine(self, machine_id: str) -> machines_pb2.Machine | None:
        """Return a machine, `None` if this database has none of this id."""
        try:
            return await self.services.machines.get_machine(
                machines_pb2.GetMachineRequest(machine_id=machine_id)
            )
        except AutovibeError as error:
            if error.code not in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}:
                raise
            return None

    async def is_saved(self, machine: machines_pb2.Machine) -> bool:
        """Return whether the last checkpoint of a machine is a final one that was read back."""
        if not machine.last_checkpoint_id:
            return False
        async with self.database.read() as tx:
            row = await get_checkpoint(tx, machine.last_checkpoint_id)
            return row.checkpoint_type == "final" and row.verification_status == "verified"


async def find_leftovers(settings: Settings, clock: Clock) -> list[Leftover]:
    """Return what dead control planes left; reads database and home, changes nothing."""
    if not settings.home.is_dir():
        return []
    database = open_configured(settings, clock=clock)
    try:
        look = await _look(settings, database, clock)
        if look is not None:
            await _find_machines(look)
            await _find_directories(look)
            await _find_scratch(look)
            await _find_groups(look)
            _find_locks(look)
            return [*look.found, *_stale_server(settings)]
    finally:
        await database.close()
    return _stale_server(settings)


async def remove_leftover(leftover: Leftover, drivers: Mapping[str, MachineDriver]) -> bool:
    """Remove one thing from the disk; return whether it is gone.

    Instances and machines are recovery's: opening a control plane ends them.
    """
    path = leftover.path
    if path is None:
        return False
    if leftover.kind == "scratch":
        driver = drivers.get(leftover.name.partition("-")[0])
        if driver is not None:
            await driver.end_leftover(leftover.name, None)
    if leftover.kind == "lock":
        return _unlink_free_lock(path)
    if leftover.kind == "group":
        await asyncio.to_thread(end_group, path)
    elif leftover.kind == "directory":
        await asyncio.to_thread(Workplace(path).remove)
    elif path.is_dir() and not path.is_symlink():
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return not path.exists()


async def _look(settings: Settings, database: Database, clock: Clock) -> _Look | None:
    """Ask the database for its instances; `None` if it has nothing of this version to say."""
    if is_absent(database):
        return None
    async with database.engine.connect() as connection:
        if await current_revision(connection) != HEAD:
            return None
    own_id = new_id()
    registry = Registry(
        {
            "autovibe.v1.IdentityService": IdentityService(),
            "autovibe.v1.MachineService": MachineService(),
        }
    )
    operations = Operations(database, registry, instance_id=own_id, clock=clock)
    actor = Actor("system", "doctor", ALL_SCOPES)
    services = local_twin(operations, lambda: operations.context(actor))
    listed = await services.identity.list_instances(identity_pb2.ListInstancesRequest())
    dead = await dead_instances(services.identity, own_id, settings.run_path, clock)
    look = _Look(
        settings,
        services,
        database,
        instances=frozenset(instance.id for instance in listed.instances),
        dead=frozenset(instance.id for instance in dead),
        now=clock.now().timestamp(),
    )
    look.found += [
        Leftover(
            "instance",
            instance.id,
            f"A control plane ended without saying so (process {instance.pid} on {instance.host}).",
        )
        for instance in dead
    ]
    return look


async def _find_machines(look: _Look) -> None:
    """Find rows of machines that no living instance runs."""
    token = ""
    while True:
        page = await look.services.machines.list_machines(
            machines_pb2.ListMachinesRequest(statuses=_LIVE, page_size=500, page_token=token)
        )
        look.found += [
            Leftover("machine", machine.id, f"Machine {machine.id[:8]} has lost its control plane.")
            for machine in page.machines
            if not look.lives(machine)
        ]
        token = page.next_page_token
        if not token:
            return


async def _find_directories(look: _Look) -> None:
    """Find directories of machines that have ended."""
    foreign = _has_foreign_instance(look)
    for path in _children(look.settings.machines_path):
        if path.name == SCRATCH or not _is_uuid(path.name):
            continue
        machine = await look.machine(path.name)
        if machine is None:
            # Another database's, if a control plane of another database lives in this home.
            if not foreign and _is_old(path, look.now):
                text = f"{path} belongs to no machine of this database."
                look.found.append(Leftover("directory", path.name, text, path, unsaved=True))
        elif not look.lives(machine):
            saved = await look.is_saved(machine)
            more = "" if saved else "; it may hold work that came after the last checkpoint"
            text = f"{path} is the directory of a machine that has ended{more}."
            look.found.append(Leftover("directory", path.name, text, path, unsaved=not saved))


async def _find_scratch(look: _Look) -> None:
    """Find small files of machines that have ended; processes and groups are named in them."""
    for path in _children(look.settings.machines_path / SCRATCH):
        machine = await look.machine(_machine_id(path.name))
        if machine is not None:
            is_left = not look.lives(machine)
        else:
            # A trial has no row. One that runs is young, or its record names a living process.
            record = read_record(path)
            is_left = _is_old(path, look.now) and not (record and record.living())
        if is_left:
            text = f"{path} is left of a machine that has ended."
            look.found.append(Leftover("scratch", path.name, text, path))


async def _find_groups(look: _Look) -> None:
    """Find control groups of machines of this database that have ended.

    Those of other homes stand beside them and are none of ours.
    """
    places = host_hierarchies()
    parents = {*places.v1.values(), *([places.v2] if places.v2 else [])}
    for parent in sorted(parents):
        for path in parent.glob(f"{PREFIX}*"):
            name = path.name.removeprefix(PREFIX)
            machine = await look.machine(_machine_id(name))
            if machine is not None and not look.lives(machine):
                look.found.append(Leftover("group", name, f"Control group {path} is left.", path))


def _find_locks(look: _Look) -> None:
    """Find locks that nobody holds; a dead instance's goes with the instance."""
    for path in _children(look.settings.run_path):
        unknown = path.suffix == ".lock" and path.stem not in look.instances
        if unknown and _is_old(path, look.now) and not is_locked(path):
            look.found.append(Leftover("lock", path.stem, f"Nobody holds {path}.", path))


def _stale_server(settings: Settings) -> list[Leftover]:
    """Find what a server that was killed says of itself."""
    path = settings.server_file
    try:
        instance_id = str(json.loads(path.read_bytes())["instance_id"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        instance_id = ""
    if _is_uuid(instance_id) and is_locked(lock_path(settings.run_path, instance_id)):
        return []
    return [Leftover("server", path.name, f"{path} names a server that has ended.", path)]


def is_locked(path: Path) -> bool:
    """Return whether a living process holds a lock file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _unlink_free_lock(path: Path) -> bool:
    """Remove a lock file unless somebody holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return not path.exists()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _has_foreign_instance(look: _Look) -> bool:
    """Return whether a control plane lives in this home that another database knows."""
    return any(
        path.suffix == ".lock" and path.stem not in look.instances and is_locked(path)
        for path in _children(look.settings.run_path)
    )


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _machine_id(vm_id: str) -> str:
    """Return the machine's id in a driver's name for it, "" when it is none."""
    name = vm_id.partition("-")[2]
    return name if _is_uuid(name) else ""


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _is_old(path: Path, now: float) -> bool:
    try:
        return now - path.lstat().st_mtime > _YOUNG_S
    except OSError:
        return False

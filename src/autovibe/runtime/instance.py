"""This control-plane process as an instance: its row, its lock, its heartbeat (decision A7)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Final

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import identity_pb2, services

HEARTBEAT_S: Final = 10.0
DEAD_AFTER: Final = timedelta(seconds=60)


def lock_path(run_path: Path, instance_id: str) -> Path:
    """Return the lock file of an instance."""
    return run_path / f"{instance_id}.lock"


@contextlib.asynccontextmanager
async def registered_instance(
    identity: services.IdentityService, instance_id: uuid.UUID, run_path: Path
) -> AsyncGenerator[None]:
    """Hold the lock, keep the row alive, and remove both in the end.

    The lock is taken before the row is written, so that nobody sees a row without a lock.
    """
    path = lock_path(run_path, str(instance_id))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            await _register(identity, str(instance_id))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        beat = asyncio.create_task(_beat(identity, str(instance_id)), name="instance-heartbeat")
        try:
            yield
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
            with contextlib.suppress(AutovibeError):
                await identity.remove_instance(
                    identity_pb2.RemoveInstanceRequest(id=str(instance_id))
                )
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


async def dead_instances(
    identity: services.IdentityService, own_id: uuid.UUID, run_path: Path, clock: Clock
) -> list[identity_pb2.Instance]:
    """Return the instances that have ended without saying so."""
    return (await sort_instances(identity, own_id, run_path, clock))[1]


async def sort_instances(
    identity: services.IdentityService, own_id: uuid.UUID, run_path: Path, clock: Clock
) -> tuple[list[str], list[identity_pb2.Instance]]:
    """Return the ids of the other instances that live, and those that have ended unsaid.

    On this host an instance is dead when its lock is free; on another, before a restart of this
    one, or with its lock in another home, when its heartbeat is older than a minute.
    """
    living: list[str] = []
    dead: list[identity_pb2.Instance] = []
    request = identity_pb2.ListInstancesRequest()
    while True:
        page = await identity.list_instances(request)
        for instance in page.instances:
            if instance.id == str(own_id):
                continue
            if _is_dead(instance, run_path, clock):
                dead.append(instance)
            else:
                living.append(instance.id)
        if not page.next_page_token:
            return living, dead
        request.page_token = page.next_page_token


def _is_dead(instance: identity_pb2.Instance, run_path: Path, clock: Clock) -> bool:
    if instance.host == host_name() and instance.boot_id == boot_id():
        locked = _is_locked(lock_path(run_path, instance.id))
        if locked is not None:
            return not locked
    return clock.now() - from_timestamp(instance.heartbeat_at) > DEAD_AFTER


def host_name() -> str:
    """Return the name of this host."""
    return socket.gethostname()


def boot_id() -> str:
    """Return what identifies this boot of this host, "" where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _is_locked(path: Path) -> bool | None:
    """Return whether a living process holds the lock; `None` if there is no such lock here.

    One that was killed leaves its file. One whose file is not here has another home.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared: two that look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


async def _register(identity: services.IdentityService, instance_id: str) -> None:
    await identity.register_instance(
        identity_pb2.RegisterInstanceRequest(
            id=instance_id, host=host_name(), boot_id=boot_id(), pid=os.getpid()
        )
    )


async def _beat(identity: services.IdentityService, instance_id: str) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await beat(identity, instance_id)


async def beat(identity: services.IdentityService, instance_id: str) -> None:
    """Say that an instance lives.

    A missed beat is made up for by the next; others wait a minute before they act. One that was
    taken for dead all the same, by another host while this one slept, is registered anew: what it
    starts from here on is its own again, and what it had is refused by the leases' generations.
    """
    with contextlib.suppress(AutovibeError):
        try:
            await identity.heartbeat_instance(identity_pb2.HeartbeatInstanceRequest(id=instance_id))
        except AutovibeError as error:
            if error.reason != "INSTANCE_NOT_FOUND":
                raise
            await _register(identity, instance_id)

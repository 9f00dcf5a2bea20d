from __future__ import annotations

import asyncio
import fcntl
import os
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from ledger_desk import HandClock, LedgerDesk
from plane import Plane, write_files

from autovibe.domains.machines.driver import MachineDriver
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.domains.work.errors import LeaseLostError
from autovibe.runtime.instance import boot_id, host_name, lock_path
from autovibe.runtime.recovery import Recovery
from autovibe.v1 import identity_pb2, machines_pb2, work_pb2


@dataclass
class Driver:
    """Notes whose remains it was told to end."""

    ended: list[tuple[str, int | None]] = field(default_factory=list)
    fault: Exception | None = None
    faulty: str = ""

    async def end_leftover(self, vm_id: str, pid: int | None) -> bool:
        self.ended.append((vm_id, pid))
        if self.fault and vm_id == self.faulty:
            raise self.fault
        return True


@dataclass
class Left:
    """What an instance was doing: a machine in some status, an execution, a held call."""

    instance_id: str
    machine_id: str
    task_id: str
    order: work_pb2.ClaimedOrder


@pytest.fixture
def locks(tmp_path: Path) -> Generator[list[int], None, None]:
    """Hold the locks of living instances until the test has ended."""
    held: list[int] = []
    yield held
    for descriptor in held:
        os.close(descriptor)


@dataclass
class Desk:
    """Several control planes on one database."""

    plane: Plane
    ledger: LedgerDesk
    run_path: Path
    locks: list[int]
    driver: Driver = field(default_factory=Driver)

    async def instance(self, *, alive: bool, host: str = "", boot: str = "") -> str:
        instance_id = str(uuid.uuid4())
        if not host:
            path = lock_path(self.run_path, instance_id)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if alive:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self.locks.append(descriptor)
            else:
                os.close(descriptor)
        await self.plane.services.identity.register_instance(
            identity_pb2.RegisterInstanceRequest(
                id=instance_id, host=host or host_name(), boot_id=boot or boot_id(), pid=1
            )
        )
        return instance_id

    async def busy(self, instance_id: str, *statuses: str, vm_id: str = "") -> Left:
        """Let an instance claim an order and bring its machine through some statuses."""
        task = await self.plane.task()
        order = await self.plane.claimed(task_id=task.id, instance_id=instance_id)
        machine = await self.plane.machine(task.project_id, instance_id=instance_id)
        await self.plane.services.work.attach_machine(
            work_pb2.AttachMachineRequest(
                execution_id=order.execution.id,
                lease_generation=order.lease_generation,
                machine_id=machine.id,
            )
        )
        for status in statuses:
            await self.plane.services.machines.update_machine(
                machines_pb2.UpdateMachineRequest(
                    machine_id=machine.id,
                    status=status,
                    vm_id=vm_id,
                    pid=4711 if vm_id else 0,
                )
            )
        verdict = await self.ledger.hold("1.00", instance_id=instance_id, task_id=task.id)
        assert verdict.reason == ""
        return Left(instance_id, machine.id, task.id, order)

    async def recover(self) -> None:
        await self.recovery().at_start()

    def recovery(self) -> Recovery:
        return Recovery(
            self.plane.services,
            {"process": cast("MachineDriver", self.driver)},
            uuid.UUID(self.plane.instance_id),
            self.run_path,
            self.run_path.parent / "machines",
            self.plane.clock,
        )

    async def seen(self, left: Left) -> tuple[str, str, str]:
        """Return the status of machine and task, and why the task is blocked."""
        machine = await self.plane.services.machines.get_machine(
            machines_pb2.GetMachineRequest(machine_id=left.machine_id)
        )
        task = await self.plane.see(left.task_id)
        return machine.status, task.status, task.block_reason

    async def instances(self) -> set[str]:
        answer = await self.plane.services.identity.list_instances(
            identity_pb2.ListInstancesRequest()
        )
        return {instance.id for instance in answer.instances}


@pytest.fixture
async def desk(plane: Plane, tmp_path: Path, locks: list[int]) -> Desk:
    project = await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    await plane.worker("many", slots=100)
    ledger = LedgerDesk(plane.db, plane.services, cast("HandClock", plane.clock))
    ledger.project_id = project.id
    await ledger.budget("100.00")
    run_path = tmp_path / "run"
    run_path.mkdir()
    return Desk(plane, ledger, run_path, locks)


DEAD = ("terminated", "blocked", "CONTROL_PLANE_DIED")


async def test_what_dead_instances_left_is_ended_and_nothing_of_a_living_one_is_touched(desk: Desk):
    living = await desk.busy(
        await desk.instance(alive=True), "active", "working", vm_id="vm-living"
    )
    far_living = await desk.busy(
        await desk.instance(alive=True, host="far", boot="b"), "active", vm_id="vm-far-living"
    )
    dead_id = await desk.instance(alive=False)
    working = await desk.busy(dead_id, "active", "working", vm_id="vm-working")
    spawning = await desk.busy(dead_id)
    broken = await desk.busy(dead_id, "error")
    # It died between the end of the machine and the end of its execution.
    ending = await desk.busy(dead_id, "active", "checkpointing", "terminated", vm_id="vm-ending")
    made = await desk.plane.checkpoint(
        working.order.task.project_id,
        parent_checkpoint_id=working.order.payload.base_checkpoint_id,
        creating_machine_id=working.machine_id,
    )
    own = await desk.busy(desk.plane.instance_id, "active", vm_id="vm-own")
    assert await desk.ledger.amounts(task_id="") != []

    await desk.recover()
    assert {await desk.seen(left) for left in (working, spawning, broken, ending)} == {DEAD}
    # One that its row does not name yet is known by what its driver calls it.
    ended = [("vm-working", 4711)]
    ended += [(f"process-{left.machine_id}", None) for left in (spawning, broken)]
    assert sorted(desk.driver.ended) == sorted(ended)
    assert (await desk.plane.see(working.task_id)).result_checkpoint_id == made.id
    for left, status in ((living, "working"), (far_living, "active"), (own, "active")):
        assert await desk.seen(left) == (status, "in_progress", "")
        await desk.plane.say(left.order, "still at work")
    assert await desk.instances() == {living.instance_id, far_living.instance_id}
    assert not lock_path(desk.run_path, dead_id).exists()
    assert lock_path(desk.run_path, living.instance_id).exists()
    # The holds of the dead are settled; those of the living and of this instance stay.
    held = await desk.plane.rows(
        "SELECT count(*) FROM budget_reservations WHERE state IN ('reserved', 'forwarded')"
    )
    assert held == [(3,)]

    # The same again finds nothing to do.
    desk.driver.ended.clear()
    await desk.recover()
    assert desk.driver.ended == []

    # The other host was not heard of for a minute: what ran there cannot be ended from here.
    desk.plane.clock.advance(seconds=61)
    await desk.recover()
    assert await desk.seen(far_living) == DEAD
    assert desk.driver.ended == []
    assert await desk.seen(living) == ("working", "in_progress", "")


async def test_a_failure_is_left_to_the_next_start_and_does_not_stop_the_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
):
    first = await desk.busy(await desk.instance(alive=False), "active", vm_id="vm-1")
    desk.plane.clock.advance(seconds=1)
    second = await desk.busy(await desk.instance(alive=False), "active")
    desk.driver.faulty = "vm-1"
    for fault in (MachineSpawnError("not now"), PermissionError("not allowed")):
        desk.driver.fault = fault
        await desk.recover()
        assert str(fault) in caplog.text
        assert await desk.seen(first) == ("active", "in_progress", "")
        assert await desk.seen(second) == DEAD
        assert await desk.instances() == {first.instance_id}
        assert lock_path(desk.run_path, first.instance_id).exists()
    desk.driver.fault = None
    await desk.recover()
    assert await desk.seen(first) == DEAD
    assert await desk.instances() == set()


async def test_two_that_recover_at_once_do_not_get_in_each_others_way(desk: Desk):
    left = [
        await desk.busy(await desk.instance(alive=False), "active", vm_id=f"vm-{n}")
        for n in range(3)
    ]

    await asyncio.gather(desk.recover(), desk.recover())
    await desk.recover()
    assert {await desk.seen(one) for one in left} == {DEAD}
    assert await desk.instances() == set()


async def test_an_order_that_was_claimed_before_there_was_a_machine_is_released(desk: Desk):
    dead_id, living_id = await desk.instance(alive=False), await desk.instance(alive=True)
    tasks = [await desk.plane.task() for _ in range(3)]
    ids = (dead_id, dead_id, living_id)
    orders = [
        await desk.plane.claimed(task_id=task.id, instance_id=instance_id)
        for task, instance_id in zip(tasks, ids, strict=True)
    ]
    # Of the second the machine's row was written, and nobody had said yet whose it is.
    machine = await desk.plane.machine(tasks[1].project_id, instance_id=dead_id)

    await asyncio.gather(desk.recover(), desk.recover())
    seen = [await desk.plane.see(task.id) for task in tasks]
    assert [(task.status, task.block_reason) for task in seen] == [
        ("blocked", "CONTROL_PLANE_DIED"),
        ("blocked", "CONTROL_PLANE_DIED"),
        ("in_progress", ""),
    ]
    assert (await desk.seen(Left(dead_id, machine.id, tasks[1].id, orders[1]))) == DEAD
    await desk.plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=tasks[0].id))
    assert (await desk.plane.claimed(task_id=tasks[0].id)).lease_generation == 2


async def test_an_expired_lease_is_released_unless_its_instance_lives_and_may_prolong_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
):
    living = await desk.busy(await desk.instance(alive=True), "active")
    gone = await desk.busy(str(uuid.uuid4()), "active")
    own = await desk.busy(desk.plane.instance_id, "active")
    stuck = await desk.busy(await desk.instance(alive=False), "active", vm_id="vm-stuck")
    desk.driver.faulty, desk.driver.fault = "vm-stuck", PermissionError("not allowed")
    desk.plane.clock.advance(seconds=60)
    await desk.recover()
    running = ("active", "in_progress", "")
    released = ("active", "blocked", "LEASE_EXPIRED")
    assert {await desk.seen(left) for left in (living, gone, own, stuck)} == {running}

    desk.plane.clock.advance(seconds=1)
    await desk.recover()
    assert await desk.seen(gone) == released
    # What holds it runs, or could not be ended; this instance may have slept, too.
    assert {await desk.seen(left) for left in (living, own, stuck)} == {running}
    with pytest.raises(LeaseLostError):
        await desk.plane.finish(gone.order)
    await desk.recovery().again()
    assert await desk.seen(own) == released
    assert {await desk.seen(left) for left in (living, stuck)} == {running}


async def test_holds_that_have_expired_are_ended_while_their_instance_lives(desk: Desk):
    await desk.busy(await desk.instance(alive=True), "active")
    held = "SELECT count(*) FROM budget_reservations WHERE state IN ('reserved', 'forwarded')"
    await desk.recovery().again()
    assert await desk.plane.rows(held) == [(1,)]
    desk.plane.clock.advance(days=1)
    await desk.recovery().again()
    assert await desk.plane.rows(held) == [(0,)]


async def test_files_of_a_machine_are_removed_only_when_they_are_in_the_store(desk: Desk):
    dead_id = await desk.instance(alive=False)
    idle = await desk.busy(dead_id, "active")
    unsaved = await desk.busy(dead_id, "active", "working")
    half = await desk.busy(dead_id, "active", "working")
    saved = await desk.busy(dead_id, "active", "working", "checkpointing")
    for left, kind in ((half, "automatic"), (saved, "final")):
        await desk.plane.checkpoint(
            left.order.task.project_id,
            parent_checkpoint_id=left.order.payload.base_checkpoint_id,
            creating_machine_id=left.machine_id,
            checkpoint_type=kind,
        )
    all_left = (idle, unsaved, half, saved)
    places = {left.machine_id: desk.recovery().machines_path / left.machine_id for left in all_left}
    for place in places.values():
        (place / "tree/workspace").mkdir(parents=True)

    await desk.recover()
    assert {await desk.seen(left) for left in all_left} == {DEAD}
    kept = {name for name, place in places.items() if place.exists()}
    assert kept == {unsaved.machine_id, half.machine_id}
    for left in all_left:
        machine = await desk.plane.services.machines.get_machine(
            machines_pb2.GetMachineRequest(machine_id=left.machine_id)
        )
        place = str(places[left.machine_id])
        assert (place in machine.error_message) is (left.machine_id in kept)

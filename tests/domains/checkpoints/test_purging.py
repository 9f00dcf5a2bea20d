"""Purging machines: all of it goes, or nothing, and a sentence says why."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from plane import Plane, write_files
from sqlalchemy import Uuid, bindparam, text

from autovibe.db.visibility import Viewer, limit
from autovibe.domains.checkpoints.errors import CheckpointsNeededError, MachineNotEndedError
from autovibe.domains.checkpoints.purging import purge_machine
from autovibe.domains.machines.errors import MachineNotFoundError
from autovibe.kernel.errors import AutovibeError
from autovibe.testing.factories import add, add_user
from autovibe.v1 import checkpoints_pb2, machines_pb2, work_pb2


@dataclass
class Past:
    """A machine that has ended, and its three checkpoints."""

    plane: Plane
    project_id: str
    genesis: checkpoints_pb2.Checkpoint
    machine_id: str
    chain: list[checkpoints_pb2.Checkpoint]

    async def machine(self, parent: str = "") -> str:
        made = await self.plane.machine(self.project_id, parent_checkpoint_id=parent)
        return made.id

    async def end(self, machine_id: str) -> None:
        await self.plane.services.machines.update_machine(
            machines_pb2.UpdateMachineRequest(machine_id=machine_id, status="terminated")
        )

    async def grow(self, machine_id: str, parent: str, kind: str = "automatic"):
        return await self.plane.checkpoint(
            self.project_id,
            parent_checkpoint_id=parent,
            creating_machine_id=machine_id,
            checkpoint_type=kind,
            stored_bytes=1000,
        )

    async def purge(self, machine_id: str = "", *, dry_run: bool = False):
        return await self.plane.services.checkpoints.purge_machine(
            machines_pb2.PurgeMachineRequest(
                machine_id=machine_id or self.machine_id, dry_run=dry_run
            )
        )

    async def refusal(self) -> str:
        """Return why nothing may be purged; and nothing was."""
        with pytest.raises(CheckpointsNeededError) as caught:
            await self.purge()
        assert await self.count() == (1, len(self.chain))
        assert caught.value.message.startswith("Nothing was purged, because ")
        return caught.value.message

    async def count(self) -> tuple[int, int]:
        """Return how much is left of the machine: itself, and its checkpoints."""
        listed = await self.plane.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(machine_id=self.machine_id)
        )
        machines = await self.plane.services.machines.list_machines(
            machines_pb2.ListMachinesRequest()
        )
        there = [one for one in machines.machines if one.id == self.machine_id]
        return len(there), len(listed.checkpoints)


@pytest.fixture
async def past(plane: Plane, tmp_path: Path) -> Past:
    """Give one on either database."""
    return await pass_by(plane, tmp_path)


@pytest.fixture
async def past_once(one_plane: Plane, tmp_path: Path) -> Past:
    """Give one on SQLite, for what does not depend on the database."""
    return await pass_by(one_plane, tmp_path)


async def pass_by(plane: Plane, tmp_path: Path) -> Past:
    project = await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    genesis = (await plane.load(tmp_path / "dir")).checkpoint
    past = Past(plane, project.id, genesis, "", [])
    past.machine_id = await past.machine(genesis.id)
    parent = genesis.id
    for kind in ("automatic", "manual", "final"):
        past.chain.append(await past.grow(past.machine_id, parent, kind))
        parent = past.chain[-1].id
    await past.end(past.machine_id)
    return past


@pytest.mark.req("S0-30")
async def test_a_purged_machine_goes_with_all_its_checkpoints(past: Past) -> None:
    told = await past.purge(dry_run=True)
    assert (told.checkpoints, told.stored_bytes) == (3, 3000)
    assert await past.count() == (1, 3)
    assert await past.purge() == told
    assert await past.count() == (0, 0)
    for one in past.chain:
        with pytest.raises(AutovibeError, match="no checkpoint"):
            await past.plane.services.checkpoints.get_checkpoint(
                checkpoints_pb2.GetCheckpointRequest(checkpoint_id=one.id)
            )
    [(operation, rows)] = await past.plane.rows(
        "SELECT operation, affected_rows FROM maintenance_log"
    )
    assert (operation, rows) == ("purge_machine", 3)
    with pytest.raises(MachineNotFoundError):
        await past.purge()


async def test_a_task_that_is_done_forgets_the_purged_result(past_once: Past) -> None:
    task = await past_once.plane.task(base_checkpoint_id=past_once.genesis.id)
    await past_once.plane.worker()
    order = await past_once.plane.claimed()
    await past_once.plane.services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id, lease_generation=1, machine_id=past_once.machine_id
        )
    )
    await past_once.plane.finish(order, result_checkpoint_id=past_once.chain[0].id)
    # The current one has gone on with it; as somebody does who goes back to the first.
    async with past_once.plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE projects SET current_checkpoint_id = initial_checkpoint_id")
        )
    await past_once.purge()
    seen = await past_once.plane.see(task.id)
    assert (seen.status, seen.result_checkpoint_id) == ("completed", "")
    assert seen.base_checkpoint_id == past_once.genesis.id
    result = await past_once.plane.services.work.get_task_result(
        work_pb2.GetTaskResultRequest(task_id=task.id)
    )
    assert not result.files_changed


async def test_a_machine_that_runs_is_not_purged(past_once: Past) -> None:
    living = await past_once.machine()
    with pytest.raises(MachineNotEndedError, match="cancel its task first"):
        await past_once.purge(living)


async def test_the_current_checkpoint_of_a_project_is_kept(past_once: Past) -> None:
    async with past_once.plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE projects SET current_checkpoint_id = :one").bindparams(
                bindparam("one", uuid.UUID(past_once.chain[1].id), type_=Uuid())
            )
        )
    assert f"checkpoint {past_once.chain[1].id} is the current one of its project" in (
        await past_once.refusal()
    )


async def test_what_a_task_starts_from_or_goes_on_from_is_kept(past_once: Past) -> None:
    task = await past_once.plane.task(base_checkpoint_id=past_once.chain[2].id)
    assert (
        f"task {task.id} starts from checkpoint {past_once.chain[2].id}"
        in await past_once.refusal()
    )
    await past_once.plane.worker()
    order = await past_once.plane.claimed()
    await past_once.plane.services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id, lease_generation=1, machine_id=past_once.machine_id
        )
    )
    await past_once.plane.finish(order, "paused", result_checkpoint_id=past_once.chain[1].id)
    told = await past_once.refusal()
    assert f"checkpoint {past_once.chain[1].id} is the result of task {task.id}" in told
    assert f"task {task.id}, which may go on, goes on from them" in told


async def test_what_others_descend_from_is_kept(past: Past) -> None:
    other = await past.machine(past.chain[0].id)
    assert f"machine {other} was started from checkpoint {past.chain[0].id}" in await past.refusal()
    child = await past.grow(other, past.chain[0].id)
    told = await past.refusal()
    assert f"checkpoint {child.id} of somebody else descends from" in told
    # The later one first, then the earlier one.
    await past.end(other)
    await past.purge(other)
    await past.purge()
    assert await past.count() == (0, 0)


async def test_a_member_purges_in_the_own_projects_only(past_once: Past) -> None:
    async with past_once.plane.db.write() as tx:
        member, stranger = await add_user(tx), await add_user(tx)
        seat = {"project_id": uuid.UUID(past_once.project_id), "user_id": member.id}
        await add(tx, "project_members", role="developer", **seat)
    request = machines_pb2.PurgeMachineRequest(machine_id=past_once.machine_id)
    for user in (stranger, member):
        async with past_once.plane.db.write() as tx:
            limit(tx.session, Viewer(user.id, ("developer",)))
            if user is stranger:
                with pytest.raises(MachineNotFoundError):
                    await purge_machine(tx, past_once.plane.context, request)
            else:
                await purge_machine(tx, past_once.plane.context, request)
    assert await past_once.count() == (0, 0)


@pytest.mark.long
async def test_a_long_list_of_needs_is_cut(past_once: Past) -> None:
    for _ in range(7):
        await past_once.grow("", past_once.chain[0].id)
    assert (await past_once.refusal()).count("descends from") == 5
    assert ", and so on; purge or finish what needs them first." in await past_once.refusal()

"""What a fork takes over from the task that made its checkpoint, and what it says anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe.v1 import checkpoints_pb2, work_pb2


@pytest.fixture
async def made(one_plane: Plane, tmp_path: Path) -> checkpoints_pb2.Checkpoint:
    """A checkpoint that the machine of a shell task made."""
    write_files(tmp_path / "dir", {"a.txt": "1\n"})
    await one_plane.project()
    base = (await one_plane.load(tmp_path / "dir")).checkpoint
    task = await one_plane.task(context={"agent_args": ["make", "all"], "timeout_s": 90})
    await one_plane.worker()
    order = await one_plane.claimed()
    machine = await one_plane.machine(task.project_id)
    await one_plane.services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id, lease_generation=1, machine_id=machine.id
        )
    )
    return await one_plane.result_of(base, tmp_path / "dir", creating_machine_id=machine.id)


async def fork(
    plane: Plane, made: checkpoints_pb2.Checkpoint, **context: object
) -> work_pb2.TaskContext:
    task = await plane.services.work.fork_checkpoint(
        work_pb2.ForkCheckpointRequest(
            checkpoint_id=made.id,
            description="go on",
            context=work_pb2.TaskContext(**context),
        )
    )
    assert task.base_checkpoint_id == made.id
    return task.context


async def test_a_fork_runs_as_its_source_did_unless_told_otherwise(
    one_plane: Plane, made: checkpoints_pb2.Checkpoint
):
    same = await fork(one_plane, made)
    assert (list(same.agent_args), same.timeout_s) == (["make", "all"], 90)
    other = await fork(one_plane, made, agent_args=["make", "test"], timeout_s=5)
    assert (list(other.agent_args), other.timeout_s) == (["make", "test"], 5)

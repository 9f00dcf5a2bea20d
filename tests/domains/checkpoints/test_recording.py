from __future__ import annotations

import math
import random
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from plane import NOON, Plane, write_files
from sqlalchemy import text

from autovibe.db import Database
from autovibe.db.errors import RuleViolationError
from autovibe.domains.checkpoints import descends_from
from autovibe.domains.checkpoints.errors import CheckpointNotFoundError
from autovibe.domains.work.errors import LeaseLostError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import checkpoints_pb2, machines_pb2


async def _get(plane: Plane, checkpoint_id: str) -> checkpoints_pb2.Checkpoint:
    return await plane.services.checkpoints.get_checkpoint(
        checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
    )


async def _execute(database: Database, statement: str, **values: object) -> None:
    async with database.write() as tx:
        await tx.session.execute(text(statement), values)


@dataclass(frozen=True)
class _Oracle:
    """A tree in plain Python: parent, depth and jump of every node by number."""

    parents: list[int | None]

    def path(self, node: int) -> list[int]:
        """Return the node and all its ancestors."""
        found = [node]
        while (parent := self.parents[found[-1]]) is not None:
            found.append(parent)
        return found

    def jump(self, node: int) -> int:
        """Return the far ancestor, by the definition of skew-binary jump pointers."""
        parent = self.parents[node]
        if parent is None:
            return node
        first = self.jump(parent)
        second = self.jump(first)
        depth = {n: len(self.path(n)) for n in (parent, first, second)}
        return second if depth[parent] - depth[first] == depth[first] - depth[second] else parent


def _random_tree(rng: random.Random, nodes: int) -> _Oracle:
    """Grow two trees: mostly long chains, with branches, as tasks make them."""
    later = (node - 1 if rng.random() < 0.8 else rng.randrange(node) for node in range(2, nodes))
    return _Oracle([None, None, *later])


async def test_jump_pointers_and_descent_agree_with_a_naive_tree(plane: Plane):
    rng = random.Random(20261123)
    oracle = _random_tree(rng, 120)
    project = await plane.project()
    ids = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in oracle.parents]
    for node, parent in enumerate(oracle.parents):
        await plane.checkpoint(
            project.id, id=ids[node], parent_checkpoint_id="" if parent is None else ids[parent]
        )
    rows = await plane.rows("SELECT id, depth, jump_checkpoint_id, jump_depth FROM checkpoints")
    assert {str(uuid.UUID(str(row[0]))): tuple(row[1:]) for row in rows}.keys() == set(ids)
    for row_id, depth, jump_id, jump_depth in rows:
        node = ids.index(str(uuid.UUID(str(row_id))))
        jump = oracle.jump(node)
        assert depth == len(oracle.path(node)) - 1
        assert str(uuid.UUID(str(jump_id))) == ids[jump]
        assert jump_depth == len(oracle.path(jump)) - 1
    pairs = [(rng.randrange(120), rng.randrange(120)) for _ in range(150)]
    pairs += [(node, rng.choice(oracle.path(node))) for node in range(0, 120, 3)]
    async with plane.db.read() as tx:
        for node, ancestor in pairs:
            found = await descends_from(tx, uuid.UUID(ids[node]), uuid.UUID(ids[ancestor]))
            assert found == (ancestor in oracle.path(node)), (node, ancestor)
        assert not await descends_from(tx, uuid.uuid4(), uuid.UUID(ids[0]))
        assert not await descends_from(tx, uuid.UUID(ids[0]), uuid.uuid4())


def test_a_climb_along_jumps_takes_a_logarithmic_number_of_steps():
    chain = _Oracle([None, *range(299)])
    jumps: list[int] = [0]
    for node in range(1, 300):  # as `jump` says, without its recursion
        parent = node - 1
        first, second = jumps[parent], jumps[jumps[parent]]
        jumps.append(second if parent - first == first - second else parent)
    assert jumps[20] == chain.jump(20)
    worst = 0
    for target in range(0, 299, 7):
        node, steps = 299, 0
        while node > target:
            node = jumps[node] if jumps[node] >= target else node - 1
            steps += 1
        worst = max(worst, steps)
    assert worst <= 3 * math.log2(300)


@pytest.mark.req("S0-29", "S0-53")
async def test_a_checkpoint_is_verified_only_with_its_parent_and_counts_for_its_machine(
    plane: Plane,
):
    project = await plane.project()
    machine = await plane.machine(project.id)
    root = await plane.checkpoint(
        project.id, checkpoint_type="genesis", creating_machine_id=machine.id
    )
    assert root.verification_status == "verified"
    assert from_timestamp(root.verified_at) == from_timestamp(root.created_at) == NOON
    unread = await plane.checkpoint(project.id, parent_checkpoint_id=root.id, verified=False)
    assert unread.verification_status == "failed"
    assert not unread.HasField("verified_at")
    after = await plane.checkpoint(
        project.id, parent_checkpoint_id=unread.id, verified=True, creating_machine_id=machine.id
    )
    assert (after.verification_status, after.depth) == ("failed", 2)
    seen = await plane.services.machines.get_machine(
        machines_pb2.GetMachineRequest(machine_id=machine.id)
    )
    assert (seen.checkpoint_count, seen.last_checkpoint_id) == (2, after.id)


async def test_a_parent_that_the_project_does_not_have_is_refused(plane: Plane):
    project = await plane.project()
    other = await plane.project("other")
    foreign = await plane.checkpoint(other.id)
    for parent in (str(uuid.uuid4()), foreign.id):
        with pytest.raises(CheckpointNotFoundError):
            await plane.checkpoint(project.id, parent_checkpoint_id=parent)
    assert await plane.rows("SELECT count(*) FROM checkpoints") == [(1,)]


async def test_a_checkpoint_under_an_old_lease_is_refused(plane: Plane, tmp_path: Path):
    await plane.project()
    directory = tmp_path / "dir"
    write_files(directory, {"a": "1"})
    base = (await plane.load(directory)).checkpoint
    await plane.task()
    await plane.worker()
    order = await plane.claimed()
    fields = {
        "parent_checkpoint_id": base.id,
        "work_order_id": order.work_order_id,
        "checkpoint_type": "automatic",
    }
    made = await plane.checkpoint(base.project_id, lease_generation=1, **fields)
    assert made.depth == 1
    for generation in (0, 2):
        with pytest.raises(LeaseLostError):
            await plane.checkpoint(base.project_id, lease_generation=generation, **fields)
    await plane.finish(order, result_checkpoint_id=made.id)
    with pytest.raises(LeaseLostError):
        await plane.checkpoint(base.project_id, lease_generation=1, **fields)
    assert await plane.rows("SELECT count(*) FROM checkpoints") == [(2,)]


async def test_the_beginning_of_an_id_is_enough_unless_it_fits_several(plane: Plane):
    project = await plane.project()
    for digits in ("12345678aaaa", "12345678bbbb", "87654321aaaa"):
        await plane.checkpoint(project.id, id=str(uuid.UUID(digits.ljust(32, "0"))))
    assert (await _get(plane, "87654321")).id.startswith("87654321-aaaa")
    assert (await _get(plane, "12345678-BBBB")).id.startswith("12345678-bbbb")
    with pytest.raises(InvalidArgumentError):
        await _get(plane, "12345678")
    with pytest.raises(InvalidArgumentError):
        await _get(plane, "1234567")
    with pytest.raises(CheckpointNotFoundError):
        await _get(plane, "00000000")


@pytest.mark.req("S0-69")
async def test_a_verified_checkpoint_cannot_be_changed(plane: Plane):
    project = await plane.project()
    machine = await plane.machine(project.id)
    made = await plane.checkpoint(
        project.id, creating_machine_id=machine.id, description="as it was"
    )
    for change in (
        "description = 'other'",
        "manifest_root = '" + "1" * 64 + "'",
        "verification_status = 'failed', verified_at = NULL",
        "depth = 7",
        "consistency = 'fuzzy_tree'",
    ):
        with pytest.raises(RuleViolationError):
            await _execute(plane.db, f"UPDATE checkpoints SET {change}")
    assert await _get(plane, made.id) == made
    await _execute(plane.db, "UPDATE checkpoints SET creating_machine_id = NULL")
    assert (await _get(plane, made.id)).creating_machine_id == ""


async def test_the_list_pages_filters_by_machine_and_refuses_foreign_tokens(plane: Plane):
    project = await plane.project()
    machine = await plane.machine(project.id)
    ids = [(await plane.checkpoint(project.id)).id for _ in range(4)]
    plane.clock.advance(seconds=1)
    newest = (await plane.checkpoint(project.id, creating_machine_id=machine.id)).id

    async def listed(**filters: object) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await plane.services.checkpoints.list_checkpoints(
                checkpoints_pb2.ListCheckpointsRequest(page_size=2, page_token=token, **filters)
            )
            found += [checkpoint.id for checkpoint in page.checkpoints]
            token = page.next_page_token
            if not token:
                return found

    found = await listed()
    assert found[0] == newest
    assert sorted(found[1:]) == sorted(ids)
    assert await listed(machine_id=machine.id, project="website") == [newest]
    with pytest.raises(InvalidArgumentError):
        await plane.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(page_token="rubbish")
        )

"""Ancestors, descendants, where two checkpoints part, and the way between them."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event

from autovibe.db import Database
from autovibe.domains.checkpoints import descends_from, repository
from autovibe.testing import factories

SEED = 20261125


@dataclass
class Forest:
    """Checkpoints of one project, and in plain Python who is whose parent."""

    project_id: uuid.UUID
    parents: dict[uuid.UUID, uuid.UUID | None] = field(default_factory=dict)

    def line(self, one: uuid.UUID) -> list[uuid.UUID]:
        found: list[uuid.UUID] = []
        at: uuid.UUID | None = one
        while at is not None:
            found.append(at)
            at = self.parents[at]
        return found

    def meeting(self, one: uuid.UUID, other: uuid.UUID) -> uuid.UUID | None:
        above = set(self.line(one))
        return next((at for at in self.line(other) if at in above), None)


async def grow(db: Database, shape: list[int | None], project_id: Any = None) -> Forest:
    """Insert checkpoints: each number says which earlier one is the parent, `None` makes a root."""
    async with db.write() as tx:
        project = project_id or (await factories.add_project(tx)).id
        forest = Forest(project)
        rows: list[Any] = []
        for parent in shape:
            above = None if parent is None else rows[parent]
            row = await factories.add_checkpoint(tx, project, above)
            rows.append(row)
            forest.parents[row.id] = None if above is None else above.id
    return forest


def bush(chance: random.Random, count: int, roots: int) -> list[int | None]:
    """Return a random shape: mostly chains, with forks."""
    shape: list[int | None] = [None] * roots
    while len(shape) < count:
        latest = len(shape) - 1
        shape.append(latest if chance.random() < 0.7 else chance.randint(0, latest))
    return shape


@pytest.fixture
async def forest(db: Database) -> Forest:
    print(f"seed {SEED}")
    return await grow(db, bush(random.Random(SEED), 120, roots=3))


@pytest.mark.req("S0-25", "S0-70", "S0-106")
async def test_ancestors_and_descendants_are_those_of_the_parents(
    db: Database, forest: Forest
) -> None:
    for one in random.Random(1).sample(sorted(forest.parents), 15):
        async with db.read() as tx:
            up = await repository.ancestors(tx, one)
            down = await repository.descendants(tx, one)
        assert [row.id for row in up] == forest.line(one)
        assert [row.depth for row in up] == list(range(len(up) - 1, -1, -1))
        assert {row.id for row in down} == {
            other for other in forest.parents if one in forest.line(other)
        }
        assert [row.depth for row in down] == sorted(row.depth for row in down)


async def test_no_more_than_the_limit_is_returned(db: Database, forest: Forest) -> None:
    deepest = max(forest.parents, key=lambda one: len(forest.line(one)))
    async with db.read() as tx:
        near = await repository.ancestors(tx, deepest, limit=3)
        far = await repository.descendants(tx, forest.line(deepest)[-1], limit=3)
    assert [row.id for row in near] == forest.line(deepest)[:3]
    assert len(far) == 3


@pytest.mark.req("S0-106")
async def test_the_evolution_of_a_project_is_its_whole_forest_by_depth_and_time(
    db: Database, forest: Forest
) -> None:
    await grow(db, [None, 0])
    async with db.read() as tx:
        rows = await repository.evolution(tx, forest.project_id)
    assert [(row.depth, row.created_at, row.id) for row in rows] == sorted(
        (len(forest.line(row.id)) - 1, row.created_at, row.id) for row in rows
    )
    assert {row.id: row.parent_checkpoint_id for row in rows} == forest.parents


async def test_the_deepest_common_ancestor_is_found_by_jumps(db: Database, forest: Forest) -> None:
    chance = random.Random(2)
    ids = sorted(forest.parents)
    for _ in range(60):
        one, other = chance.choice(ids), chance.choice(ids)
        async with db.read() as tx:
            assert await repository.common_ancestor(tx, one, other) == forest.meeting(one, other)
            assert await descends_from(tx, one, other) == (other in forest.line(one))


async def test_two_imports_of_one_project_share_nothing(db: Database, forest: Forest) -> None:
    roots = [one for one, parent in forest.parents.items() if parent is None]
    async with db.read() as tx:
        assert await repository.common_ancestor(tx, roots[0], roots[1]) is None


async def test_checkpoints_of_two_projects_share_nothing(db: Database, forest: Forest) -> None:
    stranger = await grow(db, [None, 0, 1])
    mine = next(iter(forest.parents))
    async with db.read() as tx:
        for other in stranger.parents:
            assert await repository.common_ancestor(tx, mine, other) is None
        assert await repository.common_ancestor(tx, mine, uuid.uuid4()) is None


async def test_the_way_between_two_goes_up_to_where_they_part_and_down(
    db: Database, forest: Forest
) -> None:
    chance = random.Random(3)
    ids = sorted(forest.parents)
    for _ in range(20):
        one, other = chance.choice(ids), chance.choice(ids)
        meeting = forest.meeting(one, other)
        if meeting is None:
            continue
        async with db.read() as tx:
            way = await repository.path_between(tx, one, other, meeting)
        up, down = forest.line(one), forest.line(other)
        expected = up[: up.index(meeting) + 1] + down[: down.index(meeting)][::-1]
        assert [row.id for row in way] == expected


@pytest.mark.parametrize("depth", [0, 1, 7, 63, 64, 100])
async def test_an_ancestor_at_a_depth_takes_one_query(db: Database, depth: int) -> None:
    chain = await grow(db, [None, *range(100)])
    line = chain.line(list(chain.parents)[-1])
    asked: list[str] = []
    engine = db.engine.sync_engine
    note = lambda *arguments: asked.append(arguments[2])  # noqa: E731 - a listener of one line
    async with db.read() as tx:
        await tx.session.connection()
        event.listen(engine, "before_cursor_execute", note)
        try:
            found = await repository.ancestor_at(tx, line[0], depth)
        finally:
            event.remove(engine, "before_cursor_execute", note)
    assert found == line[100 - depth]
    assert len(asked) <= 1, "on SQLite reads have an engine of their own"


async def test_there_is_no_ancestor_below(db: Database, forest: Forest) -> None:
    root = next(one for one, parent in forest.parents.items() if parent is None)
    async with db.read() as tx:
        assert await repository.ancestor_at(tx, root, 1) is None

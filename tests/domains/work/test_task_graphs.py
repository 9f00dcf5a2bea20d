"""Whole graphs of tasks: made at once, and worked off in order, against a model in plain Python."""

from __future__ import annotations

import asyncio
import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plane import Plane, write_files
from sqlalchemy import text

from autovibe.domains.machines.errors import UnknownAgentError
from autovibe.domains.work.errors import (
    ParentNotAllowedError,
    SelfDependencyError,
    TaskCycleError,
)
from autovibe.kernel.errors import IdempotencyKeyReusedError, InvalidArgumentError
from autovibe.v1 import metering_pb2, tasks_pb2, work_pb2

WAITING = "WAITING_FOR_DEPENDENCY"


@pytest.fixture
async def base(plane: Plane, tmp_path: Path) -> str:
    """Give a project with a checkpoint, and a worker with room."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.worker(slots=100)
    return (await plane.load(tmp_path / "dir")).checkpoint.id


def spec(key: str, *after: str, **fields: Any) -> tasks_pb2.TaskSpec:
    given_: dict[str, Any] = {
        "prompt": f"do {key}",
        "agent": "shell",
        "isolation": "process",
        "agent_args": ["true"],
        **fields,
    }
    return tasks_pb2.TaskSpec(key=key, after=after, **given_)


async def create(
    plane: Plane, *specs: tasks_pb2.TaskSpec, **fields: Any
) -> tasks_pb2.CreateTasksResponse:
    return await plane.services.work.create_tasks(
        tasks_pb2.CreateTasksRequest(project="website", tasks=specs, **fields)
    )


DIAMOND = (spec("d", "b", "c"), spec("b", "a"), spec("c", "a"), spec("a"))


async def count(plane: Plane, table: str) -> int:
    ((found,),) = await plane.rows(f"SELECT count(*) FROM {table}")
    return found


async def test_a_graph_is_made_at_once_and_only_what_waits_for_nothing_is_queued(
    plane: Plane, base: str
):
    made = await create(plane, *DIAMOND, start=True)
    assert [(task.key, task.status, task.block_reason) for task in made.tasks] == [
        ("d", "blocked", WAITING),
        ("b", "blocked", WAITING),
        ("c", "blocked", WAITING),
        ("a", "queued", ""),
    ]
    assert (await count(plane, "task_dependencies"), await count(plane, "work_orders")) == (4, 1)
    done = []
    for _ in DIAMOND:
        order = await plane.claimed()
        done.append(order.task.title)
        await plane.finish(order)
    assert done[0] == "do a"
    assert done[3] == "do d"
    assert await plane.claim() is None


async def test_what_is_said_of_each_task_is_kept(plane: Plane, base: str):
    made = await create(
        plane,
        spec("part", parent="whole", budget="0.50CAD", labels={"team": "web"}, timeout_s=90),
        spec("whole", title="Named", priority="high", task_type="docs", budget="2CAD"),
    )
    part, whole = [await plane.see(task.task_id) for task in made.tasks]
    assert (whole.title, whole.priority, whole.task_type, whole.status) == (
        "Named",
        "high",
        "docs",
        "pending",
    )
    assert (part.parent_task_id, part.context.timeout_s) == (whole.id, 90)
    assert dict(part.metadata["labels"]) == {"team": "web"}
    listed = await plane.services.metering.list_budgets(
        metering_pb2.ListBudgetsRequest(task_id=part.id)
    )
    caps = {one.task_id: one.allocated_amount for one in listed.budgets if one.task_id}
    assert caps[part.id] == "0.50"


@pytest.mark.parametrize(
    ("specs", "error", "says"),
    [
        ((spec("a", "b"), spec("b", "c"), spec("c", "a")), TaskCycleError, "a → b → c → a"),
        ((spec("x", "a"), spec("a", "b"), spec("b", "a")), TaskCycleError, "a → b → a"),
        ((spec("a", parent="b"), spec("b", parent="a")), TaskCycleError, "→"),
        ((spec("a", "a"),), SelfDependencyError, "'a'"),
        ((spec("a", parent="a"),), SelfDependencyError, "'a'"),
        ((spec("a"), spec("a")), InvalidArgumentError, "'a'"),
        ((spec("a", "ghost"),), InvalidArgumentError, "'ghost'"),
        ((spec("a", parent="ghost"),), InvalidArgumentError, "'ghost'"),
        ((spec("a"), spec("b", agent_args=[], prompt=" ")), InvalidArgumentError, "'b'"),
        ((spec("a"), spec("b", agent="nobody")), UnknownAgentError, "nobody"),
        (
            tuple(
                spec(str(level), **({"parent": str(level - 1)} if level else {}))
                for level in range(9)
            ),
            ParentNotAllowedError,
            "8 levels",
        ),
    ],
)
async def test_a_graph_that_cannot_be_is_refused_whole(
    plane: Plane, base: str, specs: tuple[tasks_pb2.TaskSpec, ...], error: type, says: str
):
    with pytest.raises(error) as refused:
        await create(plane, *specs, start=True)
    assert says in refused.value.message
    assert await count(plane, "tasks") == 0


async def test_a_failure_while_recording_leaves_nothing(plane: Plane, base: str):
    async with plane.db.write() as tx:
        await tx.session.execute(text("DELETE FROM exchange_rates"))
    specs = (spec("a"), spec("b", "a", budget="1USD"))
    with pytest.raises(Exception, match="rate"):
        await create(plane, *specs)
    assert (await count(plane, "tasks"), await count(plane, "resource_budgets")) == (0, 0)


async def test_a_dry_run_checks_everything_and_makes_nothing(plane: Plane, base: str):
    would = await create(plane, *DIAMOND, start=True, dry_run=True)
    assert [task.status for task in would.tasks] == ["blocked", "blocked", "blocked", "queued"]
    assert {task.task_id for task in would.tasks} == {""}
    assert await count(plane, "tasks") == 0
    with pytest.raises(TaskCycleError):
        await create(plane, spec("a", "b"), spec("b", "a"), dry_run=True)


async def test_a_key_makes_a_graph_once_even_when_it_comes_twice_at_the_same_time(
    plane: Plane, base: str
):
    answers = await asyncio.gather(
        *(create(plane, *DIAMOND, start=True, idempotency_key="k") for _ in range(3))
    )
    assert len({tuple(task.task_id for task in answer.tasks) for answer in answers}) == 1
    assert sorted(answer.repeated for answer in answers) == [False, True, True]
    assert (await count(plane, "tasks"), await count(plane, "task_dependencies")) == (4, 4)
    with pytest.raises(IdempotencyKeyReusedError):
        await create(plane, *DIAMOND[:3], spec("a", prompt="else"), idempotency_key="k")
    await create(plane, *DIAMOND, start=True, idempotency_key="other")
    assert await count(plane, "tasks") == 8


graphs = st.integers(1, 8).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.sets(
            st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(
                lambda edge: edge[0] < edge[1]
            ),
            max_size=14,
        ),
        st.lists(st.sampled_from(["completed"] * 6 + ["failed"]), min_size=size, max_size=size),
        st.integers(0, 2**32),
    )
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(graph=graphs)
async def test_no_task_starts_before_its_blockers_completed_and_all_that_can_end_do(
    plane: Plane, base: str, graph: tuple[int, set[tuple[int, int]], list[str], int]
):
    size, edges, outcomes, seed = graph
    rng = random.Random(seed)
    names = [uuid.uuid4().hex for _ in range(size)]
    blockers = {one: {first for first, second in edges if second == one} for one in range(size)}
    specs = [
        spec(str(one), *(str(first) for first in blockers[one]), title=names[one])
        for one in range(size)
    ]
    rng.shuffle(specs)
    await create(plane, *specs, start=True)
    completed: set[int] = set()
    claimed: list[work_pb2.ClaimedOrder] = []
    started: list[int] = []
    while True:
        for _ in range(rng.randint(1, 3)):
            order = await plane.claim()
            if order is not None:
                one = names.index(order.task.title)
                assert blockers[one] <= completed
                started.append(one)
                claimed.append(order)
        if not claimed:
            break
        ending = [
            claimed.pop(rng.randrange(len(claimed))) for _ in range(rng.randint(1, len(claimed)))
        ]
        await asyncio.gather(
            *(plane.finish(order, outcomes[names.index(order.task.title)]) for order in ending)
        )
        completed |= {
            one
            for one in (names.index(order.task.title) for order in ending)
            if outcomes[one] == "completed"
        }
    reachable: set[int] = set()
    for one in range(size):  # edges lead from lower to higher numbers
        if all(first in reachable and outcomes[first] == "completed" for first in blockers[one]):
            reachable.add(one)
    assert sorted(started) == sorted(reachable)  # each once

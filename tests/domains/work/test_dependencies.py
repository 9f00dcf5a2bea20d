from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from plane import Plane, write_files
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from autovibe.domains.work.errors import (
    ApprovalGateOpenError,
    DependencyNotFoundError,
    DuplicateDependencyError,
    ParentNotAllowedError,
    SelfDependencyError,
    TaskCycleError,
    TaskHasStartedError,
    TaskNotFoundError,
    TaskWaitsError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import metering_pb2, tasks_pb2, work_pb2

WAITING = "WAITING_FOR_DEPENDENCY"


@pytest.fixture
async def base(plane: Plane, tmp_path: Path) -> str:
    """Give a project with a checkpoint, and a worker with room."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.worker(slots=20)
    return (await plane.load(tmp_path / "dir")).checkpoint.id


async def depend(plane: Plane, task_id: str, on: str, kind: str = "") -> tasks_pb2.TaskDependency:
    return await plane.services.work.add_task_dependency(
        tasks_pb2.AddTaskDependencyRequest(
            task_id=task_id, depends_on_task_id=on, dependency_type=kind
        )
    )


async def undepend(plane: Plane, task_id: str, on: str) -> work_pb2.Task:
    return await plane.services.work.remove_task_dependency(
        tasks_pb2.RemoveTaskDependencyRequest(task_id=task_id, depends_on_task_id=on)
    )


async def state(plane: Plane, task_id: str) -> tuple[str, str]:
    task = await plane.see(task_id)
    return task.status, task.block_reason


async def orders(plane: Plane, task_id: str) -> int:
    ((count,),) = await plane.rows(
        "SELECT count(*) FROM work_orders JOIN tasks ON tasks.id = work_orders.task_id "
        "WHERE tasks.description = :name",
        name=(await plane.see(task_id)).description,
    )
    return count


async def run(plane: Plane, task_id: str, outcome: str = "completed", **fields: str) -> None:
    await plane.finish(await plane.claimed(task_id=task_id), outcome, **fields)


@pytest.mark.req("S3-84")
async def test_a_task_waits_until_its_last_blocker_has_completed(plane: Plane, base: str):
    one, two = await plane.task(description="one"), await plane.task(description="two")
    last = await plane.task(description="last", after_task_ids=[one.id, two.id, one.id[:8]])
    assert (last.status, last.block_reason) == ("blocked", WAITING)
    assert await plane.claim(task_id=last.id) is None
    assert await orders(plane, last.id) == 0
    await run(plane, one.id)
    assert await state(plane, last.id) == ("blocked", WAITING)
    await run(plane, two.id)
    assert await state(plane, last.id) == ("queued", "")
    assert await orders(plane, last.id) == 1
    await run(plane, last.id)
    assert await state(plane, last.id) == ("completed", "")


async def test_a_task_that_waited_begins_with_what_its_blocker_made(
    plane: Plane, base: str, tmp_path: Path
):
    first = await plane.task(description="first")
    follows = await plane.task(description="follows", after_task_ids=[first.id])
    pinned = await plane.task(
        description="pinned", after_task_ids=[first.id], base_checkpoint_id=base
    )
    made = await plane.checkpoint(first.project_id, parent_checkpoint_id=base)
    await run(plane, first.id, result_checkpoint_id=made.id)
    assert await plane.current() == made.id
    for task, start in ((follows, made.id), (pinned, base)):
        order = await plane.claimed(task_id=task.id)
        assert order.payload.base_checkpoint_id == start
        assert order.task.base_checkpoint_id == start


@pytest.mark.parametrize(
    ("end", "reason"), [("failed", "DEPENDENCY_FAILED"), ("cancelled", "DEPENDENCY_CANCELLED")]
)
async def test_a_blocker_that_does_not_complete_is_named_and_a_person_lets_the_others_go(
    plane: Plane, base: str, end: str, reason: str
):
    blocker = await plane.task(description="blocker")
    resumed = await plane.task(description="resumed", after_task_ids=[blocker.id])
    freed = await plane.task(description="freed", after_task_ids=[blocker.id])
    work = plane.services.work
    for task in (resumed, freed):
        with pytest.raises(TaskWaitsError, match=blocker.id[:8]):
            await work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    if end == "failed":
        await run(plane, blocker.id, "failed")
    else:
        await work.cancel_task(work_pb2.CancelTaskRequest(task_id=blocker.id))
    for task in (resumed, freed):
        assert await state(plane, task.id) == ("blocked", f"{reason}:{blocker.id[:8]}")
    answer = await work.resume_task(work_pb2.ResumeTaskRequest(task_id=resumed.id))
    assert answer.status == "queued"
    assert (await undepend(plane, freed.id, blocker.id)).status == "queued"
    assert (await orders(plane, resumed.id), await orders(plane, freed.id)) == (1, 1)


async def test_a_failed_blocker_that_is_retried_and_completes_lets_the_others_go(
    plane: Plane, base: str
):
    blocker = await plane.task(description="blocker")
    waiting = await plane.task(description="waiting", after_task_ids=[blocker.id])
    await run(plane, blocker.id, "failed")
    await plane.services.work.retry_task(work_pb2.RetryTaskRequest(task_id=blocker.id))
    assert await state(plane, waiting.id) == ("blocked", WAITING)
    await run(plane, blocker.id)
    assert await state(plane, waiting.id) == ("queued", "")


async def test_a_pending_task_that_is_started_waits_and_a_queued_one_is_held_back(
    plane: Plane, base: str
):
    blocker = await plane.task(description="blocker")
    pending = await plane.task(description="pending", start=False, after_task_ids=[blocker.id])
    assert pending.status == "pending"
    started = await plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=pending.id))
    assert (started.status, started.block_reason) == ("blocked", WAITING)
    queued = await plane.task(description="queued")
    await depend(plane, queued.id, blocker.id)
    assert await state(plane, queued.id) == ("blocked", WAITING)
    assert await plane.claim(task_id=queued.id) is None
    await run(plane, blocker.id)
    for task in (pending, queued):
        assert await orders(plane, task.id) == 1
        await run(plane, task.id)


async def test_a_task_that_runs_or_has_ended_can_only_be_related(plane: Plane, base: str):
    running, other = await plane.task(), await plane.task()
    order = await plane.claimed(task_id=running.id)
    with pytest.raises(TaskHasStartedError):
        await depend(plane, running.id, other.id)
    await depend(plane, running.id, other.id, "related")
    await plane.finish(order)
    with pytest.raises(TaskHasStartedError):
        await depend(plane, order.task.id, (await plane.task()).id)
    await run(plane, other.id)  # it was never held back


async def test_related_and_duplicate_tasks_do_not_wait_and_may_name_each_other(
    plane: Plane, base: str
):
    one, two = await plane.task(), await plane.task()
    await depend(plane, one.id, two.id, "related")
    await depend(plane, two.id, one.id, "duplicate")
    assert [(await plane.see(task.id)).status for task in (one, two)] == ["queued", "queued"]


@pytest.mark.req("S3-86")
async def test_cycles_selves_and_duplicates_are_refused_and_named(plane: Plane, base: str):
    tasks = [await plane.task(start=False, description=str(number)) for number in range(3)]
    a, b, c = (task.id for task in tasks)
    await depend(plane, a, b)
    await depend(plane, b, c)
    with pytest.raises(TaskCycleError) as cycle:
        await depend(plane, c, a)
    assert f"{c[:8]} → {a[:8]} → {b[:8]} → {c[:8]}" in cycle.value.message
    with pytest.raises(SelfDependencyError):
        await depend(plane, a, a)
    for kind in ("blocks", "related"):
        with pytest.raises(DuplicateDependencyError):
            await depend(plane, a, b, kind)
    with pytest.raises(DependencyNotFoundError):
        await undepend(plane, a, c)
    with pytest.raises(TaskNotFoundError):
        await depend(plane, a, "0" * 8)
    assert await plane.rows("SELECT count(*) FROM task_dependencies") == [(2,)]


async def test_tasks_of_two_projects_do_not_wait_for_each_other(
    plane: Plane, base: str, tmp_path: Path
):
    await plane.project("other")
    await plane.load(tmp_path / "dir", "other")
    mine, theirs = await plane.task(), await plane.task("other")
    with pytest.raises(InvalidArgumentError):
        await depend(plane, mine.id, theirs.id)
    with pytest.raises(InvalidArgumentError):
        await plane.task(after_task_ids=[theirs.id])
    with pytest.raises(ParentNotAllowedError):
        await plane.task(parent_task_id=theirs.id)


async def test_blockers_that_complete_at_the_same_moment_queue_a_task_once(plane: Plane, base: str):
    for round_ in range(5):
        blockers = [await plane.task(description=f"{round_} {number}") for number in range(4)]
        waiting = await plane.task(
            description=f"{round_} last", after_task_ids=[task.id for task in blockers]
        )
        claimed = [await plane.claimed(task_id=task.id) for task in blockers]
        await asyncio.gather(*(plane.finish(order) for order in claimed))
        assert await state(plane, waiting.id) == ("queued", "")
        assert await orders(plane, waiting.id) == 1
        await run(plane, waiting.id)


async def test_a_task_that_is_started_while_its_blocker_completes_is_not_forgotten(
    plane: Plane, base: str
):
    for round_ in range(5):
        blocker = await plane.task(description=f"{round_} blocker")
        order = await plane.claimed(task_id=blocker.id)
        pending = await plane.task(
            description=f"{round_} pending", start=False, after_task_ids=[blocker.id]
        )
        added = await plane.task(description=f"{round_} added")
        await asyncio.gather(
            plane.finish(order),
            plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=pending.id)),
            depend(plane, added.id, blocker.id),
        )
        for task in (pending, added):
            assert await state(plane, task.id) == ("queued", "")
            assert await orders(plane, task.id) == 1
            await run(plane, task.id)


async def test_two_halves_of_a_cycle_added_at_once_do_not_both_hold(plane: Plane, base: str):
    for _ in range(5):
        a, b, c, d = [(await plane.task(start=False)).id for _ in range(4)]
        await depend(plane, b, c)
        await depend(plane, d, a)
        ended = await asyncio.gather(
            depend(plane, a, b), depend(plane, c, d), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in ended) == ["TaskCycleError", "TaskDependency"]


async def test_dependencies_are_listed_page_by_page_and_the_graph_shows_all_of_it(
    plane: Plane, base: str
):
    middle = await plane.task(description="middle")
    for number in range(3):
        plane.clock.advance(seconds=1)
        await depend(plane, middle.id, (await plane.task(description=str(number))).id)
    part = await plane.task(description="part", parent_task_id=middle.id)
    after = await plane.task(description="after", after_task_ids=[middle.id])
    alone = await plane.task(description="alone")
    seen, token = [], ""
    while not seen or token:
        page = await plane.services.work.list_task_dependencies(
            tasks_pb2.ListTaskDependenciesRequest(task_id=middle.id, page_size=3, page_token=token)
        )
        seen += page.dependencies
        token = page.next_page_token
    assert len({one.id for one in seen}) == len(seen) == 4
    assert {one.dependency_type for one in seen} == {"blocks"}
    graph = await plane.services.work.get_task_graph(
        tasks_pb2.GetTaskGraphRequest(task_id=after.id)
    )
    assert {node.title for node in graph.nodes} == {"middle", "0", "1", "2", "part", "after"}
    assert len(graph.dependencies) == 4
    assert [node.parent_task_id for node in graph.nodes if node.id == part.id] == [middle.id]
    whole = await plane.services.work.get_task_graph(
        tasks_pb2.GetTaskGraphRequest(project="website")
    )
    assert {node.id for node in whole.nodes} == {node.id for node in graph.nodes} | {alone.id}
    for request in ({}, {"project": "website", "task_id": after.id}):
        with pytest.raises(InvalidArgumentError):
            await plane.services.work.get_task_graph(tasks_pb2.GetTaskGraphRequest(**request))


@pytest.mark.req("S3-35")
async def test_parts_have_at_most_the_leave_of_the_whole_and_at_most_eight_levels(
    plane: Plane, base: str
):
    task = await plane.task(start=False)
    for _ in range(7):
        task = await plane.task(start=False, parent_task_id=task.id)
    with pytest.raises(ParentNotAllowedError, match="8 levels"):
        await plane.task(start=False, parent_task_id=task.id)
    whole = await plane.task(start=False)
    async with plane.db.write() as tx:
        await tx.session.execute(
            text(
                "UPDATE tasks SET permission_level = 'supervised', description = 'whole' "
                "WHERE priority = 'normal' AND parent_task_id IS NULL"
            )
        )
    with pytest.raises(ParentNotAllowedError, match="at most supervised"):
        await plane.task(parent_task_id=whole.id, permission_level="autonomous")
    # A part has the level of the whole when none is named, and that agent may not have it.
    with pytest.raises(ApprovalGateOpenError):
        await plane.task(parent_task_id=whole.id)
    await plane.services.work.cancel_task(work_pb2.CancelTaskRequest(task_id=whole.id))
    with pytest.raises(ParentNotAllowedError, match="cancelled"):
        await plane.task(parent_task_id=whole.id)


async def test_the_cap_of_the_whole_covers_its_parts(plane: Plane, base: str):
    whole = await plane.task(start=False, budget="1.00CAD")
    part = await plane.task(start=False, budget="9.00CAD", parent_task_id=whole.id)
    listed = await plane.services.metering.list_budgets(
        metering_pb2.ListBudgetsRequest(task_id=part.id)
    )
    caps = {budget.task_id: budget.allocated_amount for budget in listed.budgets if budget.task_id}
    assert caps[part.id] == "9.00"
    assert part.parent_task_id == whole.id


@pytest.mark.parametrize("labels", ["x", {"": "x"}, {"a=b": "x"}, {"a": 1}, {"a": "x" * 256}])
async def test_malformed_labels_are_refused(plane: Plane, base: str, labels: object):
    with pytest.raises(InvalidArgumentError):
        await plane.task(metadata=struct({"labels": labels}))


async def test_tasks_are_found_by_label_and_by_being_ready(plane: Plane, base: str):
    web = await plane.task(metadata=struct({"labels": {"team": "web", "size": "s"}}))
    waiting = await plane.task(
        metadata=struct({"labels": {"team": "web"}}), after_task_ids=[web.id]
    )
    await plane.task(metadata=struct({"labels": {"team": "core"}}), start=False)
    running = await plane.task()
    await plane.claimed(task_id=running.id)

    async def found(**fields: object) -> set[str]:
        answer = await plane.services.work.list_tasks(work_pb2.ListTasksRequest(**fields))
        return {task.id for task in answer.tasks}

    assert await found(labels=["team=web"]) == {web.id, waiting.id}
    assert await found(labels=["team=web", "size=s"]) == {web.id}
    assert await found(labels=["team=w"]) == set()
    assert await found(ready=True) == {web.id}
    assert await found(ready=True, labels=["team=core"]) == set()


async def test_what_is_ready_is_asked_in_the_same_number_of_queries_however_much_there_is(
    plane: Plane, base: str
):
    counts = []
    for wanted in (1, 12):
        while len(counts) < 2 and await _ready(plane) < wanted:
            await plane.task()
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)  # noqa: B023 - used within this turn only

        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert await _ready(plane) == wanted
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        counts.append(len([one for one in statements if "SELECT" in one.upper()]))
    assert counts[0] == counts[1] > 0


async def _ready(plane: Plane) -> int:
    answer = await plane.services.work.list_tasks(work_pb2.ListTasksRequest(ready=True))
    return len(answer.tasks)

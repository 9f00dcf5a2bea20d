from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from plane import Plane, make_repository, write_files

from autovibe.domains.checkpoints.errors import CheckpointNotFoundError
from autovibe.domains.machines.errors import UnknownAgentError
from autovibe.domains.projects.errors import ProjectNotFoundError
from autovibe.domains.work.errors import ApprovalGateOpenError, TaskNotFoundError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import metering_pb2, work_pb2


@pytest.fixture
async def base(plane: Plane, tmp_path: Path) -> Path:
    """Give a project with a checkpoint."""
    await plane.project()
    repository = make_repository(tmp_path / "repo")
    write_files(repository, {"a.txt": "changed\n"})
    await plane.load(repository)
    return repository


async def _caps(plane: Plane, task_id: str) -> list[str]:
    listed = await plane.services.metering.list_budgets(
        metering_pb2.ListBudgetsRequest(task_id=task_id)
    )
    return [budget.allocated_amount for budget in listed.budgets if budget.task_id == task_id]


async def test_a_task_gets_every_default(plane: Plane, base: Path):
    task = await plane.services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            description="\n  Fix the login  \nbecause it fails\n",
            context=work_pb2.TaskContext(agent="shell", isolation="process"),
        )
    )
    assert (task.status, task.priority, task.task_type, task.permission_level) == (
        "pending",
        "normal",
        "feature",
        "autonomous",
    )
    assert task.title == "Fix the login"
    assert task.base_checkpoint_id == await plane.current()
    assert task.context.timeout_s == 3600
    assert (task.context.repo_path, task.context.dirty) == (str(base), True)
    assert len(task.context.head_commit) == 40
    assert await _caps(plane, task.id) == ["5.00"]
    assert await plane.rows("SELECT count(*) FROM work_orders") == [(0,)]


async def test_what_is_said_goes_before_the_defaults_and_the_task_is_queued(
    plane: Plane, base: Path
):
    task = await plane.task(
        title="Named",
        priority="high",
        task_type="bugfix",
        budget="2.50CAD",
        context={"timeout_s": 60, "repo_path": "/elsewhere"},
    )
    assert (task.status, task.title, task.priority, task.task_type) == (
        "queued",
        "Named",
        "high",
        "bugfix",
    )
    assert (task.context.timeout_s, task.context.repo_path) == (60, "/elsewhere")
    assert await _caps(plane, task.id) == ["2.50"]
    ((queue, status, priority, timeout, retries),) = await plane.rows(
        "SELECT queue_name, status, priority, timeout_seconds, max_retries FROM work_orders"
    )
    assert (queue, status, priority, timeout, retries) == ("default", "pending", 2, 60, 0)


async def test_a_long_prompt_is_cut_for_the_title_and_arguments_serve_without_one(
    plane: Plane, base: Path
):
    long = await plane.task(description="é" * 300)
    assert long.title == "é" * 255
    assert long.description == "é" * 300
    command = await plane.task(description=" \n", context={"agent_args": ["make", "test"]})
    assert command.title == "make test"


UNDOABLE: list[tuple[dict[str, object], type[Exception]]] = [
    ({"description": " \n\t", "context": {"agent_args": []}}, InvalidArgumentError),
    ({"context": {"agent": "hal9000"}}, UnknownAgentError),
    ({"context": {"agent": "hal9000"}, "permission_level": "supervised"}, UnknownAgentError),
    ({"permission_level": "supervised"}, ApprovalGateOpenError),
    ({"permission_level": "human_required"}, ApprovalGateOpenError),
    ({"budget": "lots"}, InvalidArgumentError),
    ({"context": {"timeout_s": -1}}, InvalidArgumentError),
    ({"context": {"timeout_s": 30 * 86_400 + 1}}, InvalidArgumentError),
    ({"base_checkpoint_id": str(uuid.UUID(int=1))}, CheckpointNotFoundError),
    ({"project": "nobody"}, ProjectNotFoundError),
]


async def test_a_task_that_cannot_be_done_leaves_no_row(plane: Plane, base: Path):
    for fields, error in UNDOABLE:
        with pytest.raises(error):
            await plane.task(**fields)
    assert await plane.rows("SELECT count(*) FROM tasks") == [(0,)]
    assert await plane.rows("SELECT count(*) FROM resource_budgets") == [(0,)]


async def test_a_task_needs_a_checkpoint_of_its_own_project(plane: Plane, base: Path):
    await plane.project("fresh")
    with pytest.raises(InvalidArgumentError) as refused:
        await plane.task("fresh")
    assert "--repo" in refused.value.message
    foreign = await plane.current()
    with pytest.raises(InvalidArgumentError):
        await plane.task("fresh", base_checkpoint_id=foreign)
    assert await plane.rows("SELECT count(*) FROM tasks") == [(0,)]


async def test_a_budget_in_dollars_of_the_neighbours_is_kept_in_cad(plane: Plane, base: Path):
    task = await plane.task(budget="1.00USD")
    (cap,) = await _caps(plane, task.id)
    ((rate,),) = await plane.rows(
        "SELECT rate_to_cad FROM exchange_rates WHERE currency = 'USD' "
        "ORDER BY valid_from DESC LIMIT 1"
    )
    shown = await plane.services.metering.get_exchange_rate(
        metering_pb2.GetExchangeRateRequest(currency="USD")
    )
    assert float(cap) == pytest.approx(float(shown.rate_to_cad), abs=1e-6)
    assert rate is not None


async def test_tasks_are_found_by_the_beginning_of_their_id_and_listed_newest_first(
    plane: Plane, base: Path
):
    first = await plane.task()
    plane.clock.advance(seconds=1)
    second = await plane.task(start=False)
    assert await plane.see(first.id[:8]) == await plane.see(first.id)

    async def listed(**filters: object) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await plane.services.work.list_tasks(
                work_pb2.ListTasksRequest(page_size=1, page_token=token, **filters)
            )
            found += [task.id for task in page.tasks]
            token = page.next_page_token
            if not token:
                return found

    assert await listed() == [second.id, first.id]
    assert await listed(statuses=["queued"], project="website") == [first.id]
    with pytest.raises(TaskNotFoundError):
        await plane.see("00000000")
    with pytest.raises(InvalidArgumentError):
        await plane.services.work.list_tasks(work_pb2.ListTasksRequest(page_token="rubbish"))

"""A list asks the database as often for many rows as for few."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from plane import Plane
from sqlalchemy import Engine, event, select

from autovibe.testing import factories
from autovibe.v1 import checkpoints_pb2, machines_pb2, metering_pb2, projects_pb2, work_pb2


@contextmanager
def statements() -> Iterator[list[str]]:
    """Gather what is sent to any database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


async def _add(plane: Plane, count: int) -> None:
    """Add so many of everything that is listed, to projects of their own and to `website`."""
    async with plane.db.write() as tx:
        model = factories.model("projects")
        project = await tx.session.scalar(select(model.id).where(model.name == "website"))
        for _ in range(count):
            other = await factories.add_project(tx)
            await factories.add_budget(tx, other.id)
            checkpoint = await factories.add_checkpoint(tx, other.id)
            machine = await factories.add_machine(tx, project, parent_checkpoint_id=checkpoint.id)
            await factories.add_checkpoint(tx, project, creating_machine_id=machine.id)
            task = await factories.add_task(tx, project)
            await factories.add_order(tx, task.id)
            await factories.add_budget(tx, project, task_id=task.id)


@pytest.mark.req("S3-106")
async def test_a_list_of_twelve_rows_sends_no_more_statements_than_one_of_two(plane: Plane) -> None:
    await plane.project()
    services = plane.services
    lists: dict[str, Callable[[], Awaitable[Any]]] = {
        "tasks": lambda: services.work.list_tasks(work_pb2.ListTasksRequest()),
        "projects": lambda: services.projects.list_projects(projects_pb2.ListProjectsRequest()),
        "machines": lambda: services.machines.list_machines(machines_pb2.ListMachinesRequest()),
        "checkpoints": lambda: services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(project="website")
        ),
        "budgets": lambda: services.metering.list_budgets(metering_pb2.ListBudgetsRequest()),
    }
    counts: list[dict[str, int]] = []
    for more in (2, 10):
        await _add(plane, more)
        counts.append({})
        for name, ask in lists.items():
            with statements() as sent:
                found = await ask()
            assert len(getattr(found, name)) >= sum((2, 10)[: len(counts)]), name
            counts[-1][name] = len(sent)
    # The first of all may ask more: which answers of the cache are stale.
    assert {name: counts[1][name] <= counts[0][name] for name in lists} == dict.fromkeys(
        lists, True
    )
    assert min(counts[1].values()) >= 1

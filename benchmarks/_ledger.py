"""What the benchmarks of the ledger and of the gateway share: a database with a hot project."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.db import Database, open_database
from autovibe.db.discovery import load_models
from autovibe.domains.metering import MeteringService
from autovibe.domains.projects import ProjectService
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.operations.invoke import Operations
from autovibe.operations.registry import Registry
from autovibe.operations.twin import local_twin
from autovibe.sdk.services import Services
from autovibe.testing.databases import TestDatabases
from autovibe.testing.postgres_server import DURABLE, SETTINGS_VARIABLE
from autovibe.v1 import metering_pb2, projects_pb2

PERIODS: Final = ("daily", "weekly", "monthly", "total")


@dataclass(frozen=True)
class HotProject:
    """A database, the services on it, and the one project that everybody spends from."""

    database: Database
    services: Services
    project_id: str
    instance_id: str

    async def budgets(self) -> list[metering_pb2.Budget]:
        """Return the budgets of the project."""
        request = metering_pb2.ListBudgetsRequest(project=self.project_id)
        return list((await self.services.metering.list_budgets(request)).budgets)


@contextlib.contextmanager
def databases() -> Iterator[TestDatabases]:
    """Give databases; PostgreSQL is as durable as it is for people who keep their data."""
    os.environ[SETTINGS_VARIABLE] = DURABLE
    load_models()
    found = TestDatabases(f"bench-{os.getpid()}")
    try:
        yield found
    finally:
        found.close()


@contextlib.asynccontextmanager
async def hot_project(
    found: TestDatabases, backend: str, *, allocated: str, periods: Sequence[str] = PERIODS
) -> AsyncGenerator[HotProject, None]:
    """Open a clean database with one project that has a budget of money in each period."""
    with tempfile.TemporaryDirectory() as directory:
        url = await clean_url(found, backend, Path(directory))
        async with hot_project_in(url, allocated=allocated, periods=periods) as project:
            yield project


async def clean_url(found: TestDatabases, backend: str, directory: Path) -> str:
    """Return the URL of a clean database."""
    return await (found.postgresql() if backend == "postgresql" else found.sqlite(directory))


@contextlib.asynccontextmanager
async def hot_project_in(
    url: str, *, allocated: str, periods: Sequence[str] = PERIODS
) -> AsyncGenerator[HotProject, None]:
    """Make one project that has a budget of money in each period, in a database."""
    database = open_database(url, clock=SystemClock())
    services, instance = services_on(database)
    project = await services.projects.create_project(
        projects_pb2.CreateProjectRequest(name=f"hot-{instance}")
    )
    for period in periods:
        await services.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project=project.id,
                resource_type="money",
                amount=allocated,
                budget_period=period,
            )
        )
    try:
        yield HotProject(database, services, project.id, instance)
    finally:
        await database.close()


def services_on(database: Database) -> tuple[Services, str]:
    """Return the ledger's operations on a database, and the id of the instance that serves them."""
    names = {
        "autovibe.v1.MeteringService": MeteringService(),
        "autovibe.v1.ProjectService": ProjectService(),
    }
    instance = uuid.uuid4()
    operations = Operations(database, Registry(names), instance_id=instance)
    actor = Actor("system", "benchmark", ALL_SCOPES)
    return local_twin(operations, lambda: operations.context(actor)), str(instance)

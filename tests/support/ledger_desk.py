"""A ledger to test on: a real database with a project and tasks, reached as clients reach it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from autovibe.db import Database
from autovibe.domains.metering import MeteringService
from autovibe.domains.projects import ProjectService
from autovibe.domains.work.models import Task, WorkOrder
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.operations.invoke import Operations
from autovibe.operations.registry import Registry
from autovibe.operations.twin import local_twin
from autovibe.sdk.services import Services
from autovibe.v1 import metering_pb2, projects_pb2

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TERMS = metering_pb2.CallTerms(provider="anthropic", model="claude-opus-5-5", rate_to_cad="1.40")


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, **duration: float) -> None:
        step = timedelta(**duration)
        self.time += step
        self.seconds += step.total_seconds()


@dataclass
class LedgerDesk:
    """One project, its tasks, and every service as a client sees it."""

    db: Database
    services: Services
    clock: HandClock
    project_id: str = ""
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def metering(self) -> Any:
        return self.services.metering

    async def task(self, parent: str = "", project_id: str = "") -> str:
        """Add a task and return its id."""
        task = Task(
            project_id=uuid.UUID(project_id or self.project_id),
            title="A task",
            task_type="feature",
            permission_level="autonomous",
            parent_task_id=uuid.UUID(parent) if parent else None,
        )
        async with self.db.write() as tx:
            tx.session.add(task)
        return str(task.id)

    async def order(self, task_id: str, generation: int) -> str:
        """Add a work order whose lease was given `generation` times."""
        order = WorkOrder(
            task_id=uuid.UUID(task_id),
            queue_name="default",
            payload={},
            lease_generation=generation,
        )
        async with self.db.write() as tx:
            tx.session.add(order)
        return str(order.id)

    async def budget(
        self, amount: str, resource: str = "money", period: str = "total", **more: Any
    ) -> metering_pb2.Budget:
        """Set a budget."""
        return await self.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project=more.pop("project", self.project_id),
                resource_type=resource,
                amount=amount,
                budget_period=period,
                **more,
            )
        )

    def call(self, amount: str, **more: Any) -> metering_pb2.Reservation:
        """Return a call that is to be held."""
        amounts = {"money": amount, "api_calls": "1"} | more.pop("amounts", {})
        return metering_pb2.Reservation(
            id=more.pop("id", str(uuid.uuid4())),
            project_id=more.pop("project_id", self.project_id),
            instance_id=more.pop("instance_id", self.instance_id),
            terms=more.pop("terms", TERMS),
            ttl_s=more.pop("ttl_s", 3600),
            amounts=[
                metering_pb2.ResourceAmount(resource_type=kind, amount=value)
                for kind, value in amounts.items()
            ],
            **more,
        )

    async def reserve(self, *calls: metering_pb2.Reservation) -> list[metering_pb2.ReserveVerdict]:
        """Reserve several calls at once."""
        answer = await self.metering.reserve_many(
            metering_pb2.ReserveManyRequest(reservations=calls)
        )
        return list(answer.verdicts)

    async def hold(self, amount: str, **more: Any) -> metering_pb2.ReserveVerdict:
        """Reserve one call."""
        return (await self.reserve(self.call(amount, **more)))[0]

    async def settle(
        self, call_id: str, amount: str = "", outcome: str = "settled", **more: Any
    ) -> metering_pb2.SettleVerdict:
        """End one call."""
        amounts = {"money": amount, "api_calls": "1"} if amount else {}
        settlement = metering_pb2.Settlement(
            id=call_id,
            outcome=outcome,
            amounts=[
                metering_pb2.ResourceAmount(resource_type=kind, amount=value)
                for kind, value in amounts.items()
            ],
            **more,
        )
        answer = await self.metering.settle_many(
            metering_pb2.SettleManyRequest(settlements=[settlement])
        )
        return answer.verdicts[0]

    async def budgets(self, **filters: str) -> list[metering_pb2.Budget]:
        """Return the budgets of the project."""
        request = metering_pb2.ListBudgetsRequest(**({"project": self.project_id} | filters))
        return list((await self.metering.list_budgets(request)).budgets)

    async def amounts(self, **filters: str) -> list[tuple[str, str, str]]:
        """Return allocated, used and reserved of every budget."""
        return [
            (one.allocated_amount, one.used_amount, one.reserved_amount)
            for one in await self.budgets(**filters)
        ]

    async def usage(self, **filters: Any) -> metering_pb2.UsageReport:
        """Return what was used."""
        return await self.metering.get_usage(metering_pb2.GetUsageRequest(**filters))

    async def used_by_rows(self, resource: str = "money") -> Decimal:
        """Return the sum of the usage rows of a resource."""
        report = await self.usage(project=self.project_id)
        return sum(
            (Decimal(line.amount) for line in report.lines if line.resource_type == resource),
            Decimal(0),
        )

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Run a query on the database itself."""
        async with self.db.read() as tx:
            return list(await tx.session.execute(text(query), values))


async def open_desk(db: Database, clock: HandClock | None = None) -> LedgerDesk:
    """Return a desk with a project named `website`."""
    clock = clock or HandClock()
    registry = Registry(
        {
            "autovibe.v1.MeteringService": MeteringService(),
            "autovibe.v1.ProjectService": ProjectService(),
        }
    )
    operations = Operations(db, registry, instance_id=uuid.uuid4(), clock=clock)
    actor = Actor("system", "tests", ALL_SCOPES)
    services = local_twin(operations, lambda: operations.context(actor))
    desk = LedgerDesk(db, services, clock)
    project = await services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="website")
    )
    desk.project_id = project.id
    return desk

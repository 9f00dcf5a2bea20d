"""How full the budgets of projects are, for `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import metering_pb2, projects_pb2

_logger = logging.getLogger(__name__)

EVERY_S: Final = 15.0
_PAGE: Final = 500
_UNLIMITED: Final = Decimal(999_999_999)


class BudgetGauges:
    """Gauges of the budgets of whole projects; those of tasks would be too many."""

    def __init__(self, services: Services, registry: CollectorRegistry) -> None:
        """Make the gauges; they are empty until they are looked up."""
        self._services = services
        labels = ("project", "resource", "period")
        self._gauges = {
            name: Gauge(f"autovibe_budget_{name}", text, labels, registry=registry)
            for name, text in (
                ("allocated", "What a project may use in the present period; none: no limit."),
                ("used", "What it has used."),
                ("reserved", "What is held for calls under way."),
            )
        }

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncGenerator[None]:
        """Look the budgets up again and again until the block ends."""
        task = asyncio.create_task(self._serve(), name="budget-gauges")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def refresh(self) -> None:
        """Look all budgets up once.

        Raises:
            AutovibeError: they cannot be read.
        """
        names = await self._names()
        budgets = await self._budgets()
        for gauge in self._gauges.values():
            gauge.clear()
        for budget in budgets:
            labels = (
                names.get(budget.project_id, budget.project_id),
                budget.resource_type,
                budget.budget_period,
            )
            self._gauges["used"].labels(*labels).set(float(budget.used_amount))
            self._gauges["reserved"].labels(*labels).set(float(budget.reserved_amount))
            if Decimal(budget.allocated_amount) < _UNLIMITED:
                self._gauges["allocated"].labels(*labels).set(float(budget.allocated_amount))

    async def _serve(self) -> None:
        while True:
            try:
                await self.refresh()
            except AutovibeError as error:
                _logger.warning("the gauges of budgets are not up to date: %s", error.message)
            await asyncio.sleep(EVERY_S)

    async def _names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        request = projects_pb2.ListProjectsRequest(page_size=_PAGE)
        while True:
            answer = await self._services.projects.list_projects(request)
            names |= {project.id: project.name for project in answer.projects}
            if not answer.next_page_token:
                return names
            request.page_token = answer.next_page_token

    async def _budgets(self) -> list[metering_pb2.Budget]:
        """Return the budgets of whole projects: they come before those of tasks."""
        found: list[metering_pb2.Budget] = []
        request = metering_pb2.ListBudgetsRequest(page_size=_PAGE)
        while True:
            answer = await self._services.metering.list_budgets(request)
            own = [budget for budget in answer.budgets if not budget.task_id]
            found += own
            if not answer.next_page_token or len(own) < len(answer.budgets):
                return found
            request.page_token = answer.next_page_token

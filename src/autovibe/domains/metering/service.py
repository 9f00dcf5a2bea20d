"""The rules of budgets, holds, usage and rates."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.cache import Region, cached
from autovibe.db.in_place import hot
from autovibe.domains.metering import repository
from autovibe.domains.metering.auditing import audit_usage
from autovibe.domains.metering.budgets import (
    PLACE,
    list_budgets,
    parse_budget_amount,
    place_of,
    raise_budget,
    set_budget,
    share_of_parent,
)
from autovibe.domains.metering.errors import NoExchangeRateError
from autovibe.domains.metering.gateway import ParkedKey
from autovibe.domains.metering.levels import get_budget_levels
from autovibe.domains.metering.messages import budget_message, parked_message
from autovibe.domains.metering.rates import find_rate, import_rates, list_rates
from autovibe.domains.metering.rebuilding import rebuild_usage
from autovibe.domains.metering.recording import record_usage_many
from autovibe.domains.metering.reports import list_daily_usage, list_path_history
from autovibe.domains.metering.reserving import MONEY, OpenedPeriods, reserve_many
from autovibe.domains.metering.settling import API_CALLS, recover, settle_many
from autovibe.domains.metering.state import BudgetKey
from autovibe.domains.projects import get_project, resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError, NotFoundError
from autovibe.kernel.money import ZERO, to_text
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.protoconv import from_timestamp, id_or_none
from autovibe.v1 import metering_pb2, usage_pb2

_USAGE: Final = "resource_usage"
# Settling is the hottest path and tells no other process: only a shared cache sees it everywhere.
_SUMMARIES: Final = Region(
    "usage_summary",
    ttl_s=900,
    tables=(_USAGE, "exchange_rates", "projects", "tasks"),
    shared_only=True,
)


class MeteringService:
    """Implements autovibe.v1.MeteringService.

    `max_rate_age_days` refuses exchange rates that are older.
    """

    def __init__(
        self,
        *,
        max_rate_age_days: int | None = None,
        parked: Callable[[], Sequence[ParkedKey]] = tuple,
    ) -> None:
        """Take the setting `rates.max_age_days`, and who knows which keys are parked."""
        self._parked = parked
        self._max_rate_age_days = max_rate_age_days
        self._opened = OpenedPeriods()

    async def set_budget(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.SetBudgetRequest
    ) -> metering_pb2.Budget:
        """Set what a project, or one task, may use of a resource in a period.

        Raises:
            ProjectNotFoundError: there is no such project.
            NotFoundError: it has no such task.
            BudgetBelowUseError: the amount is below what is used and held.
            NoExchangeRateError: the amount is in USD and there is no rate.
            InvalidArgumentError: the amount is malformed or left out where nothing is allocated
                above, or a task is given another period than total.
        """
        project_id = await resolve_project_id(tx, request.project)
        period = request.budget_period or "total"
        task_id = id_or_none(request.task_id)
        if task_id is not None:
            await _check_task(tx, project_id, task_id, period)
        key = BudgetKey(project_id, task_id, request.resource_type, period)
        if request.amount:
            amount = await self._amount(tx, ctx, request.resource_type, request.amount)
        else:
            greediness = (await get_project(tx, str(project_id))).greediness
            amount = await share_of_parent(tx, ctx.clock.now(), key, greediness)
        return budget_message(await set_budget(tx, ctx, key, amount, force=request.force))

    async def raise_budget(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.RaiseBudgetRequest
    ) -> metering_pb2.Budget:
        """Add to what a project, or one task, may use of a resource in a period.

        Raises:
            ProjectNotFoundError: there is no such project.
            NotFoundError: it has no such task.
            NoBudgetError: there is no such budget.
            NoExchangeRateError: the amount is in USD and there is no rate.
            InvalidArgumentError: the amount is malformed, 0, or more than a budget can hold.
        """
        project_id = await resolve_project_id(tx, request.project)
        period = request.budget_period or "total"
        task_id = id_or_none(request.task_id)
        if task_id is not None:
            await _check_task(tx, project_id, task_id, period)
        more = await self._amount(tx, ctx, request.resource_type, request.amount)
        key = BudgetKey(project_id, task_id, request.resource_type, period)
        return budget_message(await raise_budget(tx, ctx, key, more))

    async def _amount(self, tx: ReadTx, ctx: CallContext, resource_type: str, text: str) -> Decimal:
        now, limit = ctx.clock.now(), self._max_rate_age_days
        return await parse_budget_amount(tx, now, resource_type, text, limit)

    async def list_budgets(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.ListBudgetsRequest
    ) -> metering_pb2.ListBudgetsResponse:
        """Return one page of the budgets of the current periods; with a task, only its own.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        budgets = await list_budgets(tx, ctx.clock.now(), project_id, id_or_none(request.task_id))
        after = decode_token(request.page_token, len(PLACE))
        if after is not None:
            budgets = [budget for budget in budgets if place_of(budget) > tuple(after)]
        size = page_size(request.page_size)
        more = len(budgets) > size
        return metering_pb2.ListBudgetsResponse(
            budgets=budgets[:size],
            next_page_token=encode_token(*place_of(budgets[size - 1])) if more else "",
        )

    @cached(_SUMMARIES)
    async def get_usage(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.GetUsageRequest
    ) -> metering_pb2.UsageReport:
        """Sum up what was used; a task's usage includes that of the tasks below it.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        rows = await repository.usage_lines(
            tx,
            project_id=await resolve_project_id(tx, request.project) if request.project else None,
            task_id=id_or_none(request.task_id),
            execution_id=id_or_none(request.execution_id),
            since=from_timestamp(request.since) if request.HasField("since") else None,
        )
        report = metering_pb2.UsageReport()
        total: Decimal = ZERO
        for row in rows:
            cost: Decimal | None = row.cost_cad
            total += cost or ZERO
            if row.resource_type == API_CALLS:
                report.api_calls += int(row.amount)
                report.uncertain_calls += row.uncertain
            report.lines.add(
                project_id=str(row.project_id),
                resource_type=row.resource_type,
                resource_subtype=row.resource_subtype or "",
                amount=to_text(row.amount),
                unit=row.unit,
                cost_cad="" if cost is None else to_text(cost),
                rows=row.rows,
                model=row.model if row.resource_type in {MONEY, API_CALLS} else "",
            )
        report.cost_cad = to_text(total)
        try:
            report.rate.CopyFrom(await find_rate(tx, "USD", ctx.clock.now(), None))
        except NoExchangeRateError:
            report.ClearField("rate")
        return report

    async def list_daily_usage(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.ListDailyUsageRequest
    ) -> metering_pb2.ListDailyUsageResponse:
        """Return one page of usage per project and day.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        return await list_daily_usage(tx, ctx, request)

    async def audit_usage(
        self, tx: ReadTx, ctx: CallContext, request: usage_pb2.AuditUsageRequest
    ) -> usage_pb2.AuditUsageResponse:
        """Compare what budgets, days and calls say was used with the rows of usage.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        return await audit_usage(tx, ctx, request)

    async def rebuild_usage(
        self, tx: WriteTx, ctx: CallContext, request: usage_pb2.RebuildUsageRequest
    ) -> usage_pb2.RebuildUsageResponse:
        """Put back the rows of settled calls that are missing.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        response = await rebuild_usage(tx, ctx, request)
        tx.stale(_USAGE)
        return response

    async def list_path_history(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.ListPathHistoryRequest
    ) -> metering_pb2.ListPathHistoryResponse:
        """Return one page of the checkpoints that changed a file, with what that cost.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        return await list_path_history(tx, ctx, request)

    async def get_exchange_rate(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.GetExchangeRateRequest
    ) -> metering_pb2.ExchangeRate:
        """Return the exchange rate in force.

        Raises:
            NoExchangeRateError: there is none, or the newest is older than the settings allow.
        """
        return await find_rate(tx, request.currency, ctx.clock.now(), self._max_rate_age_days)

    async def list_exchange_rates(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.ListExchangeRatesRequest
    ) -> metering_pb2.ListExchangeRatesResponse:
        """Return one page of rates, by currency, the newest first."""
        return await list_rates(tx, ctx.clock.now(), request)

    async def import_exchange_rates(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.ImportExchangeRatesRequest
    ) -> metering_pb2.ImportExchangeRatesResponse:
        """Add dated rates, all or none; one that is there already, the same, changes nothing.

        Raises:
            InvalidArgumentError: a day or a rate makes no sense.
            ExchangeRateDiffersError: another rate is there for the same day.
        """
        return await import_rates(tx, ctx.clock.now(), request.rates)

    async def get_parked_calls(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.GetParkedCallsRequest
    ) -> metering_pb2.ParkedCalls:
        """Tell on which keys of providers calls of this process wait."""
        return parked_message(self._parked(), ctx.clock.now())

    @hot
    async def reserve_many(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.ReserveManyRequest
    ) -> metering_pb2.ReserveManyResponse:
        """Hold the worst case of several calls; each is decided by itself, in order."""
        verdicts = await reserve_many(tx, ctx, request.reservations, self._opened)
        return metering_pb2.ReserveManyResponse(verdicts=verdicts)

    @hot
    async def settle_many(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.SettleManyRequest
    ) -> metering_pb2.SettleManyResponse:
        """Settle or release holds; a cost that was incurred is never refused."""
        verdicts = await settle_many(tx, ctx, request.settlements)
        tx.stale(_USAGE)
        return metering_pb2.SettleManyResponse(verdicts=verdicts)

    async def record_usage_many(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.RecordUsageManyRequest
    ) -> metering_pb2.RecordUsageManyResponse:
        """Record usage that was measured, all rows or none.

        Raises:
            InvalidArgumentError: an amount is malformed or 0.
            BudgetExceededError: rows that are to be authorised do not fit a budget.
            BudgetUnitMismatchError: they are in another unit than the budget.
        """
        recorded = await record_usage_many(tx, ctx, request.samples)
        tx.stale(_USAGE)
        return metering_pb2.RecordUsageManyResponse(recorded=recorded)

    async def get_budget_levels(
        self, tx: ReadTx, ctx: CallContext, request: metering_pb2.GetBudgetLevelsRequest
    ) -> metering_pb2.GetBudgetLevelsResponse:
        """Tell how full the budgets are that cover an execution, for what is sampled."""
        levels = await get_budget_levels(tx, ctx, uuid.UUID(request.execution_id))
        return metering_pb2.GetBudgetLevelsResponse(levels=levels)

    async def recover_reservations(
        self, tx: WriteTx, ctx: CallContext, request: metering_pb2.RecoverReservationsRequest
    ) -> metering_pb2.RecoverReservationsResponse:
        """End what dead instances left open, and what has expired."""
        tx.stale(_USAGE)
        return await recover(tx, ctx, request.instance_ids)


async def _check_task(tx: ReadTx, project_id: uuid.UUID, task_id: uuid.UUID, period: str) -> None:
    if period != "total":
        raise InvalidArgumentError(
            f"A task has one budget for all its time; leave out {period}.", field="budget_period"
        )
    if await repository.project_of_task(tx, task_id) != project_id:
        raise NotFoundError(
            f"The project has no task {task_id}; see `autovibe task list`.", task_id=str(task_id)
        )

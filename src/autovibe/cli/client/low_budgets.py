"""Budgets of which 80 percent is used: said wherever a person looks at what is going on."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from autovibe.cli.client.connection import Connection
from autovibe.cli.render import short
from autovibe.kernel.money import parse_decimal, to_text
from autovibe.v1 import metering_pb2

_LOW: Final = Decimal("0.8")
_MOST: Final = 200


async def low_budgets(
    connection: Connection, project: str, task_id: str = ""
) -> list[metering_pb2.Budget]:
    """Return the budgets that are nearly used up: those of whole projects, or of one task.

    Args:
        connection: to the control plane.
        project: id or name; "" means all.
        task_id: whole id of a task; "" leaves tasks out.
    """
    request = metering_pb2.ListBudgetsRequest(project=project, task_id=task_id, page_size=_MOST)
    # Those of whole projects come first, so that the first page has them.
    answer = await connection.services.metering.list_budgets(request)
    return [one for one in answer.budgets if one.task_id == task_id and _is_low(one)]


def low_line(budget: metering_pb2.Budget, names: dict[str, str]) -> str:
    """Return what to say of a budget that is nearly used up."""
    whose = f"task {short(budget.task_id)}" if budget.task_id else ""
    whose = whose or f"project {names.get(budget.project_id, short(budget.project_id))}"
    used, allocated = _amount(budget.used_amount), _amount(budget.allocated_amount)
    state = "is used up" if used >= allocated else "is nearly used up"
    return (
        f"The {budget.budget_period} {budget.resource_type} budget of {whose} {state}: "
        f"{to_text(used)} of {to_text(allocated)} {budget.unit}."
    )


def _is_low(budget: metering_pb2.Budget) -> bool:
    return _amount(budget.used_amount) >= _LOW * _amount(budget.allocated_amount)


def _amount(text: str) -> Decimal:
    return parse_decimal(text, "amount")

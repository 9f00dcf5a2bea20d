"""`autovibe budget`."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.names import project_names
from autovibe.cli.client.paging import PAGE
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import short, table
from autovibe.kernel.money import parse_amount, parse_decimal, to_text
from autovibe.v1 import metering_pb2, work_pb2

RESOURCES = ("money", "time", "api_calls", "cpu", "memory", "storage", "network")
PERIODS = ("daily", "weekly", "monthly", "total")

_period_option = click.option(
    "--period",
    type=click.Choice(PERIODS),
    default="total",
    show_default=True,
    help="After which it starts anew.",
)
_task_option = click.option(
    "--task", "task_id", default="", help="Only for this task of the project."
)


@click.group(epilog="Example: autovibe budget set website money 20.00CAD --period monthly")
def budget() -> None:
    """Set, raise and list what projects and tasks may use."""


@budget.command("set", epilog="Example: autovibe budget set website money 20.00CAD --period daily")
@click.argument("project_name", metavar="PROJECT")
@click.argument("resource", metavar="RESOURCE", type=click.Choice(RESOURCES))
@click.argument("amount", metavar="[AMOUNT]", required=False)
@_period_option
@_task_option
@click.option("--force", is_flag=True, help="Even below what is used and held already.")
@json_option
def set_(
    project_name: str,
    resource: str,
    amount: str | None,
    period: str,
    task_id: str,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Set the whole budget of a project for a resource.

    RESOURCE is money, time, api_calls, cpu, memory, storage or network. AMOUNT is a number; for
    money with CAD or USD behind it if you like, kept in CAD. Without AMOUNT the budget gets its
    share: the project's greediness times what is allocated above it.
    """
    if amount is not None:
        _check_amount(resource, amount)

    async def body(connection: Connection) -> metering_pb2.Budget:
        return await connection.services.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project=project_name,
                task_id=await whole_task_id(connection, task_id),
                resource_type=resource,
                amount=amount or "",
                budget_period=period,
                force=force,
            )
        )

    _tell(project_name, with_connection(body), as_json=as_json)


@budget.command("raise", epilog="Example: autovibe budget raise website money 5.00CAD")
@click.argument("project_name", metavar="PROJECT")
@click.argument("resource", metavar="RESOURCE", type=click.Choice(RESOURCES))
@click.argument("amount")
@_period_option
@_task_option
@json_option
def raise_(
    project_name: str, resource: str, amount: str, period: str, task_id: str, *, as_json: bool
) -> None:
    """Add to the budget of a project for a resource.

    RESOURCE is money, time, api_calls, cpu, memory, storage or network. AMOUNT is what is added: a
    number; for money with CAD or USD behind it if you like, kept in CAD.
    """
    _check_amount(resource, amount)

    async def body(connection: Connection) -> metering_pb2.Budget:
        return await connection.services.metering.raise_budget(
            metering_pb2.RaiseBudgetRequest(
                project=project_name,
                task_id=await whole_task_id(connection, task_id),
                resource_type=resource,
                amount=amount,
                budget_period=period,
            )
        )

    _tell(project_name, with_connection(body), as_json=as_json)


def _check_amount(resource: str, amount: str) -> None:
    if resource == "money":
        parse_amount(amount)
    else:
        parse_decimal(amount, "amount")


def _tell(project_name: str, made: metering_pb2.Budget, *, as_json: bool) -> None:
    if as_json:
        print_json(to_document(made))
        return
    used, left = _amount(made.used_amount), _amount(made.available_amount)
    line = (
        f"{project_name} may use {_amount(made.allocated_amount)} {made.unit} of "
        f"{made.resource_type} ({made.budget_period}): {used} used, {left} left."
    )
    print_notes([line])


@budget.command("list", epilog="Example: autovibe budget list website")
@click.argument("project_name", metavar="[PROJECT]", default="")
@click.option("--task", "task_id", default="", help="Only of this task.")
@json_option
def list_(project_name: str, task_id: str, *, as_json: bool) -> None:
    """List the budgets of the current periods."""

    async def body(connection: Connection) -> tuple[list[metering_pb2.Budget], dict[str, str]]:
        budgets: list[metering_pb2.Budget] = []
        request = metering_pb2.ListBudgetsRequest(
            project=project_name, task_id=await whole_task_id(connection, task_id), page_size=PAGE
        )
        while True:
            answer = await connection.services.metering.list_budgets(request)
            budgets.extend(answer.budgets)
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        return budgets, {} if as_json else await project_names(connection)

    budgets, names = with_connection(body)
    if as_json:
        print_json({"budgets": [to_document(item) for item in budgets]})
        return
    if not budgets:
        print_notes(["No budgets; set one with `autovibe budget set PROJECT money AMOUNT`."])
        return
    rows = [
        (
            names.get(item.project_id, short(item.project_id)),
            short(item.task_id),
            item.resource_type,
            item.budget_period,
            _amount(item.allocated_amount),
            _amount(item.used_amount),
            _amount(item.reserved_amount),
            _amount(item.available_amount),
            item.unit,
            f"until {item.period_end}" if item.budget_period != "total" else "",
        )
        for item in budgets
    ]
    headers = (
        "PROJECT",
        "TASK",
        "RESOURCE",
        "PERIOD",
        "BUDGET",
        "USED",
        "HELD",
        "LEFT",
        "UNIT",
        "",
    )
    print_lines(table(headers, rows, right="BUDGET USED HELD LEFT"))


async def whole_task_id(connection: Connection, task_id: str) -> str:
    """Return the whole id of a task that was given by its first characters, "" for none."""
    if not task_id:
        return ""
    found = await connection.services.work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
    return found.id


def _amount(text: str) -> str:
    negative = text.startswith("-")
    shown = to_text(parse_decimal(text.removeprefix("-"), "amount"))
    return f"-{shown}" if negative else shown

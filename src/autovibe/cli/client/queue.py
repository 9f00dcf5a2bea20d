"""`autovibe queue`: what waits, what is dead, and how many tasks of a project may run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import clipped, moment, pairs, short, table
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.v1 import queue_pb2

_STATUSES = ("pending", "claimed", "completed", "failed", "expired")
_DEAD = ("failed", "expired")
_PRIORITIES = ("low", "normal", "high", "critical")
_MOST = 10_000


@click.group(epilog="Example: autovibe queue list --dead")
def queue() -> None:
    """See which orders wait, run or are dead, and queue dead ones again."""


@queue.command("list", epilog="Example: autovibe queue list --dead")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only in this status."
)
@click.option("--dead", is_flag=True, help="Only those that failed for good, or have expired.")
@click.option("--project", default="", help="Only of this project (name or id).")
@limit_option
@json_option
def list_(statuses: Sequence[str], project: str, limit: int, *, dead: bool, as_json: bool) -> None:
    """List orders, the newest first; without --status or --dead those that wait or run."""
    wanted = _DEAD if dead else tuple(statuses) or ("pending", "claimed")
    found, token = with_connection(lambda connection: _orders(connection, wanted, project, limit))
    if as_json:
        print_json({"work_orders": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No such orders."])
        return
    rows = [
        (
            one.id,
            one.status,
            short(one.task_id),
            _PRIORITIES[one.priority],
            f"{one.retry_count}/{one.max_retries}",
            moment(one.available_at),
            clipped(one.error_message or one.task_title, 50),
        )
        for one in found
    ]
    print_lines(table(("ORDER", "STATUS", "TASK", "PRIORITY", "RETRIES", "DUE (UTC)", ""), rows))
    print_notes(more(token))


@queue.command(epilog="Example: autovibe queue show 01234567-89ab-4cde-8f01-23456789abcd")
@click.argument("work_order_id", metavar="ORDER")
@json_option
def show(work_order_id: str, *, as_json: bool) -> None:
    """Show one order."""

    async def body(connection: Connection) -> queue_pb2.WorkOrder:
        return await connection.services.queue.get_work_order(
            queue_pb2.GetWorkOrderRequest(work_order_id=work_order_id)
        )

    one = with_connection(body)
    if as_json:
        print_json(to_document(one))
        return
    print_lines(
        pairs(
            [
                ("order", one.id),
                ("status", one.status),
                ("task", f"{one.task_id} {clipped(one.task_title, 60)}"),
                ("queue", one.queue_name),
                ("priority", _PRIORITIES[one.priority]),
                ("for workers", one.worker_type or "any"),
                ("that can", " ".join(one.required_capabilities)),
                ("retries", f"{one.retry_count} of {one.max_retries}"),
                ("due", f"{moment(one.available_at)} UTC"),
                ("error", one.error_message),
            ]
        )
    )


@queue.command(epilog="Example: autovibe queue requeue --all-dead --project website")
@click.argument("work_order_ids", metavar="ORDER", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Every dead order of the project, or of all.")
@click.option("--project", default="", help="Only of this project (name or id).")
@json_option
def requeue(work_order_ids: Sequence[str], project: str, *, all_dead: bool, as_json: bool) -> None:
    """Queue the tasks of dead orders again, each from its newest checkpoint.

    Orders whose task was cancelled or goes on otherwise are left alone with --all-dead.
    """
    if bool(work_order_ids) == all_dead:
        raise InvalidArgumentError("Name orders, or give --all-dead; one of them.", field="order")

    async def body(connection: Connection) -> list[queue_pb2.WorkOrder]:
        ids = list(work_order_ids)
        if all_dead:
            found, _ = await _orders(connection, _DEAD, project, _MOST)
            ids = [one.id for one in found]
        return [one for order_id in ids if (one := await _requeue(connection, order_id, all_dead))]

    queued = with_connection(body, doing="queueing orders")
    if as_json:
        print_json({"work_orders": [to_document(one) for one in queued]})
    else:
        print_notes([f"{len(queued)} orders are queued again."])


@queue.command(epilog="Example: autovibe queue limit website --tasks 4")
@click.argument("project")
@click.option(
    "--tasks",
    type=click.IntRange(0, 100_000),
    required=True,
    help="How many of its tasks may run at once; 0 takes the limit away.",
)
@json_option
def limit(project: str, tasks: int, *, as_json: bool) -> None:
    """Say how many tasks of a project may run at once."""

    async def body(connection: Connection) -> queue_pb2.QueueShare:
        return await connection.services.queue.set_queue_limit(
            queue_pb2.SetQueueLimitRequest(project=project, max_running=tasks)
        )

    share = with_connection(body)
    if as_json:
        print_json(to_document(share))
    elif tasks:
        print_notes([f"At most {tasks} tasks of {project} run at once."])
    else:
        print_notes([f"The tasks of {project} have no limit of their own."])


async def _orders(
    connection: Connection, statuses: Sequence[str], project: str, most: int
) -> tuple[list[queue_pb2.WorkOrder], str]:
    async def fetch(size: int, token: str) -> tuple[Sequence[queue_pb2.WorkOrder], str]:
        answer = await connection.services.queue.list_work_orders(
            queue_pb2.ListWorkOrdersRequest(
                statuses=statuses, project=project, page_size=size, page_token=token
            )
        )
        return answer.work_orders, answer.next_page_token

    return await collect(fetch, most)


async def _requeue(
    connection: Connection,
    order_id: str,
    skip: bool,  # noqa: FBT001 - called here only
) -> queue_pb2.WorkOrder | None:
    try:
        return await connection.services.queue.requeue_work_order(
            queue_pb2.RequeueWorkOrderRequest(work_order_id=order_id)
        )
    except AutovibeError as error:
        if skip and error.reason == "ORDER_NOT_DEAD":
            return None
        raise

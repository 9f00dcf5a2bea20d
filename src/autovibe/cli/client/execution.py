"""`autovibe execution`: attempts at tasks, and what their agents and tools did."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import one_line, print_json, print_lines, print_notes
from autovibe.cli.render import clipped, moment, pairs, plural, short, table
from autovibe.kernel.protoconv import from_struct
from autovibe.kernel.units import duration_text
from autovibe.v1 import logs_pb2, work_pb2

_STATUSES = ("running", "completed", "failed", "timeout", "cancelled")


@click.group(epilog="Example: autovibe execution list --task 1a2b3c4d")
def execution() -> None:
    """Show attempts at tasks, and what their agents and tools did."""


@execution.command("list", epilog="Example: autovibe execution list --status failed")
@click.option("--task", "task_id", default="", help="Only attempts at this task.")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only in this status."
)
@limit_option
@json_option
def list_(
    task_id: str, project_name: str, statuses: Sequence[str], limit: int, *, as_json: bool
) -> None:
    """List attempts at tasks, the newest first."""

    async def body(connection: Connection) -> tuple[list[work_pb2.Execution], str]:
        async def page(size: int, token: str) -> tuple[Sequence[work_pb2.Execution], str]:
            answer = await connection.services.logs.list_executions(
                logs_pb2.ListExecutionsRequest(
                    task_id=task_id,
                    project=project_name,
                    statuses=statuses,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.executions, answer.next_page_token

        return await collect(page, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"executions": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No executions yet."])
        return
    rows = [
        (
            short(one.id),
            short(one.task_id),
            str(one.attempt),
            one.status,
            moment(one.started_at),
            duration_text(one.duration_seconds) if one.HasField("completed_at") else "",
            one.metrics.stop_reason,
        )
        for one in found
    ]
    head = ("EXECUTION", "TASK", "ATTEMPT", "STATUS", "STARTED (UTC)", "TOOK", "WHY IT ENDED")
    print_lines(table(head, rows))
    print_notes(more(token))


@execution.command(epilog="Example: autovibe execution show 1a2b3c4d")
@click.argument("execution_id", metavar="EXECUTION")
@json_option
def show(execution_id: str, *, as_json: bool) -> None:
    """Show one attempt: its agent's run, how many tools it used, and what does not fit together.

    Agent and gateway each tell of the tool calls. Where they differ, the agent may not have told
    the truth, or something in the machine spoke for it.
    """

    async def body(connection: Connection) -> logs_pb2.ExecutionDetails:
        return await connection.services.logs.get_execution(
            logs_pb2.GetExecutionRequest(execution_id=execution_id)
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    one = found.execution
    head = [
        ("execution", one.id),
        ("task", one.task_id),
        ("attempt", str(one.attempt)),
        ("status", f"{one.status} {one.metrics.stop_reason}".strip()),
        ("machine", one.machine_id),
        ("correlation", one.correlation_id),
        ("started", f"{moment(one.started_at)} UTC"),
        ("tool calls", _counts(found)),
    ]
    for run in found.agent_runs:
        took = f", {duration_text(run.duration_ms / 1000)}" if run.duration_ms else ""
        text = f"{run.agent_name}: {run.status}, {plural(run.tokens_used, 'token')}{took}"
        head.append(("agent run", one_line(text)))
    print_lines([*pairs(head), *finding_lines(found)])
    for name, text in (("stdout", found.stdout_log), ("stderr", found.stderr_log)):
        if text:
            tail = [f"  {one_line(line)}" for line in text.splitlines()[-10:]]
            print_lines(["", f"The end of {name}:", *tail])


def finding_lines(found: logs_pb2.ExecutionDetails) -> list[str]:
    """Return what agent and gateway told differently, as lines for people."""
    if not found.findings:
        return []
    head = plural(len(found.findings), "finding")
    short_id = short(found.execution.id)
    lines = [f"  {one.kind}: {one_line(one.message)}" for one in found.findings]
    return ["", f"{head} in execution {short_id}: agent and gateway do not agree.", *lines]


def _counts(found: logs_pb2.ExecutionDetails) -> str:
    return (
        f"{found.agent_tool_calls} told by the agent, {found.gateway_tool_calls} seen by the "
        "gateway"
    )


@execution.command(epilog="Example: autovibe execution tools 1a2b3c4d --source gateway")
@click.argument("execution_id", metavar="EXECUTION")
@click.option("--source", type=click.Choice(["agent", "gateway"]), help="Only what this one told.")
@limit_option
@json_option
def tools(execution_id: str, source: str | None, limit: int, *, as_json: bool) -> None:
    """List the tool calls of an attempt, as agent and gateway told them, the oldest first."""

    async def body(connection: Connection) -> tuple[list[logs_pb2.ToolCall], str]:
        async def page(size: int, token: str) -> tuple[Sequence[logs_pb2.ToolCall], str]:
            answer = await connection.services.logs.list_tool_calls(
                logs_pb2.ListToolCallsRequest(
                    execution_id=execution_id,
                    source=source or "",
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.tool_calls, answer.next_page_token

        return await collect(page, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"tool_calls": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No tool calls."])
        return
    rows = [
        (
            moment(one.created_at)[11:],
            one.source,
            one_line(one.tool_name),
            one.status,
            f"{one.duration_ms} ms" if one.duration_ms else "",
            clipped(one_line(_told(one)), 60),
        )
        for one in found
    ]
    print_lines(table(("TIME (UTC)", "TOLD BY", "TOOL", "STATUS", "TOOK", "INPUT"), rows))
    print_notes(more(token))


def _told(call: logs_pb2.ToolCall) -> str:
    return " ".join(f"{name}={value}" for name, value in from_struct(call.inputs).items())

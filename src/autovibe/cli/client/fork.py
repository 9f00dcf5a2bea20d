"""`autovibe checkpoint fork`."""

from __future__ import annotations

import click

from autovibe.cli.client.command import DashesCommand, behind_dashes, json_option
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.continuing import check_amount
from autovibe.cli.client.foreground import detach_option, detached, in_foreground
from autovibe.cli.client.running import Run, Started
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.units import parse_duration_s
from autovibe.v1 import work_pb2


@click.command(
    cls=DashesCommand,
    epilog='Example: autovibe checkpoint fork 1a2b3c4d "Try it without a cache" --budget 2.00CAD',
)
@click.argument("checkpoint_id", metavar="ID")
@click.argument("prompt")
@click.option("--agent", default="", help="claude_code or shell; by default the same as before.")
@click.option("--model", default="", help="Model that the agent is to use.")
@click.option("--budget", default="", help="Most that the new task may cost, as in 2.00CAD.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "sandbox", "process"]),
    default=None,
    help="By default the same as before.",
)
@click.option("--timeout", default="", help="Longest run time, as in 90s, 30m, 1h30m.")
@click.option("--fresh", is_flag=True, help="Begin a new conversation, on these files.")
@detach_option
@json_option
def fork(
    *,
    checkpoint_id: str,
    prompt: str,
    agent: str,
    model: str,
    budget: str,
    isolation: str | None,
    timeout: str,
    fresh: bool,
    detach: bool,
    as_json: bool,
) -> int:
    """Give an agent the task PROMPT on the files of a checkpoint, as a new task.

    The agent goes on with the conversation that the checkpoint holds, unless --fresh is given. The
    new task has a budget of its own; what was spent stays spent. It is followed as by
    `autovibe run`. ARGS are passed on to the agent in place of those that it had.
    """
    if not prompt.strip():
        raise InvalidArgumentError("The prompt is empty; say what the agent is to do.")
    check_amount(budget)
    request = work_pb2.ForkCheckpointRequest(
        checkpoint_id=checkpoint_id,
        description=prompt,
        context=work_pb2.TaskContext(
            agent=agent,
            model=model,
            isolation=isolation or "",
            timeout_s=parse_duration_s(timeout) if timeout else 0,
            agent_args=behind_dashes(),
        ),
        budget=budget,
        fresh_conversation=fresh,
        start=True,
    )

    async def queue(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.fork_checkpoint(request)

    if detach:
        return detached(queue, as_json=as_json)

    async def begin(run: Run) -> Started:
        return await run.fork(request)

    return in_foreground(begin, as_json=as_json)

"""`autovibe run`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from autovibe.cli.client.command import json_option, opener
from autovibe.cli.client.question import ask_about_secrets, can_ask
from autovibe.cli.client.running import Run, RunOrder
from autovibe.cli.client.summary import result_exit_status, summary_lines
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import open_view
from autovibe.kernel.errors import EXIT_INTERRUPTED, EXIT_OK, InvalidArgumentError
from autovibe.kernel.money import parse_amount
from autovibe.kernel.settings import Settings, load_settings
from autovibe.kernel.units import parse_duration_s
from autovibe.v1 import work_pb2

_AGENT_ARGS: Final = "autovibe.agent_args"


@dataclass(frozen=True)
class Outcome:
    """What a run came to, and the exit status that says so."""

    result: work_pb2.TaskResult
    in_git: bool
    exit_status: int


class RunCommand(click.Command):
    """A command that takes what stands behind `--` for itself: click would mix it with PROMPT."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put aside everything behind the first `--`."""
        own = args
        if "--" in args:
            at = args.index("--")
            own = args[:at]
            ctx.meta[_AGENT_ARGS] = tuple(args[at + 1 :])
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the `--` in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command(
    cls=RunCommand,
    epilog='Example: autovibe run "Make the failing test pass" --repo . --budget 2.00CAD',
)
@click.argument("prompt", default="")
@click.option("--repo", "directory", help="Directory to work on, as it is now.")
@click.option("--project", "project_name", default="", help="Project (name or id), made if absent.")
@click.option("--agent", default="claude_code", show_default=True, help="claude_code or shell.")
@click.option("--model", default="", help="Model that the agent is to use.")
@click.option("--budget", default="", help="Most that this task may cost, as in 2.00CAD or 2USD.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "sandbox", "process"]),
    default="auto",
    show_default=True,
    help="auto is the sandbox or an error; process isolates nothing.",
)
@click.option("--timeout", default="", help="Longest run time, as in 90s, 30m, 1h30m.")
@click.option("--include-secrets", is_flag=True, help="Import files that look like secrets too.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these files out; repeatable.")
@click.option(
    "--yes-i-trust-this-agent",
    "trust_agent",
    is_flag=True,
    help="Let the agent skip its own questions although nothing isolates it.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show the result only.")
@json_option
def run(
    *,
    prompt: str,
    directory: str | None,
    project_name: str,
    agent: str,
    model: str,
    budget: str,
    isolation: str,
    timeout: str,
    exclude: Sequence[str],
    include_secrets: bool,
    trust_agent: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Give an agent the task PROMPT, follow it, and show what it came to.

    The agent works on a copy of the directory in its own machine; `autovibe apply` puts its result
    on a new branch. ARGS are passed on to the agent; for the shell agent they are the command.

    \b
    Exit status: 0 completed, 1 failed, 2 usage, 3 budget exhausted,
    4 waiting for a person, 5 timed out, 130 interrupted.
    """  # noqa: D301  # \b tells click to keep these lines as they are
    order = checked_order(
        RunOrder(
            prompt=prompt,
            directory=checked_directory(directory) if directory is not None else None,
            project=project_name,
            agent=agent,
            model=model,
            budget=budget,
            isolation=isolation,
            include_secrets=include_secrets,
            exclude=tuple(exclude),
            agent_args=click.get_current_context().meta.get(_AGENT_ARGS, ()),
            trust_agent=trust_agent,
        ),
        timeout,
    )
    settings = load_settings()
    connect = opener()

    async def body(interrupts: Interrupts) -> Outcome:
        return await execute(connect, settings, order, interrupts, quiet=quiet, as_json=as_json)

    outcome = run_with_interrupts(body)
    if as_json:
        print_json(to_document(outcome.result))
    else:
        print_lines(["", *summary_lines(outcome.result, in_git=outcome.in_git)])
    return outcome.exit_status


def checked_order(order: RunOrder, timeout: str) -> RunOrder:
    """Return the order with its prompt and limits read, before anything is done.

    Raises:
        InvalidArgumentError: something is missing or malformed.
    """
    prompt = order.prompt
    if not prompt.strip() and order.agent == "shell" and order.agent_args:
        prompt = shlex.join(order.agent_args)
    if not prompt.strip():
        raise InvalidArgumentError("The prompt is empty; say what the agent is to do.")
    if order.agent == "shell" and not order.agent_args:
        raise InvalidArgumentError(
            'The shell agent needs a command; write: autovibe run "PROMPT" --agent shell -- '
            "COMMAND [ARGUMENT...]"
        )
    if order.directory is None and not order.project:
        raise InvalidArgumentError("Say what to work on: --repo DIR, or --project NAME.")
    if order.budget:
        parse_amount(order.budget)
    return replace(
        order,
        prompt=prompt,
        timeout_s=parse_duration_s(timeout) if timeout else 0,
    )


def checked_directory(given: str) -> Path:
    """Return the real path of a directory.

    Raises:
        InvalidArgumentError: it is none.
    """
    real = Path(given).expanduser().resolve()
    if not given.strip() or not real.is_dir():
        what = "is not a directory" if given.strip() and real.exists() else "does not exist"
        raise InvalidArgumentError(f"{given!r} {what}; give --repo an existing directory.")
    return real


async def execute(
    connect: Any,
    settings: Settings,
    order: RunOrder,
    interrupts: Interrupts,
    *,
    quiet: bool,
    as_json: bool,
) -> Outcome:
    """Open the services, do an order on them and return what it came to.

    In JSON mode stdout is left alone: what happens is shown on stderr if that is a terminal.
    """
    stream = sys.stderr if as_json else sys.stdout
    view = open_view(stream, quiet=quiet or (as_json and not sys.stderr.isatty()))
    try:
        async with connect(settings) as connection:
            ask = ask_about_secrets if can_ask() and not as_json else None
            one = Run(connection, view, interrupts, ask)
            task = await one.order(order)
            result = await one.finish(task)
    finally:
        view.close()
    in_git = bool(task.context.head_commit)
    return Outcome(result, in_git, exit_status_of(result, interrupts))


def exit_status_of(result: work_pb2.TaskResult, interrupts: Interrupts) -> int:
    """Return the exit status of a run: one that was stopped and did not complete is 130."""
    status = result_exit_status(result)
    return EXIT_INTERRUPTED if interrupts.stopping.is_set() and status != EXIT_OK else status

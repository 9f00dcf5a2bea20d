"""`autovibe run`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from autovibe.cli.client.command import DashesCommand, behind_dashes, json_option
from autovibe.cli.client.foreground import in_foreground
from autovibe.cli.client.running import Run, RunOrder, Started
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import parse_amount
from autovibe.kernel.units import parse_duration_s


@click.command(
    cls=DashesCommand,
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
@click.option(
    "--after",
    multiple=True,
    metavar="TASK",
    help="Begin when TASK has completed; repeatable.",
)
@click.option("--parent", default="", metavar="TASK", help="Make it a part of TASK.")
@click.option(
    "--permission",
    type=click.Choice(["autonomous", "supervised", "human_required"]),
    default=None,
    help="supervised asks before risky tools and apply, human_required also before it begins.",
)
@click.option("--priority", type=click.Choice(["low", "normal", "high", "critical"]), default=None)
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    metavar="NAME[:LEVEL]",
    help="Its worker must be able to do this; repeatable.",
)
@click.option(
    "--worker-type",
    type=click.Choice(["feature", "bugfix", "test", "docs", "refactor", "review"]),
    default=None,
    help="Kind of worker that it is for (any when not set).",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="How often it is tried again after a failure.",
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
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
    after: Sequence[str],
    parent: str,
    permission: str | None,
    priority: str | None,
    labels: Sequence[str],
    capabilities: Sequence[str],
    worker_type: str | None,
    retries: int,
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
            agent_args=behind_dashes(),
            trust_agent=trust_agent,
            after=tuple(after),
            parent=parent,
            permission=permission or "",
            priority=priority or "",
            labels=tuple(labels),
            capabilities=tuple(capabilities),
            worker_type=worker_type or "",
            max_retries=retries,
        ),
        timeout,
    )

    async def begin(run: Run) -> Started:
        return await run.order(order)

    return in_foreground(begin, as_json=as_json)


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
    if unnamed := [label for label in order.labels if label.find("=") < 1]:
        raise InvalidArgumentError(f"{unnamed[0]!r} is no label; give --label NAME=VALUE.")
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

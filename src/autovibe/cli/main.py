"""The entry point: parses, runs one command, and turns every ending into an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import click

from autovibe import __version__
from autovibe.cli.errors import InterruptedByUserError
from autovibe.cli.lazy import LazyGroup
from autovibe.cli.options import output_options
from autovibe.cli.output import print_error, wants_json
from autovibe.kernel.errors import (
    EXIT_USAGE,
    AutovibeError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from autovibe.cli.client.connection import Connection
    from autovibe.kernel.settings import Settings

Connect: TypeAlias = "Callable[[Settings], AbstractAsyncContextManager[Connection]]"

COMMANDS: Final = {
    "run": ("autovibe.cli.client.run:run", "Give an agent a task and follow it to its result."),
    "demo": ("autovibe.cli.local.demo:demo", "See the whole job done, without account or key."),
    "up": ("autovibe.cli.local.up:up", "Serve the control plane on this host."),
    "worker": (
        "autovibe.cli.client.workers:worker",
        "Do tasks for a server, without a database, and see who does.",
    ),
    "queue": ("autovibe.cli.client.queue:queue", "See what waits and what is dead."),
    "project": (
        "autovibe.cli.client.project:project",
        "Create, list and show projects, and say what they may call and reach.",
    ),
    "task": ("autovibe.cli.client.task:task", "List and show tasks, and let them go on."),
    "inbox": ("autovibe.cli.client.inbox:inbox", "Show all that waits for a person."),
    "approve": ("autovibe.cli.client.inbox:approve", "Allow what an agent asked for."),
    "deny": ("autovibe.cli.client.inbox:deny", "Forbid what an agent asked for."),
    "answer": ("autovibe.cli.client.inbox:answer", "Answer the question of an agent."),
    "chat": (
        "autovibe.cli.client.chat:chat",
        "Talk about tasks and projects, and with the agents that work on them.",
    ),
    "document": (
        "autovibe.cli.client.documents:document",
        "Keep what agents are to know, in versions.",
    ),
    "status": ("autovibe.cli.client.status:status", "Show the machines that run now."),
    "machine": ("autovibe.cli.client.machine:machine", "List machines, and purge them."),
    "logs": ("autovibe.cli.client.logs:logs", "Show what a task did, or follow it."),
    "execution": (
        "autovibe.cli.client.execution:execution",
        "Show attempts at tasks, and what their agents and tools did.",
    ),
    "checkpoint": (
        "autovibe.cli.client.checkpoint:checkpoint",
        "List, show, compare, verify, restore and fork checkpoints.",
    ),
    "apply": ("autovibe.cli.client.apply:apply", "Put a task's result on a new git branch."),
    "budget": ("autovibe.cli.client.budget:budget", "Set, raise and list budgets."),
    "rates": ("autovibe.cli.client.rates:rates", "Import and list exchange rates to CAD."),
    "call": ("autovibe.cli.client.call:call", "Show what a model was asked and answered."),
    "usage": ("autovibe.cli.client.usage:usage", "Show what was used and what it cost."),
    "store": ("autovibe.cli.local.store:store", "Work on a checkpoint store itself."),
    "db": ("autovibe.cli.local.db:db", "Migrate, check, back up and restore the database."),
    "user": ("autovibe.cli.client.people:user", "Create, list and change users."),
    "token": ("autovibe.cli.client.people:token", "Make, list and revoke tokens."),
    "login": ("autovibe.cli.client.people:login", "Open a session with a server."),
    "logout": ("autovibe.cli.client.people:logout", "End the session with a server."),
    "open": ("autovibe.cli.client.browser:open_", "Open the server in a browser, logged in."),
    "whoami": ("autovibe.cli.client.people:whoami", "Show who calls, and what they may do."),
    "audit": ("autovibe.cli.client.audit:audit", "Read, seal and verify the audit trail."),
    "doctor": ("autovibe.cli.local.doctor:doctor", "Say what works here, and what is missing."),
    "completion": (
        "autovibe.cli.client.completion:completion",
        "Print what lets a shell complete commands and options.",
    ),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Example: autovibe run "Make the failing test pass" --repo . --budget 2.00CAD',
)
@click.version_option(__version__, message="autovibe %(version)s")
@output_options
def autovibe() -> None:
    """Run coding agents that cannot overspend, lose work or act without leave."""


def main(arguments: Sequence[str] | None = None, *, connect: Connect | None = None) -> int:
    """Run one command and return the exit status.

    Args:
        arguments: as in `sys.argv[1:]`, which is the default.
        connect: what opens the services, in place of `cli.client.connection.connect`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = wants_json(given)
    try:
        status = cast(
            "int | None",
            autovibe.main(given, prog_name="autovibe", standalone_mode=False, obj=connect),
        )
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return EXIT_USAGE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the last resort: one line
        return print_error(_as_own(error), as_json=as_json)
    return status or 0


def _as_own(error: BaseException) -> AutovibeError:
    if isinstance(error, AutovibeError):
        return error
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return InterruptedByUserError("Interrupted.")
    if isinstance(error, click.ClickException):
        return _usage_error(error)
    return _unexpected(error)


def _usage_error(error: click.ClickException) -> AutovibeError:
    message = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        message = f"{message.rstrip('.')}; see `{context.command_path} --help`."
    return InvalidArgumentError(message)


def _unexpected(error: BaseException) -> AutovibeError:
    text = "".join(traceback.format_exception(error))
    if os.environ.get("AUTOVIBE_DEBUG") == "1":
        print(text, file=sys.stderr, end="")
    home = Path(os.environ.get("AUTOVIBE_HOME") or "~/.autovibe").expanduser()
    log = home / "autovibe.log"
    where = "set AUTOVIBE_DEBUG=1 to see where"
    with suppress(OSError):
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(text)
        where = f"the details are in {log}"
    message = f"Something unexpected went wrong ({type(error).__name__}: {error}); {where}."
    return AutovibeError(" ".join(message.split()))


if __name__ == "__main__":
    sys.exit(main())

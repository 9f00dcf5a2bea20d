"""What the commands of `autovibe db` share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from autovibe.cli.client.connection import find_server
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.client.waiting import waiting
from autovibe.cli.errors import InterruptedByUserError, ServerRunningError
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import progress_view
from autovibe.db import Database, open_configured
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import Settings, load_settings

T = TypeVar("T")


def with_database(body: Callable[[Settings, Database], Awaitable[T]], *, doing: str = "") -> T:
    """Run something on the database of the settings, without a control plane.

    Args:
        body: what to run.
        doing: what it does, for one that may take long; a terminal shows it with the time.

    Raises:
        InterruptedByUserError: a signal ended it.
    """
    settings = load_settings()

    async def run(_interrupts: Interrupts) -> T:
        database = open_configured(settings)
        view = progress_view()
        try:
            async with waiting(view, doing):
                return await body(settings, database)
        finally:
            view.close()
            await database.close()

    return run_with_interrupts(run)


def require_yes(question: str, *, yes: bool) -> None:
    """Ask a person, unless `--yes` was given.

    Raises:
        InvalidArgumentError: nobody is there to ask.
        InterruptedByUserError: the answer was no.
    """
    if yes:
        return
    if not can_ask():
        raise InvalidArgumentError(f"{question} Nobody is there to answer; add --yes to agree.")

    async def ask(_interrupts: Interrupts) -> bool:
        return await confirm(question)

    if not run_with_interrupts(ask):
        raise InterruptedByUserError("Nothing was changed.")


def require_no_server(settings: Settings) -> None:
    """Refuse while a server of this home uses the database.

    Raises:
        ServerRunningError: one does.
    """
    server = find_server(settings)
    if server is not None:
        raise ServerRunningError(
            f"A server of {settings.home} runs (process {server.pid}); stop it first.",
            url=server.url,
            pid=server.pid,
        )

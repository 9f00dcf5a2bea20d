"""What all commands share: the JSON option, and running on the services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from autovibe.cli.client.connection import Connection, connect
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.kernel.settings import load_settings

F = TypeVar("F", bound="Callable[..., Any]")

T = TypeVar("T")


def json_option(function: F) -> F:
    """Add `--json` to a command."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(function)


def limit_option(function: F) -> F:
    """Add `--limit` to a command that lists."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 10_000),
        default=50,
        show_default=True,
        help="How many at most.",
    )(function)


def with_connection(body: Callable[[Connection], Awaitable[T]]) -> T:
    """Open the services, run a command on them, and close them.

    Raises:
        InterruptedByUserError: a signal ended it.
    """

    async def run(_interrupts: Interrupts) -> T:
        async with opener()(load_settings()) as connection:
            return await body(connection)

    return run_with_interrupts(run)


def opener() -> Any:
    """Return what opens the services: `connect`, or what `main` was given in its place."""
    return click.get_current_context().find_root().obj or connect

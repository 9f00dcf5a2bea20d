"""What all commands share: the output options, and running on the services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from autovibe.cli.client.connection import Connection, connect
from autovibe.cli.client.waiting import waiting
from autovibe.cli.options import output_options
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import progress_view
from autovibe.kernel.settings import load_settings

F = TypeVar("F", bound="Callable[..., Any]")

T = TypeVar("T")

BEHIND_DASHES: Final = "autovibe.behind_dashes"


class DashesCommand(click.Command):
    """A command that takes what stands behind `--` for itself: click would mix it with the rest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put aside everything behind the first `--`."""
        own = args
        if "--" in args:
            at = args.index("--")
            own = args[:at]
            ctx.meta[BEHIND_DASHES] = tuple(args[at + 1 :])
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the `--` in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def behind_dashes() -> tuple[str, ...]:
    """Return what stood behind `--` of a `DashesCommand`."""
    return click.get_current_context().meta.get(BEHIND_DASHES, ())


def json_option(function: F) -> F:
    """Add `--json`, `--quiet` and `--no-color` to a command."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(output_options(function))


def limit_option(function: F) -> F:
    """Add `--limit` to a command that lists."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 10_000),
        default=50,
        show_default=True,
        help="How many at most.",
    )(function)


def sort_option(*columns: str, default: str) -> Callable[[F], F]:
    """Add `--sort` to a command that lists.

    Args:
        columns: what the list can be sorted by.
        default: one of them, with a dash in front for the largest first.
    """
    return click.option(
        "--sort",
        "order_by",
        type=click.Choice([text for name in columns for text in (name, f"-{name}")]),
        default=default,
        show_default=True,
        help="Sort by; a dash in front turns the order round.",
    )


def with_connection(body: Callable[[Connection], Awaitable[T]], *, doing: str = "") -> T:
    """Open the services, run a command on them, and close them.

    Args:
        body: the command.
        doing: what it does, for one that may take long; a terminal shows it with the time.

    Raises:
        InterruptedByUserError: a signal ended it.
    """

    async def run(_interrupts: Interrupts) -> T:
        view = progress_view()
        try:
            async with opener()(load_settings()) as connection, waiting(view, doing):
                return await body(connection)
        finally:
            view.close()

    return run_with_interrupts(run)


def opener() -> Any:
    """Return what opens the services: `connect`, or what `main` was given in its place."""
    return click.get_current_context().find_root().obj or connect

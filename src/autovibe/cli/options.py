"""Options that every command takes: how much it prints, and in which colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound="Callable[..., Any]")

_QUIET: Final = "autovibe.quiet"
_NO_COLOR: Final = "autovibe.no_color"


def output_options(function: F) -> F:
    """Add `--quiet` and `--no-color`; what they say is read by `is_quiet` and `wants_color`."""
    function = click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=_remember(_NO_COLOR),
        help="Print without colours; NO_COLOR=1 does so too.",
    )(function)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_remember(_QUIET),
        help="Print results and errors only: no progress, no advice.",
    )(function)


def is_quiet() -> bool:
    """Return whether progress and advice are not wanted."""
    return _is_set(_QUIET)


def wants_color() -> bool:
    """Return whether `--no-color` was not given; that `NO_COLOR` is not set is for the view."""
    return not _is_set(_NO_COLOR)


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
        # Given before the command's name or after it: `meta` is shared by both.
        if value:
            ctx.meta[key] = True

    return remember


def _is_set(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))

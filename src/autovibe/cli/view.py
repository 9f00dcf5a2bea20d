"""Where live output goes: a terminal, a pipe, or nowhere."""

from __future__ import annotations

import os
import sys
from typing import IO, Protocol

from autovibe.cli import lazy
from autovibe.cli.events import Line
from autovibe.cli.options import is_quiet, wants_color
from autovibe.cli.output import write


class View(Protocol):
    """Shows what happens while it happens. A reader that has gone stops nothing."""

    def show(self, line: Line) -> None:
        """Show a line."""
        ...

    def status(self, text: str, share: float | None = None) -> None:
        """Show what goes on now, in place of what was shown so before; "" ends it.

        Args:
            text: one line.
            share: how much of it is done, 0 to 1; `None` when that is not known.
        """
        ...

    def close(self) -> None:
        """Leave the stream as a command should."""
        ...


class SilentView:
    """Shows nothing."""

    def show(self, line: Line) -> None:
        """Drop the line."""

    def status(self, text: str, share: float | None = None) -> None:
        """Drop the text."""

    def close(self) -> None:
        """Do nothing."""


class PlainView:
    """Writes each line at once, without any control character."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to a stream."""
        self._stream = stream
        self._readable = True

    def show(self, line: Line) -> None:
        """Write a line."""
        # The task goes on to its checkpoint when nobody reads any more.
        if self._readable:
            self._readable = write(line.plain(), self._stream)

    def status(self, text: str, share: float | None = None) -> None:
        """Write nothing: lines that are replaced make no sense in a pipe."""

    def close(self) -> None:
        """Do nothing."""


def open_view(stream: IO[str], *, quiet: bool) -> View:
    """Return the view for a stream."""
    if quiet:
        return SilentView()
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return lazy.terminal_view(stream, color=wants_color())
    return PlainView(stream)


def progress_view() -> View:
    """Return the view for what is no result: standard error, if a person sees it."""
    return open_view(sys.stderr, quiet=is_quiet() or not sys.stderr.isatty())

"""Where live output goes: a terminal, a pipe, or nowhere."""

from __future__ import annotations

import os
import sys
from typing import IO, Protocol

from autovibe.cli import lazy
from autovibe.cli.events import Line


class View(Protocol):
    """Shows what happens while it happens. A reader that has gone stops nothing."""

    def show(self, line: Line) -> None:
        """Show a line."""
        ...

    def status(self, text: str) -> None:
        """Show what goes on now, in place of what was shown so before; "" ends it."""
        ...

    def close(self) -> None:
        """Leave the stream as a command should."""
        ...


class SilentView:
    """Shows nothing."""

    def show(self, line: Line) -> None:
        """Drop the line."""

    def status(self, text: str) -> None:
        """Drop the text."""

    def close(self) -> None:
        """Do nothing."""


class PlainView:
    """Writes each line at once, without any control character."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to a stream."""
        self._stream: IO[str] | None = stream

    def show(self, line: Line) -> None:
        """Write a line."""
        if self._stream is None:
            return
        try:
            print(line.plain(), file=self._stream, flush=True)
        except OSError:
            # The task goes on to its checkpoint when nobody reads any more.
            discard(self._stream)
            self._stream = None

    def status(self, text: str) -> None:
        """Write nothing: lines that are replaced make no sense in a pipe."""

    def close(self) -> None:
        """Do nothing."""


def open_view(stream: IO[str], *, quiet: bool) -> View:
    """Return the view for a stream."""
    if quiet:
        return SilentView()
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return lazy.terminal_view(stream)
    return PlainView(stream)


def discard(stream: IO[str]) -> None:
    """Send what is still written to a stream nowhere, so that its last flush raises nothing."""
    if stream in {sys.stdout, sys.stderr}:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

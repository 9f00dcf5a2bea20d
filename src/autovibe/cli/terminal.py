"""Live output on a terminal; imported only when there is one."""

from __future__ import annotations

from typing import IO, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from autovibe.cli.events import LABEL_WIDTH, Line
from autovibe.cli.output import discard
from autovibe.kernel.text import printable

_STYLES: Final = {
    "plain": "",
    "dim": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "strong": "bold",
}
_BAR_CELLS: Final = 24
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class TerminalView:
    """Writes lines above one line that tells what goes on now. Colours obey `NO_COLOR`."""

    def __init__(self, stream: IO[str], *, color: bool = True) -> None:
        """Write to a terminal."""
        self._stream = stream
        self._console = Console(
            file=stream,
            highlight=False,
            markup=False,
            emoji=False,
            # `None` leaves it to NO_COLOR.
            no_color=None if color else True,
        )
        # Refreshed by hand: no thread beside the one that machines are started from.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started = False
        self._gone = False
        self._frame = 0

    def show(self, line: Line) -> None:
        """Write a line, the continuation of a long one under its text."""
        if self._gone:
            return
        style = _STYLES[line.tone]
        wide = max(self._console.width - LABEL_WIDTH, 20)
        wrapped = Text(line.text, style=style).wrap(self._console, wide)
        text = Text()
        for number, part in enumerate(wrapped):
            label = line.label if not number else ""
            text.append("\n" if number else "")
            text.append(f"{label:<{LABEL_WIDTH}}", style="cyan")
            text.append_text(part)
        self._write(text)

    def status(self, text: str, share: float | None = None) -> None:
        """Replace the last line; a known share is shown as a bar."""
        if self._gone:
            return
        try:
            if not text:
                self.close()
                return
            if not self._started:
                self._live.start()
                self._started = True
            self._frame = (self._frame + 1) % len(_FRAMES)
            bar = "" if share is None else f"{_bar(share)} "
            line = f"{_FRAMES[self._frame]} {bar}{printable(text, one_line=True)}"
            shown = Text(line, style="dim")
            shown.truncate(self._console.width - 1, overflow="ellipsis")
            self._live.update(shown, refresh=True)
        except OSError:
            self._give_up()

    def close(self) -> None:
        """Remove the last line and show the cursor again."""
        if self._started:
            self._started = False
            try:
                self._live.stop()
            except OSError:
                self._give_up()

    def _write(self, text: Text) -> None:
        try:
            self._console.print(text)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        self._gone = True
        discard(self._stream)


def _bar(share: float) -> str:
    done = int(max(0.0, min(1.0, share)) * _BAR_CELLS)
    return f"{'━' * done}{'╌' * (_BAR_CELLS - done)} {share:4.0%}"

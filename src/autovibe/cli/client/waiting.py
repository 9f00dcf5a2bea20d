"""Showing that something goes on which tells nothing of itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autovibe.cli.render import plural, size
from autovibe.cli.view import PlainView, SilentView, View
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.progress import Step, listening
from autovibe.kernel.units import duration_text

_TICK_S: Final = 0.2
_RATE_AFTER_S: Final = 0.5


@contextlib.asynccontextmanager
async def waiting(
    view: View,
    doing: str,
    *,
    how_far: Callable[[], tuple[str, float | None]] | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[None]:
    """Show what is done and for how long already, until the block ends.

    Args:
        view: where; nothing is shown when `doing` is empty.
        doing: what is done, for people.
        how_far: what is known of its progress: a text, and the share done if there is a total.
        clock: measures the time.
    """
    if not doing:
        yield
        return
    clock = clock or SystemClock()
    started = clock.monotonic()

    async def tick() -> None:
        while True:
            known, share = how_far() if how_far else ("", None)
            parts = (doing, known, duration_text(clock.monotonic() - started))
            view.status(" · ".join(part for part in parts if part), share)
            await asyncio.sleep(_TICK_S)

    ticking = asyncio.create_task(tick(), name="waiting")
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
        view.status("")


def share_of(done: int, total: int) -> float | None:
    """Return how much is done, 0 to 1; `None` without a total."""
    return min(1.0, done / total) if total else None


@dataclass
class Heard:
    """What a long operation in this process says of its progress.

    `total_bytes` is what each phase comes to at most; 0 while that is not known. `phases` says for
    people what is counted in a phase, and what is done to it.
    """

    phases: Mapping[str, tuple[str, str]]
    total_bytes: int = 0
    clock: Clock = field(default_factory=SystemClock)
    step: Step | None = None
    began: float = 0.0

    def take(self, step: Step) -> None:
        """Keep what is said; a rate counts from where its phase began."""
        if self.step is None or self.step.phase != step.phase:
            self.began = self.clock.monotonic()
        self.step = step

    def how_far(self) -> tuple[str, float | None]:
        """Return what was heard last."""
        step = self.step
        if step is None:
            return "", None
        noun, verb = self.phases.get(step.phase, ("item", step.phase))
        of = f" of at most {size(self.total_bytes)}" if self.total_bytes else ""
        took = self.clock.monotonic() - self.began
        rate = f", {size(int(step.bytes / took))}/s" if took >= _RATE_AFTER_S else ""
        text = f"{plural(step.items, noun)}, {size(step.bytes)}{of} {verb}{rate}"
        return text, share_of(step.bytes, self.total_bytes)

    async def measure(self, path: Path) -> None:
        """Find out what a directory comes to."""
        _, self.total_bytes = await asyncio.to_thread(measure, path)


@contextlib.asynccontextmanager
async def hearing(
    view: View, doing: str, heard: Heard, *, path: Path | None = None
) -> AsyncGenerator[None]:
    """Show what is done and how far it is, as far as what the block calls tells.

    Args:
        view: where.
        doing: what is done, for people.
        heard: keeps what is told.
        path: a directory whose size is the total; it is looked at meanwhile.
    """
    measuring: asyncio.Task[None] | None = None
    if path is not None and not isinstance(view, SilentView | PlainView):
        measuring = asyncio.create_task(heard.measure(path), name="measure")
    try:
        with listening(heard.take):
            async with waiting(view, doing, how_far=heard.how_far, clock=heard.clock):
                yield
    finally:
        if measuring is not None:
            measuring.cancel()
            await asyncio.wait([measuring])


def measure(path: Path) -> tuple[int, int]:
    """Return how many files a directory holds by now, and their size in bytes."""
    files = total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - 3x faster, and a tree may have 100,000 files
                if stat.S_ISREG(found.st_mode):
                    files += 1
                    total += found.st_size
    return files, total

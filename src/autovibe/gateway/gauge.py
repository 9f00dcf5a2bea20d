"""Counting what passes a machine's listener, and stopping it where a budget ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class NetworkGauge:
    """Counts the bytes of one machine, in both directions; `reached` is set at the cap."""

    def __init__(self) -> None:
        """Begin with nothing and without a cap."""
        self.bytes = 0
        self.reached = asyncio.Event()
        self._cap: int | None = None
        self._on_change: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """Whether no more may pass."""
        return self._cap is not None and self.bytes >= self._cap

    def add(self, size: int) -> None:
        """Count bytes that have passed."""
        self.bytes += size
        if self._cap is not None and not self.reached.is_set() and self.full:
            self._tell()

    def cap(self, size_bytes: int | None) -> None:
        """Let no more pass than so many bytes in all since the beginning; `None`: no end."""
        self._cap = size_bytes
        self._tell()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back at once whenever the cap is reached or moved."""
        self._on_change.append(callback)

    def _tell(self) -> None:
        if self.full:
            self.reached.set()
        else:
            self.reached.clear()
        for callback in self._on_change:
            callback()

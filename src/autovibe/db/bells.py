"""Bells: what wakes those who wait for a change that another transaction commits.

A transaction rings (`WriteTx.ring`); after its commit everybody hears it who waits for the topic:
in this process at once, in others through NOTIFY of PostgreSQL, or through a list in Redis where
one is configured. A bell is a hint, never a record: whoever waits also looks when time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

BELL_CHANNEL: Final = "autovibe_bell"

Rung = Callable[[Mapping[str, Sequence[str]]], None]


class Bells:
    """The bells of one process: a count for each topic, and who waits for it to change."""

    def __init__(self) -> None:
        """Begin with no bell rung."""
        self._counts: dict[str, int] = {}
        self._all = 0
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._carriers: list[Rung] = []

    def carry(self, carrier: Rung) -> Callable[[], None]:
        """Hand every ring of this process on, with its items; return what ends that."""
        self._carriers.append(carrier)
        return lambda: self._carriers.remove(carrier)

    def ring(self, rings: Mapping[str, Sequence[str]]) -> None:
        """Wake whoever waits for a topic, here and elsewhere."""
        if not rings:
            return
        self.hear(rings)
        for carrier in self._carriers:
            carrier(rings)

    def hear(self, topics: Iterable[str]) -> None:
        """Wake whoever waits for a topic in this process."""
        for topic in topics:
            self._counts[topic] = self._counts.get(topic, 0) + 1
            self._wake(topic)

    def hear_all(self) -> None:
        """Wake everybody: a bell may have rung while nobody listened."""
        self._all += 1
        for topic in list(self._waiting):
            self._wake(topic)

    def count(self, topics: Iterable[str]) -> int:
        """Return a number that is another one after any of these topics has rung."""
        return self._all + sum(self._counts.get(topic, 0) for topic in topics)

    async def wait(self, topics: Sequence[str], seen: int, timeout_s: float) -> int:
        """Return `count()` as soon as it is not `seen`, or when the time is up."""
        if self.count(topics) == seen:
            rung = asyncio.get_running_loop().create_future()
            for topic in topics:
                self._waiting.setdefault(topic, set()).add(rung)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s):
                        await rung
            finally:
                for topic in topics:
                    self._leave(topic, rung)
        return self.count(topics)

    def _wake(self, topic: str) -> None:
        for future in self._waiting.get(topic, ()):
            if not future.done():
                future.set_result(None)

    def _leave(self, topic: str, future: asyncio.Future[None]) -> None:
        waiting = self._waiting[topic]
        waiting.discard(future)
        if not waiting:
            del self._waiting[topic]

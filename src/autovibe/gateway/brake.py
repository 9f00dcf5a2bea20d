"""The brake on a shared quota: one 429 of a provider parks every call on that key until it resets.

In this process at once; in others when they next ask to hold a call on that key, as the ledger
keeps how long keys are parked.

Calls that wait hold no money: a call that was refused is released before it parks, and held anew
when its turn comes. Then projects take turns by weighted fair queueing: every call of a project
moves it back by 1/greediness, and the one that is furthest in front goes next. Greediness 0 goes
only when nobody else waits. One call goes first, to try; each that gets through lets one more go.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.domains.metering.gateway import ParkedKey
from autovibe.gateway.binding import Upstream
from autovibe.kernel.clock import Clock

_LOOK_AGAIN_S: Final = 2.0
"""An answer that is long in coming keeps the others waiting for no longer than this."""
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_GUESS_S: Final = 60.0


class ParkedTooLongError(Exception):
    """A call may not wait for so long, or among so many; `retry_after_s` is when to try again."""

    def __init__(self, retry_after_s: int, waiting: int) -> None:
        """Keep what the answer tells."""
        super().__init__("the key of the provider is parked")
        self.retry_after_s = retry_after_s
        self.waiting = waiting


class ClientGoneError(Exception):
    """The client left while its call was parked."""


@dataclass(frozen=True)
class BrakeCounts:
    """Hears what a brake does: of each 429, and of each call that begins or ends to wait."""

    braked: Callable[[str], None] = lambda _: None
    waiting: Callable[[str, int], None] = lambda _name, _by: None


class Visit:
    """One call's way through a lane: it waits for a turn, takes it, and says how that went.

    Its place among the others is kept when it has to wait once more.
    """

    def __init__(self, lane: Lane, project_id: str, greediness: float, wait_s: float) -> None:
        """Come to a lane.

        Args:
            lane: of the key that will be used.
            project_id: whose call it is.
            greediness: weight of the project, 0 to 1.
            wait_s: seconds that it may wait in all.
        """
        self.lane = lane
        self.project_id = project_id
        self.greediness = greediness
        self.since = lane.clock.monotonic()
        self.deadline = self.since + wait_s
        self.place: tuple[float, int] | None = None
        self.turn: asyncio.Future[None] | None = None
        self.probing = False

    async def enter(self, leaves: Callable[[Callable[[], object]], None]) -> bool:
        """Return when the call may go out, and whether it had to wait for that.

        Args:
            leaves: is given what to call when the client leaves.

        Raises:
            ParkedTooLongError: it would have to wait for too long, or too many wait already.
            ClientGoneError: the client has left.
        """
        lane = self.lane
        if lane.free:
            return False
        left = self.deadline - lane.clock.monotonic()
        if lane.opens_in_s() > left or lane.is_full():
            raise lane.too_long()
        turn = self.turn = asyncio.get_running_loop().create_future()
        leaves(turn.cancel)
        lane.queue(self)
        try:
            async with asyncio.timeout(max(left, 0)):
                await turn
        except TimeoutError:
            raise lane.too_long() from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ClientGoneError from None
        finally:
            self.turn = None
            lane.left(self)
        return True

    def answered(self) -> None:
        """Say that the call got through, so that one more may try; idempotent."""
        if self.probing:
            self.probing = False
            self.lane.got_through()

    def ended(self) -> None:
        """Say that the call needs its turn no more, however it went; idempotent."""
        if self.probing:
            self.probing = False
            self.lane.gave_back()

    def limited(self, pause_s: float | None) -> bool:
        """Park the key after a 429; return whether the call may wait for its next turn.

        Args:
            pause_s: seconds that the provider named, `None` when it named none.
        """
        lane = self.lane
        # In this order: a turn that is given back before goes to the next call at once.
        lane.park(pause_s)
        self.ended()
        left = self.deadline - lane.clock.monotonic()
        return lane.opens_in_s() <= left and not lane.is_full()


class Lane:
    """The calls on one key of one provider. Open, it costs a call one look."""

    def __init__(
        self, name: str, clock: Clock, longest_queue: int, counts: BrakeCounts, key_id: str = ""
    ) -> None:
        """Begin open.

        Args:
            name: of the upstream.
            key_id: tells other processes which key is meant.
            clock: the time.
            longest_queue: how many calls may wait.
            counts: hears what happens.
        """
        self.name = name
        self.key_id = key_id
        self.clock = clock
        self.free = True
        self._longest = longest_queue
        self._counts = counts
        self._opens_at = 0.0
        self._guesses = 0
        self._window = 1
        self._out = 0
        self._waiting: dict[Visit, tuple[float, int]] = {}
        self._newest = 0
        self._now = 0.0
        self._places: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def opens_in_s(self) -> float:
        """Return the seconds until the first call may go out."""
        return max(0.0, self._opens_at - self.clock.monotonic())

    def is_full(self) -> bool:
        """Return whether no more calls may wait."""
        return len(self._waiting) >= self._longest

    def too_long(self) -> ParkedTooLongError:
        """Return the refusal of a call that may wait no longer."""
        return ParkedTooLongError(max(1, math.ceil(self.opens_in_s())), len(self._waiting))

    def waiting(self) -> Mapping[str, int]:
        """Return how many calls wait, by project."""
        found: dict[str, int] = {}
        for visit in self._waiting:
            found[visit.project_id] = found.get(visit.project_id, 0) + 1
        return found

    def oldest_s(self) -> float:
        """Return for how many seconds the oldest call waits."""
        now = self.clock.monotonic()
        return max((now - visit.since for visit in self._waiting), default=0.0)

    def queue(self, visit: Visit) -> None:
        """Let a call wait: behind the calls of its own project, among the others by weight."""
        if visit.place is None:
            self._newest += 1
            visit.place = (self._place_of(visit), self._newest)
        self._waiting[visit] = visit.place
        self._counts.waiting(self.name, 1)
        self._look()

    def left(self, visit: Visit) -> None:
        """Forget a call that waits no more."""
        if self._waiting.pop(visit, None) is not None:
            self._counts.waiting(self.name, -1)
        self._look()

    def park(self, pause_s: float | None) -> None:
        """Stop all calls for so many seconds; for a growing guess when nobody told."""
        if pause_s is None:
            # Several calls under way may be refused at once; together they say it once.
            if not self.opens_in_s():
                self._guesses += 1
            pause_s = min(math.ldexp(_FIRST_PAUSE_S, self._guesses - 1), _LONGEST_GUESS_S)
        self.free = False
        self._window = 1
        self._opens_at = max(self._opens_at, self.clock.monotonic() + pause_s)
        self._counts.braked(self.name)
        self._look()

    def got_through(self) -> None:
        """Take note that a call was answered: the quota is there again."""
        self._guesses = 0
        self._out -= 1
        self._window += 1
        self._look()

    def gave_back(self) -> None:
        """Take note that a call has ended without telling anything of the quota."""
        self._out -= 1
        self._look()

    def _place_of(self, visit: Visit) -> float:
        if visit.greediness <= 0:
            return math.inf
        begin = max(self._now, self._places.get(visit.project_id, 0.0))
        place = begin + 1 / visit.greediness
        self._places[visit.project_id] = place
        return place

    def _look(self) -> None:
        """Give out the turns that there are, and come again when there may be more."""
        if self.free:
            return
        pause = self.opens_in_s()
        if not pause:
            if not self._waiting and not self._out:
                self._open()
                return
            for visit in self._next(self._window - self._out):
                self._out += 1
                visit.probing = True
                assert visit.turn is not None
                visit.turn.set_result(None)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause or _LOOK_AGAIN_S, self._come_again)

    def _come_again(self) -> None:
        self._timer = None
        if not self.opens_in_s() and self._out >= self._window:
            self._window += 1
        self._look()

    def _next(self, turns: int) -> Iterator[Visit]:
        for _ in range(turns):
            ready = (item for item in self._waiting.items() if _waits(item[0]))
            first = min(ready, key=lambda item: item[1], default=None)
            if first is None:
                return
            visit, (place, _number) = first
            if place < math.inf:
                self._now = max(self._now, place - 1 / visit.greediness)
            yield visit

    def _open(self) -> None:
        self.free = True
        self._window = 1
        self._now = 0.0
        self._places.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Brake:
    """The lanes of all keys; one serves every gateway of a process."""

    def __init__(
        self, clock: Clock, longest_queue: int = 1_000, counts: BrakeCounts | None = None
    ) -> None:
        """Begin with every key open.

        Args:
            clock: the time.
            longest_queue: how many calls may wait on one key.
            counts: hears what happens.
        """
        self._clock = clock
        self._longest = longest_queue
        self._counts = counts or BrakeCounts()
        self._lanes: dict[tuple[str, str | None], Lane] = {}

    def lane(self, upstream: Upstream, name: str) -> Lane:
        """Return the lane of an upstream's key; `name` is what people call it."""
        at = (upstream.base_url, upstream.key)
        found = self._lanes.get(at)
        if found is None:
            key_id = _key_id(upstream)
            found = Lane(name, self._clock, self._longest, self._counts, key_id)
            self._lanes[at] = found
        return found

    def parked(self) -> list[ParkedKey]:
        """Return the keys that are parked or still draining."""
        return [
            ParkedKey(lane.name, lane.opens_in_s(), lane.oldest_s(), dict(lane.waiting()))
            for lane in self._lanes.values()
            if not lane.free
        ]


def _key_id(upstream: Upstream) -> str:
    """Return half of a hash of a provider's address and key."""
    told = f"{upstream.base_url}\n{upstream.key or ''}"
    return str(uuid.UUID(bytes=hashlib.sha256(told.encode()).digest()[:16]))


def _waits(visit: Visit) -> bool:
    return visit.turn is not None and not visit.turn.done()

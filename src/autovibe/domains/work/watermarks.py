"""Claiming while somebody holds an old snapshot: from where the last claim ended.

Orders that were claimed leave dead entries at the head of the claim index. As long as a transaction
elsewhere may still see them (a dump, a forgotten session, a lagging replica) no vacuum can take
them away, and every claim walks over all of them: 0.4 ms became 5.5 ms within 15 seconds at 2,000
orders a second. While that is so, claims begin above the last one in the same lane, and look
at everything once a second only. What comes in below that mark meanwhile waits for that second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.work.repository import claiming
from autovibe.domains.work.repository.claiming import Claim, Taken
from autovibe.domains.work.routing import Abilities
from autovibe.kernel.clock import Clock

HELD_AGE: Final = 2_000
"""A snapshot that is so many transactions old holds the past back."""
_LOOK_S: Final = 1.0


@dataclass
class _Seen:
    """What the last look at a whole queue found."""

    at: float
    held: bool
    lanes: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    """The highest fair key claimed, by route and priority."""

    def note(self, taken: Sequence[Taken]) -> None:
        """Keep where a claim ended."""
        if self.held:
            for one in taken:
                lane = (one.route, one.priority)
                self.lanes[lane] = max(one.fair_key, self.lanes.get(lane, one.fair_key))

    def first(self, abilities: Abilities) -> tuple[str, int] | None:
        """Return the lane whose turn it is: the most urgent, then the one that is behind."""
        fitting = [lane for lane in self.lanes if abilities.can_take(lane[0])]
        return min(fitting, key=lambda lane: (-lane[1], self.lanes[lane]), default=None)


@dataclass
class Watermarks:
    """Where claims of this process begin, for each queue."""

    held_age: int = HELD_AGE
    _seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])

    async def take(
        self, tx: WriteTx, claim: Claim, abilities: Abilities, clock: Clock
    ) -> list[Taken]:
        """Claim the next orders that a worker with these abilities may do."""
        seen, now = self._seen.get(claim.queue_name), clock.monotonic()
        if seen is None or now - seen.at >= _LOOK_S:
            seen = _Seen(now, await claiming.snapshot_age(tx) > self.held_age)
            self._seen[claim.queue_name] = seen
        elif seen.held:
            lane = seen.first(abilities)
            if lane is not None:
                above = await claiming.take_above(tx, claim, *lane, seen.lanes[lane])
                if above:
                    seen.note(above)
                    return above
                del seen.lanes[lane]
        found = await claiming.pending_routes(tx, claim.queue_name)
        taken = await claiming.take(
            tx, claim, [route for route in found if abilities.can_take(route)]
        )
        seen.note(taken)
        return taken

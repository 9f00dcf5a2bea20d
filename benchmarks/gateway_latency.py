"""What the gateway adds to a streamed call while 200 streams are open: ours minus direct.

Twenty calls a second begin, each with a body of 50 kB and an answer of 100 events, ten a second, so
that 200 are open all the time. The same is done directly at the scripted provider and through the
gateway, in turns; load, provider and gateway are processes of their own on this machine. The ledger
is on SQLite (synchronous=FULL), or on PostgreSQL with `AUTOVIBE_BENCH_BACKEND=postgresql`.

Reported is the time to the first byte of an answer, which has the hold in it, as the difference of
the two ways at the same percentile; beside it the time of single events from provider to caller.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from _gateway import KEY
from _ledger import clean_url, databases
from _load import Answered, Caller, Target, cpu_s, program

STREAMS: Final = 200
CALLS_PER_S: Final = 20
EVENTS: Final = 100
PAUSE_S: Final = 0.1
BODY_BYTES: Final = 50_000
TURNS: Final = int(os.environ.get("AUTOVIBE_BENCH_TURNS", "3"))
TURN_S: Final = float(os.environ.get("AUTOVIBE_BENCH_TURN_S", "20"))
WARM_UP_CALLS: Final = 20
BACKEND: Final = os.environ.get("AUTOVIBE_BENCH_BACKEND", "sqlite")


@dataclass
class Way:
    """Direct, or through the gateway."""

    target: Target
    firsts_ms: list[float] = field(default_factory=list[float])
    events_ms: list[float] = field(default_factory=list[float])

    async def turn(self, dice: random.Random) -> None:
        """Keep 200 streams open for so long, and keep the times of the calls begun meanwhile."""
        standing = [
            asyncio.create_task(self._call(dice.randint(1, EVENTS), number / CALLS_PER_S / 5))
            for number in range(STREAMS)
        ]
        await asyncio.sleep(STREAMS / CALLS_PER_S / 5 + 1)
        calls: list[asyncio.Task[Answered]] = []
        begun = time.perf_counter()
        for number in range(int(TURN_S * CALLS_PER_S)):
            await asyncio.sleep(max(0, begun + number / CALLS_PER_S - time.perf_counter()))
            calls.append(asyncio.create_task(self._call(EVENTS, 0)))
        for answered in await asyncio.gather(*calls):
            self.firsts_ms.append(answered.first_s * 1000)
            self.events_ms += [delay / 1e6 for delay in answered.delays_ns]
        await asyncio.gather(*standing)

    async def warm_up(self) -> None:
        """Make some calls that do not count."""
        for _ in range(WARM_UP_CALLS):
            await self._call(5, 0)

    async def _call(self, events: int, wait_s: float) -> Answered:
        await asyncio.sleep(wait_s)
        caller = await Caller.connect(self.target, looks=True)
        try:
            return await caller.call(self.target.request(BODY_BYTES, events, PAUSE_S))
        finally:
            caller.close()


async def measure(direct: Way, through: Way) -> None:
    """Take turns."""
    dice = random.Random(1)  # noqa: S311 - the same lengths in every run, guards nothing
    for way in (direct, through):
        await way.warm_up()
    for _ in range(TURNS):
        for way in (direct, through):
            await way.turn(dice)


def percentile(times: list[float], share: float) -> float:
    """Return the time that a share of the calls stayed within."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    """Measure and print one row per percentile."""
    with databases() as found, tempfile.TemporaryDirectory() as directory:
        url = asyncio.run(clean_url(found, BACKEND, Path(directory)))
        with (
            program("_provider.py") as (_, provider),
            program("_gateway.py", url, provider) as (process, base),
        ):
            direct, through = Way(Target(provider, "none")), Way(Target(base, KEY))
            asyncio.run(measure(direct, through))
            cpu = cpu_s(process.pid)
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        ours, theirs = (percentile(way.firsts_ms, share) for way in (through, direct))
        events, their_events = (percentile(way.events_ms, share) for way in (through, direct))
        row = {
            "name": f"gateway_added_latency_{name}_ms",
            "unit": "ms",
            "ours": round(ours - theirs, 3),
            "through_ms": round(ours, 3),
            "direct_ms": round(theirs, 3),
            "event_through_ms": round(events, 3),
            "event_direct_ms": round(their_events, 3),
            "database": BACKEND,
            "runs": len(through.firsts_ms),
        }
        print(json.dumps(row), flush=True)
    print(f"the gateway used {cpu:.1f} s of processor", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Whether the memory of the gateway stays flat over 100,000 calls.

One process, 64 callers, streams of 20 events, holds in PostgreSQL. Resident memory is read after a
tenth of the calls, when everything that is kept for good has been made, and at the end. On a slow
machine the calls that fit into ten minutes are made; the row says how many there were.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from _gateway import KEY
from _ledger import clean_url, databases
from _load import Target, many, program, resident_mb

CALLERS: Final = 64
CALLS: Final = int(os.environ.get("AUTOVIBE_BENCH_CALLS", "100000"))
LONGEST_S: Final = 600
SLICE_S: Final = 2.0


async def measure(target: Target, pid: int) -> list[tuple[int, float]]:
    """Make the calls; return how many had been made and the memory, again and again."""
    request = target.request(2_000, 20, 0)
    seen: list[tuple[int, float]] = []
    made = 0
    begun = time.perf_counter()
    while made < CALLS and time.perf_counter() - begun < LONGEST_S:
        calls, _ = await many(target, CALLERS, SLICE_S, request)
        made += calls
        seen.append((made, resident_mb(pid)))
    return seen


def main() -> None:
    """Print one row."""
    with databases() as found, tempfile.TemporaryDirectory() as directory:
        url = asyncio.run(clean_url(found, "postgresql", Path(directory)))
        with (
            program("_provider.py") as (_, provider),
            program("_gateway.py", url, provider) as (process, base),
        ):
            seen = asyncio.run(measure(Target(base, KEY), process.pid))
    made, last = seen[-1]
    early = next(memory for calls, memory in seen if calls >= made / 10)
    row = {
        "name": "gateway_memory_growth_mb",
        "unit": "MB",
        "ours": round(last - early, 2),
        "after_a_tenth_mb": round(early, 1),
        "at_the_end_mb": round(last, 1),
        "calls": made,
        "callers": CALLERS,
        "runs": 1,
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()

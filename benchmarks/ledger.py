"""Reserve and settle on one hot project: cycles per second with 64 callers, and exactness.

Every caller is what a gateway does for one call after the other: it holds the worst case of a call
through the gateway's ledger (group commit, verdicts after COMMIT) and settles less than that. The
project has a budget of money for the day, the week, the month and in total, so that each cycle
touches four budgets. Both databases wait for the disk at every commit.

First a budget that lasts for some of the calls only is emptied: the run stops unless exactly as
many are admitted as fit, and unless in every budget used is the sum of the rows and nothing is
held.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from _ledger import PERIODS, HotProject, databases, hot_project
from sqlalchemy import text

from autovibe.gateway import Ledger
from autovibe.kernel.clock import SystemClock
from autovibe.testing.databases import TestDatabases
from autovibe.v1 import metering_pb2

CALLERS: Final = 64
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "5"))
ROUND_S: Final = float(os.environ.get("AUTOVIBE_BENCH_ROUND_S", "4"))
WARM_UP_S: Final = 2.0
BACKENDS: Final = ("postgresql", "sqlite")
HELD: Final = "0.05"
SETTLED: Final = "0.012345"
# What is allocated when exactness is shown: far less than all callers together want.
SCARCE: Final = "5.00"
PLENTY: Final = "900000000"
TERMS: Final = metering_pb2.CallTerms(
    provider="anthropic",
    model="claude-sonnet-5-5",
    price_source="catalogue",
    currency="USD",
    rate_to_cad="1.40",
    rate_date="2026-11-20",
    unit_prices={"input": "2", "output": "10", "cache_read": "0.1", "cache_write_5m": "2.5"},
    input_bound_tokens=12_000,
    output_bound_tokens=4_096,
)


def main() -> None:
    """Print one row per database."""
    chosen = sys.argv[1:] or BACKENDS
    with databases() as found:
        for backend in chosen:
            print(json.dumps(asyncio.run(measure(found, backend))), flush=True)


async def measure(found: TestDatabases, backend: str) -> dict[str, object]:
    """Show that the ledger is exact, then count how many cycles it does."""
    async with hot_project(found, backend, allocated=SCARCE) as project:
        await empty(project)
    rates, cpu = await rounds(found, backend, PERIODS)
    with_one, _ = await rounds(found, backend, ("total",))
    return {
        "name": f"ledger_cycles_{backend}_per_s",
        "unit": "per_s",
        "ours": round(statistics.median(rates)),
        "best": round(max(rates)),
        "with_one_budget": round(statistics.median(with_one)),
        "client_cpu_us": round(statistics.median(cpu)),
        "callers": CALLERS,
        "budgets": len(PERIODS),
        "runs": ROUNDS,
    }


async def rounds(
    found: TestDatabases, backend: str, periods: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Return the cycles per second of each round, and the microseconds of processor per cycle."""
    rates: list[float] = []
    cpu: list[float] = []
    async with hot_project(found, backend, allocated=PLENTY, periods=periods) as project:
        ledger = Ledger(project.services.metering, SystemClock())
        await block(project, ledger, WARM_UP_S)
        for _ in range(ROUNDS):
            begun = time.process_time()
            cycles, elapsed = await block(project, ledger, ROUND_S)
            rates.append(cycles / elapsed)
            cpu.append((time.process_time() - begun) / cycles * 1e6)
        await check(project)
    return rates, cpu


async def block(project: HotProject, ledger: Ledger, seconds: float) -> tuple[int, float]:
    """Let all callers do cycles for so long; return how many, and how long it took."""
    begun = time.perf_counter()
    until = begun + seconds
    counts = await asyncio.gather(*(caller(project, ledger, until) for _ in range(CALLERS)))
    return sum(counts), time.perf_counter() - begun


async def caller(project: HotProject, ledger: Ledger, until: float) -> int:
    """Hold and settle until the time is over or the budget empty; return how often."""
    cycles = 0
    execution_id = str(uuid.uuid4())
    while time.perf_counter() < until:
        request_id = str(uuid.uuid4())
        wanted = reservation(project, request_id, execution_id)
        verdict = await ledger.reserve(wanted, wait_s=0, gone=never)
        if not verdict.admitted:
            return cycles
        settled = await ledger.settle(settlement(request_id))
        if settled is None or settled.reason or settled.overrun:
            raise SystemExit(f"call {request_id} was settled as {settled}")
        cycles += 1
    return cycles


def never() -> bool:
    """Say that the caller is still there."""
    return False


def reservation(
    project: HotProject, request_id: str, execution_id: str
) -> metering_pb2.Reservation:
    """Return what the gateway of a machine asks for a call."""
    return metering_pb2.Reservation(
        id=request_id,
        project_id=project.project_id,
        execution_id=execution_id,
        instance_id=project.instance_id,
        amounts=[
            metering_pb2.ResourceAmount(resource_type="money", amount=HELD),
            metering_pb2.ResourceAmount(resource_type="api_calls", amount="1"),
        ],
        money_floor=HELD,
        terms=TERMS,
        ttl_s=1_320,
    )


def settlement(request_id: str) -> metering_pb2.Settlement:
    """Return how a gateway ends a call."""
    one = metering_pb2.Settlement(
        id=request_id,
        outcome="settled",
        amounts=[
            metering_pb2.ResourceAmount(resource_type="money", amount=SETTLED),
            metering_pb2.ResourceAmount(resource_type="api_calls", amount="1"),
        ],
        native_cost="0.008818",
        upstream_status=200,
        duration_ms=800,
    )
    one.raw_usage.update({"input_tokens": 1_200, "output_tokens": 300})
    return one


async def empty(project: HotProject) -> None:
    """Spend a scarce budget to its end; stop unless every number is the one worked out by hand."""
    ledger = Ledger(project.services.metering, SystemClock())
    # A call is admitted while what is used and held leaves room for it, so that what is left in the
    # end is less than one hold: 402 calls, as 401 of them leave 0.049655 and a hold is 0.05.
    await block(project, ledger, 60)
    used, held = Decimal(0), Decimal(HELD)
    calls = 0
    while used + held <= Decimal(SCARCE):
        used += Decimal(SETTLED)
        calls += 1
    await check(project, used=used, calls=calls)


async def check(
    project: HotProject, *, used: Decimal | None = None, calls: int | None = None
) -> None:
    """Stop unless in every budget used is the sum of the rows, and nothing is held."""
    async with project.database.read() as tx:
        row = (
            await tx.session.execute(
                text("SELECT count(*) FROM resource_usage WHERE resource_type = 'money'")
            )
        ).scalar_one()
    by_rows = Decimal(SETTLED) * row
    if (used is not None and by_rows != used) or (calls is not None and row != calls):
        raise SystemExit(f"{row} calls were settled for {by_rows}, not {calls} for {used}")
    for budget in await project.budgets():
        found = (Decimal(budget.used_amount), Decimal(budget.reserved_amount))
        if found != (by_rows, Decimal(0)):
            raise SystemExit(f"the {budget.budget_period} budget has {found}, not {by_rows} and 0")


if __name__ == "__main__":
    main()

"""Sixty-four callers at once, in any interleaving: never over a budget, used is the sum of rows.

Two ledgers, as in two processes, send their batches against each other. Callers hold, settle,
settle twice, release, leave in the middle of a hold, or die without a word; meanwhile recovery ends
what dead instances left and what has expired, and a reader looks at the budgets over and over.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from ledger_desk import LedgerDesk

from autovibe.db.errors import DatabaseBusyError
from autovibe.gateway import Ledger
from autovibe.v1 import metering_pb2

CALLERS = 64
PERIODS = ("daily", "weekly", "monthly", "total")


@dataclass
class Crowd:
    """What the callers of one run share."""

    desk: LedgerDesk
    dice: random.Random
    tasks: Sequence[str] = ()
    ledgers: Sequence[Ledger] = ()
    instances: list[str] = field(default_factory=lambda: [str(uuid.uuid4()) for _ in range(2)])
    admitted: int = 0
    refused: int = 0

    def amount(self, most: int) -> str:
        return f"{Decimal(self.dice.randint(1, most)).scaleb(-6):f}"


async def _budgets(crowd: Crowd) -> None:
    dice, desk = crowd.dice, crowd.desk
    parent = await desk.task()
    child = await desk.task(parent=parent)
    crowd.tasks = ("", parent, child)
    for period in dice.sample(PERIODS, dice.randint(1, 4)):
        await desk.budget(crowd.amount(6_000_000), period=period)
    if dice.random() < 0.5:
        await desk.budget(str(dice.randint(1, 90)), "api_calls", dice.choice(PERIODS))
    for task in (parent, child):
        if dice.random() < 0.5:
            await desk.budget(crowd.amount(4_000_000), task_id=task)


async def _caller(crowd: Crowd, number: int, calls: int) -> None:
    dice = crowd.dice
    ledger = crowd.ledgers[number % 2]
    for _ in range(calls):
        most = dice.choice([10_000, 200_000, 900_000])
        call = crowd.desk.call(
            crowd.amount(most),
            task_id=dice.choice(crowd.tasks),
            instance_id=crowd.instances[number % 2],
            money_floor="0.000001" if dice.random() < 0.3 else "",
        )
        held = ledger.reserve(call, wait_s=0, gone=lambda: False)
        if dice.random() < 0.1:
            await _leave_at_once(held, dice.randint(0, 5))
            continue
        try:
            verdict = await held
        except DatabaseBusyError:  # two seconds for a lock were not enough: it is not forwarded
            crowd.refused += 1
            continue
        if not verdict.admitted:
            crowd.refused += 1
            continue
        crowd.admitted += 1
        for _ in range(dice.randint(0, 3)):
            await asyncio.sleep(0)
        if dice.random() < 0.1:
            continue  # dies without a word
        settlement = _ending(crowd, call.id, Decimal(verdict.money_held))
        settled = await ledger.settle(settlement)
        assert settled is None or not settled.overrun  # none: it goes on trying
        if settled is not None and dice.random() < 0.1:
            again = await ledger.settle(settlement)
            assert again is None or again.duplicate


def _ending(crowd: Crowd, call_id: str, held: Decimal) -> metering_pb2.Settlement:
    outcome = crowd.dice.choice(["settled", "settled", "settled", "released", "uncertain"])
    settlement = metering_pb2.Settlement(id=call_id, outcome=outcome)
    if outcome == "settled":
        used = Decimal(crowd.dice.randint(0, int(held.scaleb(6)))).scaleb(-6)
        settlement.amounts.add(resource_type="money", amount=f"{used:f}")
        settlement.amounts.add(resource_type="api_calls", amount="1")
    return settlement


async def _leave_at_once(held: Any, rounds: int) -> None:
    task = asyncio.create_task(held)
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})


async def _recovery(crowd: Crowd, ended: asyncio.Event) -> None:
    """End what has expired, and what a dead instance left, while callers go on."""
    while not ended.is_set():
        await asyncio.sleep(0.02)
        if crowd.dice.random() < 0.3:
            crowd.desk.clock.advance(hours=crowd.dice.choice([1, 13]))
        dead = crowd.instances if crowd.dice.random() < 0.1 else []
        with contextlib.suppress(DatabaseBusyError):
            await crowd.desk.metering.recover_reservations(
                metering_pb2.RecoverReservationsRequest(instance_ids=dead)
            )


async def _reader(crowd: Crowd, ended: asyncio.Event) -> int:
    looks = 0
    while not ended.is_set():
        await _never_over(crowd.desk)
        looks += 1
        await asyncio.sleep(0.01)
    return looks


async def _never_over(desk: LedgerDesk) -> None:
    over = await desk.rows(
        "SELECT * FROM resource_budgets WHERE used_amount + reserved_amount > allocated_amount"
    )
    assert not over


async def _used_is_the_sum_of_the_rows(desk: LedgerDesk) -> None:
    scale = Decimal(1_000_000) if desk.db.dialect.name == "sqlite" else Decimal(1)
    usage = await desk.rows(
        "SELECT u.resource_type, u.amount, u.recorded_at, r.task_id, t.parent_task_id"
        " FROM resource_usage u JOIN budget_reservations r ON r.id = u.reservation_id"
        " LEFT JOIN tasks t ON t.id = r.task_id"
    )
    budgets = await desk.rows(
        "SELECT task_id, resource_type, period_start, period_end, used_amount, reserved_amount"
        " FROM resource_budgets"
    )
    assert budgets
    for task_id, resource, start, end, used, reserved in budgets:
        total = sum(
            (
                Decimal(row.amount)
                for row in usage
                if row.resource_type == resource
                and _day(start) <= _day(row.recorded_at) <= _day(end)
                and (task_id is None or task_id in {row.task_id, row.parent_task_id})
            ),
            Decimal(0),
        )
        assert (Decimal(used) / scale, Decimal(reserved)) == (total / scale, 0)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


async def _run(desk: LedgerDesk, seed: int, calls: int) -> None:
    print(f"seed {seed}")
    crowd = Crowd(desk, random.Random(seed))
    crowd.ledgers = [Ledger(desk.metering, desk.clock) for _ in range(2)]
    await _budgets(crowd)
    ended = asyncio.Event()
    reader = asyncio.create_task(_reader(crowd, ended))
    recovery = asyncio.create_task(_recovery(crowd, ended))
    await asyncio.gather(*(_caller(crowd, number, calls) for number in range(CALLERS)))
    ended.set()
    await recovery
    assert await reader > 0
    for ledger in crowd.ledgers:
        await ledger.drain(wait_s=60)
    await desk.metering.recover_reservations(
        metering_pb2.RecoverReservationsRequest(instance_ids=crowd.instances)
    )
    assert crowd.admitted
    await _never_over(desk)
    await _used_is_the_sum_of_the_rows(desk)


async def _setter(crowd: Crowd) -> None:
    """Set budgets that were not there, and lower them, while calls are under way."""
    desk, dice = crowd.desk, crowd.dice
    wanted = [(kind, period, "") for kind in ("money", "api_calls") for period in PERIODS[:3]]
    wanted += [(kind, "total", task) for kind in ("money", "api_calls") for task in crowd.tasks[1:]]
    dice.shuffle(wanted)
    for kind, period, task in wanted:
        for amount in ("1000", crowd.amount(900_000)):
            await desk.budget(amount, kind, period, task_id=task, force=True)
            await asyncio.sleep(dice.random() * 0.01)
        await desk.budget("1000", kind, period, task_id=task)


async def _run_while_budgets_are_set(desk: LedgerDesk, seed: int, callers: int) -> None:
    crowd = Crowd(desk, random.Random(seed))
    crowd.ledgers = [Ledger(desk.metering, desk.clock) for _ in range(2)]
    parent = await desk.task()
    crowd.tasks = ("", parent, await desk.task(parent=parent))
    await desk.budget("1000")
    setter = asyncio.create_task(_setter(crowd))

    async def calls(number: int) -> None:
        while not setter.done():
            await _caller(crowd, number, 1)

    await asyncio.gather(setter, *(calls(number) for number in range(callers)))
    for ledger in crowd.ledgers:
        await ledger.drain(wait_s=60)
    await desk.metering.recover_reservations(
        metering_pb2.RecoverReservationsRequest(instance_ids=crowd.instances)
    )
    assert crowd.admitted
    await _used_is_the_sum_of_the_rows(desk)


async def test_a_budget_that_is_set_while_calls_are_under_way_misses_none(
    desk: LedgerDesk,
) -> None:
    await _run_while_budgets_are_set(desk, seed=1, callers=12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
async def test_budgets_that_are_set_over_many_seeds_miss_no_call(
    desk: LedgerDesk, seed: int
) -> None:
    await _run_while_budgets_are_set(desk, seed=seed, callers=32)


async def test_any_interleaving_of_64_callers_keeps_the_ledger_exact(desk: LedgerDesk) -> None:
    await _run(desk, seed=1, calls=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 26))
async def test_any_interleaving_of_64_callers_over_many_seeds(desk: LedgerDesk, seed: int) -> None:
    await _run(desk, seed=seed, calls=12)

"""A wall clock that jumps, in either direction, loses no hold and counts nothing twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from ledger_desk import LedgerDesk

from autovibe.v1 import metering_pb2

JUMPS = [
    timedelta(seconds=-1),
    timedelta(hours=-3),
    timedelta(days=-40),
    timedelta(hours=13),
    timedelta(days=40),
]


async def totals(desk: LedgerDesk) -> tuple[Decimal, Decimal]:
    """Return used and reserved of the total budget."""
    [budget] = [one for one in await desk.budgets() if one.budget_period == "total"]
    return Decimal(budget.used_amount), Decimal(budget.reserved_amount)


async def test_a_call_settles_after_a_jump_at_what_it_cost(desk: LedgerDesk) -> None:
    await desk.budget("10")
    await desk.budget("10", period="daily")
    spent = Decimal(0)
    for jump in JUMPS:
        held = await desk.hold("2", ttl_s=86_400)
        desk.clock.time += jump
        verdict = await desk.settle(held.id, "0.75")
        spent += Decimal("0.75")
        desk.clock.time -= jump

        assert not verdict.overrun, jump
        assert not verdict.reason, jump
        assert await totals(desk) == (spent, 0), jump
        assert await desk.used_by_rows() == spent, jump


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_calls_after_a_jump_are_held_and_settled_in_the_periods_of_the_new_time(
    sqlite_desk: LedgerDesk, jump: timedelta
) -> None:
    desk = sqlite_desk
    await desk.budget("10")
    await desk.budget("3", period="daily")
    first = await desk.hold("2")
    desk.clock.time += jump

    second = await desk.hold("2.5")
    await desk.settle(first.id, "1")
    if second.admitted:
        await desk.settle(second.id, "2.5")
    else:
        # In the same day, or before the budget's first, its daily budget has no room or no period.
        assert second.reason in {"BUDGET_HELD", "BUDGET_EXHAUSTED", "NO_BUDGET"}

    used, reserved = await totals(desk)
    assert reserved == 0
    assert used == (Decimal("3.5") if second.admitted else 1) == await desk.used_by_rows()


async def test_a_jump_over_the_end_of_a_hold_settles_it_in_full_once(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await desk.budget("10")
    held = await desk.hold("2", ttl_s=60)
    desk.clock.time += timedelta(days=2)

    recovered = await desk.metering.recover_reservations(metering_pb2.RecoverReservationsRequest())
    late = await desk.settle(held.id, "0.5")

    assert (recovered.released, recovered.uncertain) == (0, 1)
    # What the provider billed in the end takes the place of the full hold.
    assert not late.reason
    assert await totals(desk) == (await desk.used_by_rows(), 0)


async def test_a_jump_back_before_everything_still_settles_what_is_under_way(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await desk.budget("10")
    held = [await desk.hold("1") for _ in range(3)]
    desk.clock.time -= timedelta(days=400)

    for call in held:
        await desk.settle(call.id, "0.4")

    assert await totals(desk) == (Decimal("1.2"), 0)
    assert await desk.used_by_rows() == Decimal("1.2")

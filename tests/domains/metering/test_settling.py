"""Ending calls."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from ledger_desk import HandClock, LedgerDesk

from autovibe.kernel.protoconv import struct
from autovibe.v1 import metering_pb2


@pytest.mark.req("S1-42")
async def test_a_settled_call_moves_its_true_cost_from_reserved_to_used(desk: LedgerDesk) -> None:
    await desk.budget("2")
    call = await desk.hold("1.5")

    verdict = await desk.settle(call.id, "0.021001")

    assert verdict == metering_pb2.SettleVerdict(id=call.id)
    assert await desk.amounts() == [("2.00", "0.021001", "0.00")]


@pytest.mark.req("S0-77", "S0-78", "S1-35", "S1-36")
async def test_the_usage_row_holds_all_that_is_needed_to_price_the_call_again(
    desk: LedgerDesk,
) -> None:
    await desk.budget("2")
    task = await desk.task()
    execution = str(uuid.uuid4())
    terms = metering_pb2.CallTerms(
        provider="anthropic",
        model="claude-opus-5-5",
        price_source="genai-prices 0.2.3",
        currency="USD",
        rate_to_cad="1.40",
        rate_date="2026-11-20",
        unit_prices={"input": "4", "output": "20"},
    )
    call = await desk.hold("1", terms=terms, task_id=task, execution_id=execution)
    desk.clock.advance(minutes=5)
    usage = {"input_tokens": 1200, "output_tokens": 800}

    await desk.settle(call.id, "0.029120", native_cost="0.0208", raw_usage=struct(usage))

    rows = await desk.rows(
        "SELECT resource_type, unit, resource_subtype, metadata, billing_period_start, "
        "recorded_at FROM resource_usage ORDER BY resource_type DESC"
    )
    money, calls = rows
    assert money[:3] == ("money", "CAD", "anthropic_api")
    assert calls[:3] == ("api_calls", "calls", "anthropic_api")
    metadata = money.metadata if isinstance(money.metadata, dict) else json.loads(money.metadata)
    assert metadata["terms"]["unit_prices"] == {"input": "4", "output": "20"}
    assert metadata["terms"]["rate_to_cad"] == "1.40"
    assert metadata["native_cost"] == "0.0208"
    assert metadata["raw_usage"] == usage
    assert str(money.billing_period_start) == "2026-11-01"
    assert str(money.recorded_at).startswith("2026-11-23 12:00:00")

    report = await desk.usage(task_id=task)
    assert (report.cost_cad, report.api_calls, report.uncertain_calls) == ("0.02912", 1, 0)
    assert {line.model for line in report.lines} == {"claude-opus-5-5"}
    assert report == await desk.usage(execution_id=execution)
    assert not (await desk.usage(task_id=str(uuid.uuid4()))).lines


@pytest.mark.req("S1-42")
async def test_a_released_call_costs_nothing(desk: LedgerDesk) -> None:
    await desk.budget("2")
    await desk.budget("9", "api_calls")
    call = await desk.hold("1.5")

    await desk.settle(call.id, outcome="released")

    assert sorted(await desk.amounts()) == [("2.00", "0.00", "0.00"), ("9.00", "0.00", "0.00")]
    assert not (await desk.usage()).lines


async def test_an_uncertain_call_is_settled_at_its_full_hold(desk: LedgerDesk) -> None:
    await desk.budget("2")
    call = await desk.hold("1.5")

    await desk.settle(call.id, outcome="uncertain")

    assert await desk.amounts() == [("2.00", "1.50", "0.00")]
    report = await desk.usage()
    assert (report.cost_cad, report.uncertain_calls) == ("1.50", 1)


async def test_a_cost_above_the_hold_is_recorded_and_blocks_what_follows(desk: LedgerDesk) -> None:
    await desk.budget("1")
    call = await desk.hold("0.5")

    verdict = await desk.settle(call.id, "1.25")

    assert verdict.overrun
    assert await desk.amounts() == [("1.00", "1.25", "0.00")]
    assert (await desk.hold("0.000001")).reason == "BUDGET_EXHAUSTED"
    [row] = await desk.rows("SELECT metadata FROM resource_usage WHERE resource_type = 'money'")
    metadata = row.metadata if isinstance(row.metadata, dict) else json.loads(row.metadata)
    assert metadata["over_budget"] is True


async def test_a_settlement_made_twice_counts_once(desk: LedgerDesk) -> None:
    await desk.budget("1")
    call = await desk.hold("0.5")

    await desk.settle(call.id, "0.75")
    again = await desk.settle(call.id, "0.75")
    other = await desk.settle(call.id, outcome="released")

    assert again.duplicate
    assert again.overrun
    assert other.duplicate
    assert await desk.amounts() == [("1.00", "0.75", "0.00")]
    assert (await desk.usage()).api_calls == 1


async def test_the_same_call_twice_in_one_batch_is_settled_once(desk: LedgerDesk) -> None:
    await desk.budget("1")
    call = await desk.hold("0.5")
    settlement = metering_pb2.Settlement(id=call.id, outcome="uncertain")

    answer = await desk.metering.settle_many(
        metering_pb2.SettleManyRequest(settlements=[settlement, settlement])
    )

    assert [one.duplicate for one in answer.verdicts] == [False, True]
    assert await desk.amounts() == [("1.00", "0.50", "0.00")]


async def test_a_call_that_was_never_admitted_cannot_be_settled(desk: LedgerDesk) -> None:
    verdict = await desk.settle(str(uuid.uuid4()), "0.1")

    assert verdict.reason == "RESERVATION_NOT_FOUND"


async def test_a_call_settles_where_it_was_held_even_after_midnight(desk: LedgerDesk) -> None:
    desk.clock.time = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    await desk.budget("1", period="daily")
    await desk.budget("1", period="monthly")
    call = await desk.hold("0.5")
    desk.clock.advance(seconds=2)
    assert (await desk.hold("0.9")).admitted

    await desk.settle(call.id, "0.4")

    rows = await desk.rows(
        "SELECT budget_period, period_start, used_amount, reserved_amount FROM resource_budgets "
        "WHERE used_amount > 0 ORDER BY budget_period"
    )
    assert [(row[0], str(row[1])) for row in rows] == [
        ("daily", "2026-11-30"),
        ("monthly", "2026-11-01"),
    ]
    [recorded] = await desk.rows(
        "SELECT recorded_at FROM resource_usage WHERE resource_type = 'money'"
    )
    assert str(recorded.recorded_at).startswith("2026-11-30 23:59:59")
    assert {one[1:] for one in await desk.amounts()} == {("0.00", "0.90")}


async def test_calls_of_a_dead_instance_are_settled_at_the_hold_and_said_to_be_uncertain(
    desk: LedgerDesk,
) -> None:
    await desk.budget("5")
    dead = str(uuid.uuid4())
    await desk.hold("1", instance_id=dead)
    never_sent = await desk.hold("2", instance_id=dead)
    async with desk.db.write() as tx:
        connection = await tx.session.connection()
        await connection.exec_driver_sql(
            "UPDATE budget_reservations SET state = 'reserved' WHERE id = "
            f"'{_stored(desk, never_sent.id)}'"
        )
    mine = await desk.hold("0.25")

    request = metering_pb2.RecoverReservationsRequest(instance_ids=[dead])
    first = await desk.metering.recover_reservations(request)
    again = await desk.metering.recover_reservations(request)

    assert (first.released, first.uncertain) == (1, 1)
    assert (again.released, again.uncertain) == (0, 0)
    assert await desk.amounts() == [("5.00", "1.00", "0.25")]
    assert (await desk.usage()).uncertain_calls == 1
    await desk.settle(mine.id, "0.1")


async def test_an_expired_hold_is_settled_in_full_whoever_made_it(desk: LedgerDesk) -> None:
    await desk.budget("5")
    await desk.hold("1", ttl_s=60)
    await desk.hold("2", ttl_s=600)
    desk.clock.advance(seconds=61)

    answer = await desk.metering.recover_reservations(metering_pb2.RecoverReservationsRequest())

    assert (answer.released, answer.uncertain) == (0, 1)
    assert await desk.amounts() == [("5.00", "1.00", "2.00")]


async def test_a_call_of_a_project_without_a_budget_of_calls_still_counts_as_a_call(
    desk: LedgerDesk,
) -> None:
    await desk.budget("5")
    call = await desk.hold("1")
    await desk.settle(call.id, "0.5")

    report = await desk.usage(project="website")

    assert report.api_calls == 1
    assert report.rate.currency == "USD"
    assert isinstance(desk.clock, HandClock)


def _stored(desk: LedgerDesk, call_id: str) -> str:
    value = uuid.UUID(call_id)
    return value.hex if desk.db.dialect.name == "sqlite" else str(value)

"""Sampling by a clock that is moved by hand, a machine of numbers, and a ledger that can fail."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_desk import HandClock

from autovibe.domains.machines.driver import Exit, Machine, Usage
from autovibe.domains.metering.gateway import OpenGateway
from autovibe.kernel.errors import UnavailableError
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.runtime.sampling import SAMPLE_S, Meter, Reading, Sampled, UsageSampler
from autovibe.v1 import metering_pb2, services

MICRO = Fraction(1, 1_000_000)
EXECUTION = str(uuid.uuid4())
PROJECT = str(uuid.uuid4())


@dataclass
class Numbers:
    """A machine that has used what it is told to have used."""

    usage_now: Usage = field(default_factory=lambda: Usage(0.0, 0, 1))
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def usage(self) -> Usage:
        return self.usage_now

    async def wait(self) -> Exit:
        await self.ended.wait()
        return Exit(0)


@dataclass
class Ledger:
    """Keeps samples by id. `failures` says of the next records whether they arrive all the same."""

    rows: dict[str, metering_pb2.UsageSample] = field(default_factory=dict)
    levels: list[metering_pb2.BudgetLevel] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    records: int = 0

    async def record_usage_many(
        self, request: metering_pb2.RecordUsageManyRequest
    ) -> metering_pb2.RecordUsageManyResponse:
        self.records += 1
        failure = self.failures.pop(0) if self.failures else ""
        if failure != "lost":
            for sample in request.samples:
                known = self.rows.setdefault(sample.id, sample)
                assert known == sample
        if failure:
            raise UnavailableError("the database is away")
        return metering_pb2.RecordUsageManyResponse(recorded=len(request.samples))

    async def get_budget_levels(
        self, request: metering_pb2.GetBudgetLevelsRequest
    ) -> metering_pb2.GetBudgetLevelsResponse:
        assert request.execution_id == EXECUTION
        return metering_pb2.GetBudgetLevelsResponse(levels=self.levels)

    def total(self, kind: str) -> Decimal:
        amounts = [Decimal(one.amount) for one in self.rows.values() if one.resource_type == kind]
        return sum(amounts, Decimal(0))


@dataclass
class Lines:
    """A log that keeps its lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def write(self, kind: str, message: str, /, **_: Any) -> None:
        self.lines.append((kind, message))


@dataclass
class Gateway:
    network_bytes: int = 0
    network_cap_reached: asyncio.Event = field(default_factory=asyncio.Event)
    cap_bytes: int | None = None

    def cap_network(self, size_bytes: int | None) -> None:
        self.cap_bytes = size_bytes

    async def close(self) -> None:
        """Do nothing: it serves nobody."""


@dataclass
class Desk:
    """A sampler and all that it talks to."""

    clock: HandClock = field(default_factory=HandClock)
    machine: Numbers = field(default_factory=Numbers)
    ledger: Ledger = field(default_factory=Ledger)
    log: Lines = field(default_factory=Lines)
    gateway: Gateway = field(default_factory=Gateway)

    def sampler(self) -> UsageSampler:
        return UsageSampler(
            cast("services.MeteringService", self.ledger),
            cast("Machine", self.machine),
            cast("ExecutionLog", self.log),
            self.clock,
            Sampled(PROJECT, str(uuid.uuid4()), EXECUTION, cpus=2.0),
        )

    def budget(self, kind: str, allocated: str, used: str) -> None:
        left = Decimal(allocated) - Decimal(used)
        self.ledger.levels = [
            metering_pb2.BudgetLevel(
                budget=metering_pb2.Budget(
                    id="b", resource_type=kind, allocated_amount=allocated, used_amount=used
                ),
                low=left * 5 <= Decimal(allocated),
                exhausted=left <= 0,
                message=f"{kind}: {used} of {allocated}",
            )
        ]


STEPS = st.lists(
    st.tuples(
        st.floats(0.001, 100_000),  # seconds until then
        st.floats(0, 50_000),  # processor seconds meanwhile
        st.integers(0, 2**40),  # bytes of memory then
        st.integers(0, 2**36),  # bytes through the gateway meanwhile
        st.booleans(),  # whether what was read is taken
    ),
    min_size=1,
    max_size=30,
)


@given(STEPS)
def test_what_is_taken_adds_up_to_the_integral_to_six_decimals(steps: Any) -> None:
    at, cpu, network, memory = 1000.0, 0.0, 0, 0
    meter = Meter(Reading(at))
    taken: dict[str, Decimal] = {}
    held = Fraction(0)

    def take(*, last: bool) -> None:
        for kind, amount in meter.take(last=last).items():
            assert amount > 0
            assert amount == round(amount, 6)
            taken[kind] = taken.get(kind, Decimal(0)) + amount

    def exact() -> dict[str, Fraction]:
        return {
            "time": (Fraction(at) - 1000) / 60,
            "cpu": Fraction(cpu),
            "memory": held / 10**9 / 3600,
            "network": Fraction(network, 10**9),
        }

    for seconds, busy, bytes_now, passed, now in steps:
        before, old = at, memory
        at, cpu, network, memory = at + seconds, cpu + busy, network + passed, bytes_now
        held += (Fraction(at) - Fraction(before)) * Fraction(old + memory, 2)
        meter.read(Reading(at, cpu, memory, network))
        if now:
            take(last=False)
            for kind, total in exact().items():
                assert 0 <= total - Fraction(taken.get(kind, Decimal(0))) < MICRO
    take(last=True)
    for kind, total in exact().items():
        assert abs(total - Fraction(taken.get(kind, Decimal(0)))) <= MICRO / 2


async def test_a_machine_is_recorded_from_its_start_to_its_end() -> None:
    desk = Desk()
    sampler = desk.sampler()
    sampler.begin(desk.gateway)
    desk.clock.advance(seconds=6)
    desk.machine.usage_now = Usage(4.5, 3_000_000_000, 2, memory_bytes=3_000_000_000)
    await sampler.read()
    assert await sampler.record()
    desk.clock.advance(seconds=6)
    desk.machine.usage_now = Usage(9.25, 3_000_000_000, 0, memory_bytes=0)
    desk.gateway.network_bytes = 2_500_000
    await sampler.read(ended=True)
    desk.machine.ended.set()
    # What passes the gateway while it settles its last calls counts, too; the time does not.
    desk.gateway.network_bytes = 3_000_000
    await sampler.finish()
    assert desk.ledger.total("time") == Decimal("0.2")
    assert desk.ledger.total("cpu") == Decimal("9.25")
    # From nothing to 3 GB in a straight line, and what it held last until its end.
    assert desk.ledger.total("memory") == Decimal("0.0025") + Decimal("0.005")
    assert desk.ledger.total("network") == Decimal("0.003")
    assert {one.resource_subtype for one in desk.ledger.rows.values()} == {
        "vm_runtime", "vm_cpu", "vm_memory", "vm_network",
    }  # fmt: skip
    assert desk.log.lines == []


@pytest.mark.parametrize("failure", ["lost", "arrived"])
async def test_a_record_that_failed_is_sent_again_as_it_was(failure: str) -> None:
    desk = Desk()
    sampler = desk.sampler()
    desk.ledger.failures = [failure, failure]
    for _ in range(4):
        desk.clock.advance(seconds=SAMPLE_S)
        desk.machine.usage_now = Usage(desk.machine.usage_now.cpu_s + 1.5, 0, 1)
        await sampler.read()
        await sampler.record()
    assert desk.ledger.total("cpu") == 6
    assert abs(desk.ledger.total("time") - Decimal(40) / 60) < Decimal("0.000001")
    assert [kind for kind, _ in desk.log.lines] == ["notice"]
    assert "tried again" in desk.log.lines[0][1]


async def test_what_cannot_be_recorded_at_the_end_is_said() -> None:
    desk = Desk()
    sampler = desk.sampler()
    desk.clock.advance(seconds=30)
    await sampler.read(ended=True)
    desk.ledger.failures = ["lost"] * 10
    await sampler.finish()
    assert desk.ledger.rows == {}
    assert desk.log.lines[-1][1].endswith("budgets do not count it: 0.500000 of time")


async def test_a_budget_that_is_used_up_stops_and_one_that_nearly_is_warns_once() -> None:
    desk = Desk()
    sampler = desk.sampler()
    desk.budget("network", "10", "7.9")
    await sampler.record()
    assert desk.log.lines == []
    desk.budget("network", "10", "8")
    await sampler.record()
    desk.budget("network", "10", "9")
    await sampler.record()
    assert desk.log.lines == [("notice", "network: 8 of 10")]
    assert not sampler.exhausted.is_set()
    desk.budget("network", "10", "10")
    await sampler.record()
    assert sampler.exhausted.is_set()
    assert sampler.exhaustion == "network: 10 of 10"


@pytest.mark.parametrize(
    ("kind", "allocated", "used", "seconds"),
    [
        ("time", "1", "0.95", 3.0),
        ("cpu", "100", "94", 3.0),
        ("time", "1", "0.9999", 1.0),
        ("time", "100", "1", SAMPLE_S),
        ("memory", "1", "0.9", SAMPLE_S),
    ],
)
async def test_the_next_sample_comes_when_a_budget_may_run_out(
    kind: str, allocated: str, used: str, seconds: float
) -> None:
    desk = Desk()
    sampler = desk.sampler()
    desk.budget(kind, allocated, used)
    await sampler.record()
    assert sampler.due_s - desk.clock.monotonic() == pytest.approx(seconds)


async def test_the_sampler_notices_by_itself_that_the_machine_has_ended() -> None:
    desk = Desk()
    sampler = desk.sampler()
    sampler.begin(desk.gateway)
    while not desk.ledger.records:
        desk.clock.advance(seconds=1)
        await asyncio.sleep(0)
    desk.machine.usage_now = Usage(3.0, 0, 0)
    desk.machine.ended.set()
    await sampler.finish()
    assert desk.ledger.total("cpu") == 3


async def test_the_network_is_capped_at_what_is_left_of_its_budget():
    desk = Desk()
    sampler = desk.sampler()
    sampler.begin(cast("OpenGateway", desk.gateway))
    desk.gateway.network_bytes = 2_500_700
    desk.budget("network", "0.01", "0.0025")
    desk.clock.advance(seconds=10)
    await sampler.read()
    await sampler.record()
    # 2,500,000 are recorded, and 7,500,000 are left.
    assert desk.gateway.cap_bytes == 10_000_000
    desk.ledger.levels = []
    await sampler.record()
    assert desk.gateway.cap_bytes is None
    desk.machine.ended.set()
    await sampler.finish()


async def test_at_the_cap_the_budgets_are_looked_at_at_once_and_the_machine_stops():
    desk = Desk()
    desk.budget("network", "0.01", "0.0025")
    sampler = desk.sampler()
    sampler.begin(cast("OpenGateway", desk.gateway))
    async with asyncio.timeout(20):
        while desk.gateway.cap_bytes is None:  # noqa: ASYNC110 - set by a call
            await asyncio.sleep(0.001)
    records = desk.ledger.records
    desk.gateway.network_bytes = 7_500_000
    desk.budget("network", "0.01", "0.01")
    desk.gateway.network_cap_reached.set()
    async with asyncio.timeout(20):
        await sampler.exhausted.wait()
    assert desk.ledger.records == records + 1
    assert desk.ledger.total("network") == Decimal("0.0075")
    desk.machine.ended.set()
    await sampler.finish()


async def test_money_that_is_used_up_warns_but_does_not_stop_the_machine():
    desk = Desk()
    desk.budget("money", "1", "1")
    sampler = desk.sampler()
    await sampler.record()
    assert not sampler.exhausted.is_set()
    assert [kind for kind, _ in desk.log.lines] == ["notice"]

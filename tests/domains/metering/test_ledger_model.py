"""Any interleaving of ledger operations against a model in plain Python, on both databases."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from ledger_desk import NOON, HandClock, LedgerDesk, open_desk

from autovibe.db import open_database
from autovibe.domains.metering.periods import period_bounds
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import metering_pb2, projects_pb2

T = TypeVar("T")
Key = tuple[str, str, str]  # scope, resource, period

TTL = timedelta(hours=10)
AMOUNTS = st.decimals("0.000001", "3", places=6).map(lambda value: f"{value:f}")
SCOPES = st.sampled_from(["project", "parent", "child"])
MATCHING = {"project": {"project"}, "parent": {"project", "parent"}}
MATCHING["child"] = MATCHING["parent"] | {"child"}


@dataclass
class Row:
    """A budget of one period."""

    allocated: Decimal
    used: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)


@dataclass
class Call:
    """A call that was admitted."""

    scope: str
    at: datetime
    instance: int
    money: Decimal
    open: bool = True
    used: Decimal = Decimal(0)

    @property
    def day(self) -> date:
        return self.at.date()

    def left_over(self, instance: int, now: datetime) -> bool:
        """Whether recovery ends it: its instance is dead, or its hold has expired."""
        return self.open and (self.instance == instance or now >= self.at + TTL)


@dataclass
class Model:
    """What the ledger should hold."""

    rows: dict[tuple[Key, date], Row] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)

    def current(self, key: Key, day: date) -> Row | None:
        return self.rows.get((key, period_bounds(key[2], day)[0]))

    def matching(self, scope: str, day: date) -> list[tuple[Key, Row]]:
        """Open the periods of a day, and return what a call of a scope must fit."""
        for key in {key for key, _ in self.rows}:
            start = period_bounds(key[2], day)[0]
            if key[0] in MATCHING[scope] and (key, start) not in self.rows:
                last = max(begun for other, begun in self.rows if other == key)
                self.rows[key, start] = Row(self.rows[key, last].allocated)
        return [
            (key, row)
            for (key, start), row in self.rows.items()
            if key[0] in MATCHING[scope] and start == period_bounds(key[2], day)[0]
        ]

    def affected(self, call: Call) -> list[tuple[str, Row]]:
        return [
            (key[1], row)
            for (key, start), row in self.rows.items()
            if key[0] in MATCHING[call.scope] and start == period_bounds(key[2], call.day)[0]
        ]

    def end(self, call: Call, used: Decimal | None) -> None:
        """End a call; `None` means at its full hold."""
        money = call.money if used is None else used
        for resource, row in self.affected(call):
            row.reserved -= call.money if resource == "money" else 1
            row.used += money if resource == "money" else 1
        call.open, call.used = False, money

    def release(self, call: Call) -> None:
        for resource, row in self.affected(call):
            row.reserved -= call.money if resource == "money" else 1
        call.open, call.money = False, Decimal(-1)

    def totals(self, key: Key, day: date) -> Row:
        """Return what a budget that is new on a day must start with."""
        bounds = period_bounds(key[2], day)
        row = Row(Decimal(0))
        for call in self.calls.values():
            if key[0] not in MATCHING[call.scope] or not bounds[0] <= call.day <= bounds[1]:
                continue
            money = key[1] == "money"
            if call.open:
                row.reserved += call.money if money else 1
            elif call.money >= 0:
                row.used += call.used if money else 1
        return row


class LedgerMachine(RuleBasedStateMachine):
    """Drives the real ledger and the model side by side."""

    desk: LedgerDesk
    runner: asyncio.Runner
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.instances = [str(uuid.uuid4()) for _ in range(2)]
        self.tasks = {"project": ""}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def today(self) -> date:
        return self.desk.clock.now().date()

    @initialize()
    def start(self) -> None:
        async def prepare() -> None:
            project = await self.desk.services.projects.create_project(
                projects_pb2.CreateProjectRequest(name=f"model-{uuid.uuid4()}")
            )
            self.desk.project_id = project.id
            self.tasks["parent"] = await self.desk.task()
            self.tasks["child"] = await self.desk.task(parent=self.tasks["parent"])

        self.run(prepare())

    @rule(
        scope=SCOPES,
        resource=st.sampled_from(["money", "money", "api_calls"]),
        period=st.sampled_from(["daily", "weekly", "monthly", "total"]),
        amount=AMOUNTS,
        force=st.booleans(),
    )
    def set_budget(
        self, scope: str, resource: str, period: str, amount: str, *, force: bool
    ) -> None:
        period = period if scope == "project" else "total"
        key = (scope, resource, period)
        row = self.model.current(key, self.today)
        known = row or self.model.totals(key, self.today)
        allowed = force or Decimal(amount) >= known.used + known.reserved
        reason = ""
        try:
            self.run(
                self.desk.budget(amount, resource, period, task_id=self.tasks[scope], force=force)
            )
        except AutovibeError as error:
            reason = error.reason
        assert reason == ("" if allowed else "BUDGET_BELOW_USE")
        if allowed:
            known.allocated = Decimal(amount)
            self.model.rows[key, period_bounds(period, self.today)[0]] = known

    @rule(
        target=calls,
        scope=SCOPES,
        amount=AMOUNTS,
        floor=st.one_of(st.none(), AMOUNTS),
        instance=st.integers(0, 1),
    )
    def reserve(self, scope: str, amount: str, floor: str | None, instance: int) -> Any:
        rows = self.model.matching(scope, self.today)
        money = [row for key, row in rows if key[1] == "money"]
        others = [row for key, row in rows if key[1] != "money"]
        left = min((r.allocated - r.used - r.reserved for r in money), default=None)
        wanted = Decimal(amount)
        if left is not None and left < wanted and floor and left >= Decimal(floor):
            wanted = left
        fits = left is not None and left >= wanted
        fits = fits and all(r.allocated - r.used - r.reserved >= 1 for r in others)
        call = self.desk.call(
            amount,
            money_floor=floor or "",
            task_id=self.tasks[scope],
            instance_id=self.instances[instance],
            ttl_s=int(TTL.total_seconds()),
        )
        first, again = self.run(self.desk.reserve(call, call))
        assert first.admitted == fits, first.message
        assert first == again
        if not fits:
            assert (first.reason == "NO_BUDGET") == (left is None)
            return multiple()
        assert Decimal(first.money_held) == wanted
        for row in money:
            row.reserved += wanted
            assert row.used + row.reserved <= row.allocated
        for row in others:
            row.reserved += 1
            assert row.used + row.reserved <= row.allocated
        self.model.calls[call.id] = Call(scope, self.desk.clock.now(), instance, wanted)
        return call.id

    @rule(call_id=calls, amount=AMOUNTS)
    def settle(self, call_id: str, amount: str) -> None:
        call = self.model.calls[call_id]
        verdict = self.run(self.desk.settle(call_id, amount))
        assert verdict.duplicate == (not call.open)
        if call.open:
            assert verdict.overrun == (Decimal(amount) > call.money)
            self.model.end(call, Decimal(amount))

    @rule(call_id=consumes(calls), uncertain=st.booleans())
    def end_otherwise(self, call_id: str, *, uncertain: bool) -> None:
        call = self.model.calls[call_id]
        outcome = "uncertain" if uncertain else "released"
        assert self.run(self.desk.settle(call_id, outcome=outcome)).duplicate == (not call.open)
        if call.open and uncertain:
            self.model.end(call, None)
        elif call.open:
            self.model.release(call)

    @rule(instance=st.integers(0, 1))
    def crash(self, instance: int) -> None:
        now = self.desk.clock.now()
        left = [c for c in self.model.calls.values() if c.left_over(instance, now)]
        request = metering_pb2.RecoverReservationsRequest(instance_ids=[self.instances[instance]])
        answer = self.run(self.desk.metering.recover_reservations(request))
        assert (answer.released, answer.uncertain) == (0, len(left))
        for call in left:
            self.model.end(call, None)

    @rule(hours=st.sampled_from([1, 13, 24, 24 * 8]))
    def wait(self, hours: int) -> None:
        self.desk.clock.advance(hours=hours)

    @invariant()
    def ledger_and_model_agree(self) -> None:
        if not self.desk.project_id:
            return
        stored = self.run(
            self.desk.rows(
                "SELECT task_id, resource_type, budget_period, period_start, allocated_amount, "
                "used_amount, reserved_amount FROM resource_budgets WHERE project_id = :project",
                project=self.stored_id(self.desk.project_id),
            )
        )
        names = {self.stored_id(task) if task else None: n for n, task in self.tasks.items()}
        scale = Decimal(1_000_000) if self.desk.db.dialect.name == "sqlite" else Decimal(1)
        found = {
            ((names[row[0]], row[1], row[2]), date.fromisoformat(str(row[3]))): tuple(
                Decimal(amount) / scale for amount in row[4:]
            )
            for row in stored
        }
        expected = {
            key: (row.allocated, row.used, row.reserved) for key, row in self.model.rows.items()
        }
        assert found == expected
        spent = sum((c.used for c in self.model.calls.values() if not c.open), Decimal(0))
        assert self.run(self.desk.used_by_rows()) == spent

    def teardown(self) -> None:
        """Leave no open call to the next example, where it would expire."""
        request = metering_pb2.RecoverReservationsRequest(instance_ids=self.instances)
        self.run(self.desk.metering.recover_reservations(request))

    def stored_id(self, value: str) -> Any:
        parsed = uuid.UUID(value)
        return parsed.hex if self.desk.db.dialect.name == "sqlite" else parsed


def test_every_interleaving_keeps_the_ledger_exact(database_url: str) -> None:
    _drive(database_url, examples=5, steps=25)


@pytest.mark.long
def test_every_interleaving_keeps_the_ledger_exact_over_many_seeds(database_url: str) -> None:
    _drive(database_url, examples=120, steps=40)


def _drive(database_url: str, *, examples: int, steps: int) -> None:
    with asyncio.Runner() as runner:
        database = open_database(database_url)
        desk = runner.run(open_desk(database, HandClock()))

        class Machine(LedgerMachine):
            def __init__(self) -> None:
                super().__init__()
                self.desk, self.runner = desk, runner
                desk.project_id, desk.clock.time = "", NOON

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())

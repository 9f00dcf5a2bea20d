"""What a machine uses of time, processors, memory and network: read, added up, recorded.

Readings are differences of what driver and gateway count, so that none is lost between two of them;
what is below six decimals waits for the next sample. Samples carry ids made of their execution and
number: after a failure whose outcome is not known they are sent again and count once. A control
plane that is killed loses what its machines used since their last sample, ten seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Self

from google.protobuf import struct_pb2

from autovibe.domains.machines.driver import Exit, Machine, Usage
from autovibe.domains.metering.gateway import OpenGateway
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import struct, timestamp
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import metering_pb2, services, work_pb2

_logger = logging.getLogger(__name__)

SAMPLE_S: Final = 10.0
"""How often usage is recorded; sooner where a budget may run out before."""
READ_S: Final = 2.0
"""How often memory is looked at between two samples."""
_SHORTEST_S: Final = 1.0
_LAST_TRIES: Final = 3
_RETRY_S: Final = 0.5
_MICRO: Final = 1_000_000
_GB: Final = 10**9
_HOUR_S: Final = 3_600
_MINUTE_S: Final = 60
_STOPPING: Final = frozenset({"time", "cpu", "memory", "storage", "network"})
_SUBTYPES: Final = {
    "time": "vm_runtime",
    "cpu": "vm_cpu",
    "memory": "vm_memory",
    "network": "vm_network",
}


@dataclass(frozen=True)
class Reading:
    """What was counted at one moment; `memory_bytes` is what is held then, all else only grows."""

    at_s: float
    cpu_s: float = 0.0
    memory_bytes: int = 0
    network_bytes: int = 0


class Meter:
    """Adds readings up exactly and gives them out in millionths, none of them twice or never."""

    def __init__(self, first: Reading) -> None:
        """Begin with a reading; only what follows it counts."""
        self._first = self.last = first
        self._byte_seconds = Fraction(0)
        self._taken = dict.fromkeys(_SUBTYPES, 0)

    def read(self, reading: Reading) -> None:
        """Add what lies between the last reading and this one, memory as a straight line."""
        width = Fraction(reading.at_s) - Fraction(self.last.at_s)
        held = Fraction(self.last.memory_bytes + reading.memory_bytes, 2)
        self._byte_seconds += width * held
        self.last = reading

    def take(self, *, last: bool = False) -> dict[str, Decimal]:
        """Return what was not taken yet, by resource, in the units of budgets.

        Args:
            last: round to the nearest millionth instead of leaving the rest for later.
        """
        amounts: dict[str, Decimal] = {}
        for kind, total in self._totals().items():
            due = int(total * _MICRO + (Fraction(1, 2) if last else 0)) - self._taken[kind]
            if due > 0:
                self._taken[kind] += due
                amounts[kind] = Decimal(due).scaleb(-6)
        return amounts

    @property
    def network_taken_bytes(self) -> int:
        """The bytes of the network that were given out so far; a millionth of a GB is 1,000."""
        return self._first.network_bytes + self._taken["network"] * (_GB // _MICRO)

    def _totals(self) -> dict[str, Fraction]:
        first, last = self._first, self.last
        return {
            "time": (Fraction(last.at_s) - Fraction(first.at_s)) / _MINUTE_S,
            "cpu": Fraction(last.cpu_s) - Fraction(first.cpu_s),
            "memory": self._byte_seconds / (_GB * _HOUR_S),
            "network": Fraction(last.network_bytes - first.network_bytes, _GB),
        }


@dataclass(frozen=True)
class Sampled:
    """Whose usage it is, and how many processors it can use at most."""

    project_id: str
    machine_id: str
    execution_id: str
    cpus: float | None = None

    @classmethod
    def of(cls, order: work_pb2.ClaimedOrder, machine_id: str, cpus: float | None) -> Self:
        """Return whose usage the machine of an order is."""
        return cls(order.task.project_id, machine_id, order.execution.id, cpus)


class UsageSampler:
    """Records what one machine uses until it has ended, and watches the budgets that cover it.

    `exhausted` is set when one of them is used up, and `exhaustion` says which: the machine is then
    to be stopped. `due_s` is when, by the monotonic clock, the next sample is recorded.
    """

    def __init__(
        self,
        metering: services.MeteringService,
        machine: Machine,
        log: ExecutionLog,
        clock: Clock,
        whose: Sampled,
    ) -> None:
        """Count from now on; the bytes of the gateway from `begin()` on."""
        self._gateway: OpenGateway | None = None
        self.exhausted = asyncio.Event()
        self.exhaustion = ""
        self._metering = metering
        self._machine = machine
        self._log = log
        self._clock = clock
        self._whose = whose
        self._meter = Meter(Reading(clock.monotonic()))
        self._pending: list[metering_pb2.UsageSample] = []
        self._number = 0
        self._failing = False
        self._warned: set[tuple[str, ...]] = set()
        self.due_s = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    def begin(self, gateway: OpenGateway) -> None:
        """Read and record in the background until the machine has ended."""
        self._gateway = gateway
        self._task = asyncio.create_task(self._run(), name="usage-sampler")

    async def finish(self) -> None:
        """Record the rest, once machine and gateway have ended; what cannot be recorded is said."""
        if self._task is not None:
            task, self._task = self._task, None
            if not task.done():
                # The machine has stopped: it is only about to notice.
                await asyncio.wait({task}, timeout=READ_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        last = self._meter.last
        self._meter.read(Reading(last.at_s, last.cpu_s, last.memory_bytes, self._network()))
        for attempt in range(_LAST_TRIES):
            if await self.record(last=True):
                return
            if attempt + 1 < _LAST_TRIES:
                await asyncio.sleep(_RETRY_S * 2**attempt)
        self._log.write(
            "notice",
            "What the machine used last could not be recorded; budgets do not count it: "
            + ", ".join(f"{one.amount} of {one.resource_type}" for one in self._pending),
            level="ERROR",
        )

    async def read(self, *, ended: bool = False) -> None:
        """Read the counters once.

        Args:
            ended: the machine is gone; it held until now what it held last.
        """
        usage = await self._machine.usage()
        self._meter.read(
            Reading(
                self._clock.monotonic(),
                usage.cpu_s,
                self._meter.last.memory_bytes if ended else usage.memory_bytes,
                self._network(),
            )
        )

    async def record(self, *, last: bool = False) -> bool:
        """Record what was read since the last sample, and look at the budgets.

        Returns:
            Whether all that was read is in the database.
        """
        self.due_s = self._clock.monotonic() + SAMPLE_S
        self._pending += self._samples(last=last)
        if self._pending:
            request = metering_pb2.RecordUsageManyRequest(samples=self._pending)
            try:
                await self._metering.record_usage_many(request)
            except AutovibeError as error:
                self._tell_failing(error)
                return False
            self._pending = []
            self._failing = False
        await self._look_at_budgets(last=last)
        return True

    async def _run(self) -> None:
        ended = asyncio.ensure_future(self._machine.wait())
        try:
            while True:
                await self._pause(ended)
                # Asked once: it may end while it is read, and is then read once more.
                over = ended.done()
                try:
                    await self._sample(over=over)
                except Exception:
                    # One reading that fails must not leave the machine unmetered for ever.
                    _logger.exception("sampling machine %s", self._whose.machine_id)
                    self.due_s = self._clock.monotonic() + SAMPLE_S
                if over:
                    return
        finally:
            ended.cancel()

    async def _pause(self, ended: asyncio.Future[Exit]) -> None:
        """Wait until it is time to read, the machine has ended, or the network is at its cap."""
        pause_s = min(READ_S, max(0.0, self.due_s - self._clock.monotonic()))
        capped = None if self._gateway is None else self._gateway.network_cap_reached
        if capped is None:
            await asyncio.wait({ended}, timeout=pause_s)
            return
        waits = asyncio.ensure_future(capped.wait())
        try:
            # Still at the cap after a look at the budgets: the ledger cannot be reached.
            again = capped.is_set()
            watched = {ended} if again else {ended, waits}
            await asyncio.wait(
                watched,
                timeout=min(pause_s, _SHORTEST_S) if again else pause_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waits.cancel()
        if capped.is_set():
            self.due_s = self._clock.monotonic()

    def _network(self) -> int:
        return 0 if self._gateway is None else self._gateway.network_bytes

    def _cap_network(self, levels: Sequence[metering_pb2.BudgetLevel]) -> None:
        """Let tunnels pass what is left of the smallest budget, from what is recorded on."""
        if self._gateway is None:
            return
        left = [
            Decimal(level.budget.allocated_amount) - Decimal(level.budget.used_amount)
            for level in levels
            if level.budget.resource_type == "network"
        ]
        cap = self._meter.network_taken_bytes + int(min(left) * _GB) if left else None
        self._gateway.cap_network(cap)

    async def _sample(self, *, over: bool) -> None:
        await self.read(ended=over)
        if not over and self._clock.monotonic() >= self.due_s:
            await self.record()

    def _samples(self, *, last: bool) -> list[metering_pb2.UsageSample]:
        amounts = self._meter.take(last=last)
        if not amounts:
            return []
        self._number += 1
        whose = self._whose
        names = uuid.UUID(whose.execution_id)
        return [
            metering_pb2.UsageSample(
                id=str(uuid.uuid5(names, f"{kind} {self._number}")),
                project_id=whose.project_id,
                machine_id=whose.machine_id,
                execution_id=whose.execution_id,
                resource_type=kind,
                resource_subtype=_SUBTYPES[kind],
                amount=f"{amount:f}",
                enforcement="record",
                recorded_at=timestamp(self._clock.now()),
            )
            for kind, amount in amounts.items()
        ]

    def _tell_failing(self, error: AutovibeError) -> None:
        if not self._failing:
            self._failing = True
            self._log.write(
                "notice",
                f"What the machine uses cannot be recorded now ({error.message}); it is tried "
                "again with the next sample.",
                level="WARNING",
            )

    async def _look_at_budgets(self, *, last: bool) -> None:
        """Warn of budgets that are nearly used up, and stop the machine for one that is.

        Only what is sampled stops it: where money or calls are missing, the gateway refuses, and
        the agent may end by itself.
        """
        try:
            levels = await budget_levels(self._metering, self._whose.execution_id)
        except AutovibeError as error:
            self._tell_failing(error)
            return
        for level in levels:
            if level.exhausted and level.budget.resource_type in _STOPPING and not last:
                if not self.exhausted.is_set():
                    self.exhaustion = level.message
                    self.exhausted.set()
            elif level.low:
                self._warn(level)
        if last:
            return
        self._cap_network(levels)
        lasts = [self._lasts_s(level.budget) for level in levels if not level.exhausted]
        soon_s = max(_SHORTEST_S, min([SAMPLE_S, *lasts]))
        self.due_s = min(self.due_s, self._clock.monotonic() + soon_s)

    def _warn(self, level: metering_pb2.BudgetLevel) -> None:
        budget = level.budget
        which = (budget.id, budget.resource_type, budget.period_start)
        if which not in self._warned:
            self._warned.add(which)
            self._log.write("notice", level.message, level="WARNING")

    def _lasts_s(self, budget: metering_pb2.Budget) -> float:
        """Return how long a budget lasts at least, as far as this machine is concerned."""
        left = float(budget.allocated_amount) - float(budget.used_amount)
        if budget.resource_type == "time":
            return left * _MINUTE_S
        if budget.resource_type == "cpu":
            return left / (self._whose.cpus or os.cpu_count() or 1)
        return SAMPLE_S


async def budget_levels(
    metering: services.MeteringService, execution_id: str
) -> list[metering_pb2.BudgetLevel]:
    """Return the levels of the budgets that cover an execution.

    Raises:
        AutovibeError: the ledger cannot be reached.
    """
    answer = await metering.get_budget_levels(
        metering_pb2.GetBudgetLevelsRequest(execution_id=execution_id)
    )
    return list(answer.levels)


async def find_exhaustion(metering: services.MeteringService, execution_id: str) -> str:
    """Return what to say of a budget that is used up already, "" when there is room.

    Raises:
        AutovibeError: the ledger cannot be reached.
    """
    levels = await budget_levels(metering, execution_id)
    used_up = (level for level in levels if level.exhausted)
    return next((one.message for one in used_up if one.budget.resource_type in _STOPPING), "")


async def machine_totals(
    metering: services.MeteringService, order: work_pb2.ClaimedOrder, usage: Usage
) -> struct_pb2.Struct | None:
    """Return what a machine's totals lack, its calls and its peak; `None` without a ledger."""
    request = metering_pb2.GetUsageRequest(
        project=order.task.project_id,
        execution_id=order.execution.id,
        # All of its rows come after this: the index on project and time finds them.
        since=order.execution.started_at,
    )
    try:
        report = await metering.get_usage(request)
    except AutovibeError:
        return None
    return struct(
        {
            "money": report.cost_cad,
            "api_calls": str(report.api_calls),
            "memory_peak_bytes": usage.memory_peak_bytes,
        }
    )

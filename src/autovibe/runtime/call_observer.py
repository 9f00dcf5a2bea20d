"""What happens around each model call of a machine: checkpoint, log line, running totals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final, cast

from google.protobuf import json_format, struct_pb2

from autovibe.domains.metering import ArrivedCall
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.money import ZERO, to_text
from autovibe.kernel.protoconv import from_struct
from autovibe.runtime.agent_record import AgentRecord
from autovibe.runtime.checkpointer import Checkpointer
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import metering_pb2, services

_WAITING_REASONS: Final = frozenset({"BUDGET_HELD"})


class CallReporter:
    """Implements `metering.CallObserver` for one machine.

    `refusal` is the reason and message of the newest refused call, forgotten when a later one is
    settled. `refused_for_good` is set once a call was refused that no waiting can help.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        metering: services.MeteringService,
        log: ExecutionLog,
        project_id: str,
        task_id: str,
        *,
        record: AgentRecord | None = None,
    ) -> None:
        """Report the calls of the machine that the checkpointer belongs to.

        What its requests tell of tools goes to `record`.
        """
        self._record = record
        self.tokens = 0
        self._checkpointer = checkpointer
        self._metering = metering
        self._log = log
        self._project_id = project_id
        self._task_id = task_id
        self.calls = 0
        self.refusal: tuple[str, str] | None = None
        self.refused_for_good = asyncio.Event()

    async def arrived(self, call: ArrivedCall) -> None:
        """Checkpoint what the tools have done before the agent hears the next answer."""
        if call.follows_tool_result:
            if self._record is not None:
                self._record.seen(call.turn())
            await self._checkpointer.before_response(call.tool_use_ids)

    async def settled(self, call: ArrivedCall, settlement: metering_pb2.Settlement) -> None:
        """Log what a call has cost and what is left."""
        if settlement.outcome != "released":
            self.calls += 1
            self.refusal = None
            self._checkpointer.last_settled_call_id = settlement.id
        tokens = token_counts(settlement.raw_usage)
        self.tokens += round(sum(tokens.values()))
        cost = _amount(settlement, "money")
        spent, cap = await self._spent_and_cap()
        self._log.write(
            "call",
            f"{call.model}: {to_text(cost)} CAD",
            level="INFO" if settlement.outcome == "settled" else "WARNING",
            request_id=settlement.id,
            model=call.model,
            status=settlement.outcome,
            cost_cad=to_text(cost),
            spent_cad=spent,
            budget_cad=cap,
            **tokens,
            duration_ms=settlement.duration_ms,
            held_back_ms=settlement.held_back_ms,
            upstream_status=settlement.upstream_status,
            clamped_max_tokens=call.clamped_max_tokens,
            settlement=_rest(settlement),
            **_tool_errors(call, settlement),
        )

    async def parked(self, call: ArrivedCall, upstream: str, wait_s: float) -> None:
        """Log that a call waits for the quota of a provider's key."""
        self._log.write(
            "call",
            f"{call.model}: waits for the quota of the key for {upstream}",
            level="WARNING",
            request_id=call.request_id,
            model=call.model,
            status="parked",
            upstream=upstream,
            wait_s=round(wait_s, 1),
        )

    async def refused(self, call: ArrivedCall, verdict: metering_pb2.ReserveVerdict) -> None:
        """Log a refusal; one that cannot be waited out ends the task."""
        self.refusal = (verdict.reason, verdict.message)
        self._log.write(
            "call",
            verdict.message,
            level="WARNING",
            request_id=verdict.id,
            model=call.model,
            status="refused",
            cost_cad="0.00",
            reason=verdict.reason,
            message=verdict.message,
        )
        if verdict.reason not in _WAITING_REASONS:
            self.refused_for_good.set()

    async def _spent_and_cap(self) -> tuple[str, str]:
        """Return what the task has spent and its cap, as text; "" where there is none."""
        try:
            answer = await self._metering.list_budgets(
                metering_pb2.ListBudgetsRequest(project=self._project_id, task_id=self._task_id)
            )
        except AutovibeError:
            return "", ""
        for budget in answer.budgets:
            if budget.task_id == self._task_id and budget.resource_type == "money":
                return budget.used_amount, budget.allocated_amount
        return "", ""


def _rest(settlement: metering_pb2.Settlement) -> dict[str, Any]:
    """Return what a usage row has of a settlement: `usage rebuild` reads it here."""
    kept = metering_pb2.Settlement()
    kept.CopyFrom(settlement)
    for name in ("id", "upstream_status", "duration_ms", "held_back_ms"):
        kept.ClearField(name)
    return json_format.MessageToDict(kept, preserving_proto_field_name=True)


def _tool_errors(call: ArrivedCall, settlement: metering_pb2.Settlement) -> dict[str, Any]:
    """Return the failed tools that a call told of; one that went nowhere tells again."""
    if settlement.outcome == "released" or not call.tool_errors:
        return {}
    return {"tool_errors": [asdict(error) for error in call.tool_errors]}


def _amount(settlement: metering_pb2.Settlement, resource_type: str) -> Decimal:
    found = (
        Decimal(item.amount) for item in settlement.amounts if item.resource_type == resource_type
    )
    return sum(found, ZERO)


def token_counts(raw_usage: struct_pb2.Struct) -> dict[str, float]:
    """Return the tokens that a provider told, under the names of the log; what it kept is left out.

    `input_tokens` are those that were not read from a cache: Anthropic counts so, all others count
    what was cached into the input.
    """
    usage = from_struct(raw_usage)
    given = _first(usage, "prompt_tokens", "promptTokenCount", "input_tokens")
    cached = _first(usage, "cache_read_input_tokens", "cachedContentTokenCount")
    made = _first(usage, "completion_tokens", "output_tokens", "candidatesTokenCount")
    thought = _first(usage, "thoughtsTokenCount")
    whole = "promptTokenCount" in usage
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(name)
        if isinstance(details, Mapping):
            whole = True
            cached = _first(cast("Mapping[str, object]", details), "cached_tokens")
    if given is not None and whole:
        given = max(0.0, given - (cached or 0)) + (_first(usage, "toolUsePromptTokenCount") or 0)
    if thought is not None:
        made = (made or 0) + thought
    counts = {"input_tokens": given, "output_tokens": made, "cache_read_tokens": cached}
    return {name: number for name, number in counts.items() if number is not None}


def _first(usage: Mapping[str, object], *names: str) -> float | None:
    """Return the first of these that is a number."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None

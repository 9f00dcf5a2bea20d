"""What an agent and its tools do, kept as the agent tells it and as the gateway sees it (C13)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

from autovibe.domains.machines.agent import AgentEvent, AgentOutcome
from autovibe.domains.metering.turns import Turn
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.protoconv import struct
from autovibe.kernel.redaction import Redactor
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import agents_pb2, logs_pb2, services, work_pb2

_logger = logging.getLogger(__name__)

Source = Literal["agent", "gateway"]

_TOOLS: Final = frozenset({"command", "file_edit", "tool"})
_GATHER_S: Final = 0.5
_BATCH: Final = 200
_MOST_PENDING: Final = 5_000
_MOST_OPEN: Final = 5_000
_LONGEST: Final = 64 * 1024
_LONGEST_OUTPUT: Final = 8 * 1024
_LONGEST_ID: Final = 200
_LONGEST_NAME: Final = 128
_LARGEST_STDERR: Final = 256 * 1024
_OMITTED: Final = "omitted_characters"


class AgentRecord:
    """Takes what is told and writes it in the background; secrets are taken out before.

    It is a record beside the log, never a condition of the work: what cannot be written within a
    bound is dropped, and that is logged.
    """

    def __init__(
        self,
        logs: services.LogService,
        order: work_pb2.ClaimedOrder,
        log: ExecutionLog,
        redactor: Redactor,
        clock: Clock,
        *,
        tells_tools: bool,
    ) -> None:
        """Record one execution.

        Args:
            logs: where it is kept.
            order: whose execution it is.
            log: gets what the gateway sees of an agent that tells nothing itself.
            redactor: takes secrets out.
            clock: the time.
            tells_tools: whether the agent's own output tells of its tools.
        """
        self._logs = logs
        self._order = order
        self._log = log
        self._redactor = redactor
        self._clock = clock
        self._tells_tools = tells_tools
        self._run: logs_pb2.AgentRunReport | None = None
        self._run_due = False
        self._pending: dict[tuple[str, str], logs_pb2.ToolCallReport] = {}
        self._begun: dict[str, float] = {}
        self._gateway_seen: dict[str, None] = {}
        self._began = clock.monotonic()
        self._dropped = 0
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._write_on(), name="agent-record")

    def begin(self, machine_id: str, agent: str, model: str, prompt: str) -> None:
        """Take note that the agent is started."""
        self._began = self._clock.monotonic()
        self._run = logs_pb2.AgentRunReport(
            machine_id=machine_id,
            agent_name=agent,
            prompt=self._redactor.text(prompt),
            status="running",
            metadata=struct({"model": model, "reports_tools": self._tells_tools}),
        )
        self._run_due = True

    def saw(self, event: AgentEvent) -> None:
        """Take note of what the agent tells."""
        if event.tool_use_id is None:
            return
        if event.kind in _TOOLS:
            if len(self._begun) < _MOST_OPEN:
                self._begun[event.tool_use_id] = self._clock.monotonic()
            self._report(
                "agent",
                event.tool_use_id,
                name=str(event.details.get("tool") or "unknown"),
                inputs=event.details.get("input"),
                status="running",
            )
        elif event.kind == "tool_result":
            began = self._begun.pop(event.tool_use_id, None)
            took = 0 if began is None else round((self._clock.monotonic() - began) * 1000)
            failed = event.details.get("is_error") is True
            self._ended("agent", event.tool_use_id, event.text, failed=failed, took_ms=took)

    def seen(self, turn: Turn) -> None:
        """Take note of what the gateway saw in a request; what it has seen before is nothing."""
        fresh = [one for one in turn.tools if one.id[:_LONGEST_ID] not in self._gateway_seen]
        for tool in fresh:
            if len(self._gateway_seen) < _MOST_OPEN * 10:
                self._gateway_seen[tool.id[:_LONGEST_ID]] = None
            self._report("gateway", tool.id, name=tool.name, inputs=tool.inputs, status="running")
            self._ended("gateway", tool.id, tool.output, failed=tool.failed)
            if not self._tells_tools:
                self._tell(tool.id, tool.name, tool.inputs, tool.output)
        if fresh and turn.text and not self._tells_tools:
            self._log.write("agent", turn.text, event="message", source="gateway")

    def end(self, outcome: AgentOutcome, model_calls: int, tokens: int) -> None:
        """Take note of how the run ended."""
        if self._run is None:
            return
        self._run.status = "completed" if outcome.finished else "failed"
        self._run.tokens_used = tokens
        self._run.duration_ms = round((self._clock.monotonic() - self._began) * 1000)
        message = self._redactor.text(outcome.message)
        self._run.result.CopyFrom(
            agents_pb2.AgentResult(
                output=message if outcome.finished else "",
                error="" if outcome.finished else message,
                data=struct({"turns": outcome.turns or 0, "model_calls": model_calls}),
            )
        )
        self._run_due = True

    async def close(self) -> None:
        """Write what is left and stop; a run that nobody saw end has failed."""
        if self._run is not None and self._run.status == "running":
            self._run.status = "failed"
            self._run_due = True
        self._closing.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _tell(self, call_id: str, name: str, inputs: Any, output: str) -> None:
        shown = "" if inputs is None else json.dumps(inputs, ensure_ascii=False)
        self._log.write(
            "agent", f"{name} {shown}", event="tool", tool_use_id=call_id, source="gateway"
        )
        self._log.write("agent", output, event="tool_result", tool_use_id=call_id, source="gateway")

    def _report(self, source: Source, call_id: str, *, name: str, inputs: Any, status: str) -> None:
        report = self._entry(source, call_id)
        if report is None:
            return
        report.tool_name = name[:_LONGEST_NAME]
        report.status = status
        report.created_at.FromDatetime(self._clock.now())
        known: Any = {} if inputs is None else inputs
        given: dict[str, Any] = _cleaned(
            dict(cast("Mapping[str, Any]", known))
            if isinstance(known, Mapping)
            else {"value": known}
        )
        written = json.dumps(given, sort_keys=True, separators=(",", ":"))
        if len(written) > _LONGEST:
            given = {_OMITTED: len(written)}
        elif inputs is not None and set(given) != {_OMITTED}:
            report.inputs_hash = hashlib.sha256(written.encode()).hexdigest()
        report.inputs.CopyFrom(struct(self._redactor.value(given)))

    def _ended(
        self, source: Source, call_id: str, output: str, *, failed: bool, took_ms: int = 0
    ) -> None:
        report = self._entry(source, call_id)
        if report is None:
            return
        text = _clean(self._redactor.text(output[: 2 * _LONGEST_OUTPUT]))[:_LONGEST_OUTPUT]
        report.status = "failed" if failed else "success"
        report.outputs.CopyFrom(struct({"text": text, "characters": len(output)}))
        report.error_message = text[:2000] if failed else ""
        report.duration_ms = took_ms

    def _entry(self, source: Source, call_id: str) -> logs_pb2.ToolCallReport | None:
        call_id = _clean(call_id)[:_LONGEST_ID]
        if not call_id:
            return None
        known = self._pending.get((source, call_id))
        if known is None:
            if len(self._pending) >= _MOST_PENDING:
                self._dropped += 1
                return None
            known = logs_pb2.ToolCallReport(tool_use_id=call_id, source=source)
            self._pending[source, call_id] = known
        return known

    async def _write_on(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    await self._closing.wait()
            await self._write_all()
        if self._pending:
            await self._write_all()
        if self._dropped or self._pending:
            _logger.warning(
                "execution %s: %d tool calls were not recorded",
                self._order.execution.id,
                self._dropped + len(self._pending),
            )

    async def _write_all(self) -> None:
        while self._pending or self._run_due:
            if not await self._write():
                return

    async def _write(self) -> bool:
        """Write the oldest reports; return whether there is any use in going on."""
        run_due, self._run_due = self._run_due, False
        keys = list(self._pending)[:_BATCH]
        batch = [self._pending.pop(key) for key in keys]
        request = logs_pb2.RecordAgentWorkRequest(
            execution_id=self._order.execution.id,
            lease_generation=self._order.lease_generation,
            run=self._run if run_due else None,
            tool_calls=batch,
        )
        try:
            await self._logs.record_agent_work(request)
        except AutovibeError as error:
            _logger.warning("record of execution %s: %s", self._order.execution.id, error)
            if error.reason == "LEASE_LOST" or error.code in {Code.INVALID_ARGUMENT, Code.INTERNAL}:
                self._dropped += len(batch)
                return False
            self._run_due = self._run_due or run_due
            for key, report in zip(keys, batch, strict=True):
                newer = self._pending.pop(key, None)
                if newer is not None:
                    report.MergeFrom(newer)
                self._pending[key] = report
            return False
        return True


def note_raw(log: ExecutionLog, line: bytes, events: Sequence[AgentEvent]) -> None:
    """Keep a line of output as it was, unless an event says the same."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if len(events) == 1 and events[0].text == text:
        log.keep_tail("stdout", text)
    elif text:
        log.raw("stdout", text)


def note_errors(log: ExecutionLog, path: Path) -> None:
    """Keep what the agent wrote to its standard error, from its beginning."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        for line in file.read(_LARGEST_STDERR).decode(errors="replace").splitlines():
            log.keep_tail("stderr", line)
            log.write("output", line, level="WARNING", stream="stderr")


def _clean(text: str) -> str:
    """Replace what no database stores as text: NUL and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_clean(name): _cleaned(part) for name, part in items}
    if isinstance(value, list):
        return [_cleaned(part) for part in cast("list[Any]", value)]
    return value

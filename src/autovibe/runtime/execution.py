"""One execution: an order that was claimed, from its first checkpoint to its last."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from autovibe.domains.machines.agent import AgentAdapter, AgentOutcome
from autovibe.domains.machines.driver import (
    Exit,
    Machine,
    MachineDriver,
)
from autovibe.domains.metering.gateway import OpenGateway
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.kernel.ids import new_id
from autovibe.kernel.money import to_text
from autovibe.runtime.agent_record import AgentRecord, note_errors, note_raw
from autovibe.runtime.asking import Gate
from autovibe.runtime.breaker import Breaker
from autovibe.runtime.call_observer import CallReporter
from autovibe.runtime.checkpointer import Checkpointer, Consistency, Position, Scope, new_session_id
from autovibe.runtime.egress import EgressReporter, agent_env, proxy_env
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.runtime.launching import (
    Credentials,
    agent_request,
    calling_machine,
    checkpoint_scope,
    is_supervised,
    machine_spec,
)
from autovibe.runtime.machine_row import create_machine_row, update_machine_row
from autovibe.runtime.sampling import Sampled, UsageSampler, find_exhaustion, machine_totals
from autovibe.runtime.steering import Steering
from autovibe.runtime.stop import Ending, Facts, decide_ending
from autovibe.runtime.surroundings import Surroundings
from autovibe.runtime.voice import Voice
from autovibe.runtime.workplace import Workplace
from autovibe.store import StatCache
from autovibe.store.tracking import TrackedTree
from autovibe.v1 import approvals_pb2, checkpoints_pb2, work_pb2

LEASE_S: Final = 60
_STOP_GRACE_S: Final = 5.0
_REFUSED_GRACE_S: Final = 15.0
_ERROR_LENGTH: Final = 2_000
_SIGNALLED: Final = 128
_SHORTEST_LOOK_S: Final = 0.05
_ENDED_EARLY: Final = AgentOutcome(finished=False, is_error=True, message="")


@dataclass
class Execution:
    """The state of one running execution; `run()` is its whole life."""

    around: Surroundings
    order: work_pb2.ClaimedOrder
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: bool = False
    _lease_lost: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def run(self) -> None:
        """Do the order. Whatever happens, the order is finished or its lease is lost."""
        log = ExecutionLog(
            self.around.work,
            self.order.execution.id,
            self.order.lease_generation,
            self.around.clock,
            redactor=self.around.redactor.with_secrets(),
            settings=self.around.log_settings,
        )
        heartbeat = asyncio.create_task(self._heartbeat(), name="order-heartbeat")
        try:
            await self._run(log)
        except AutovibeError as error:
            log.write("notice", error.message, level="ERROR")
            await self._finish(log, Ending("failed", error.reason, error.message), None, None)
        finally:
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heartbeat
            await log.close()
            self.ended.set()

    async def _run(self, log: ExecutionLog) -> None:
        around, context = self.around, self.order.payload.context
        adapter = around.adapters[context.agent]
        driver = around.drivers[context.isolation]
        exhaustion = await find_exhaustion(around.metering, self.order.execution.id)
        if exhaustion:
            ending = Ending("paused", "BUDGET_EXHAUSTED", exhaustion)
            await self._finish(log, ending, None, None)
            return
        machine_id = str(new_id())
        workplace = Workplace(around.machines_path / machine_id)
        log.write(
            "state",
            f"Starting {context.agent} in a {driver.name} machine",
            status="spawning",
            machine_id=machine_id,
            isolation=driver.name,
            agent=context.agent,
            model=context.model,
        )
        await create_machine_row(around, self.order, machine_id, driver.name)
        reach("machine_recorded")
        kept = False
        try:
            async with self._started_machine(machine_id, workplace, adapter, driver, log) as desk:
                # From here on only a verified checkpoint makes these files dispensable.
                kept = True
                ending, exit_ = await self._work(desk, log)
            kept = not await self._conclude(desk, ending, exit_, log)
        except BaseException as error:
            with contextlib.suppress(AutovibeError):
                await update_machine_row(
                    self.around,
                    machine_id,
                    status="error",
                    error_message=str(error)[:_ERROR_LENGTH],
                )
                await update_machine_row(self.around, machine_id, status="terminated")
            raise
        finally:
            await self._closing.aclose()
            if kept:
                log.write("notice", f"The machine's files are kept in {workplace.root}.")
            else:
                await asyncio.to_thread(workplace.remove)

    @contextlib.asynccontextmanager
    async def _started_machine(
        self,
        machine_id: str,
        workplace: Workplace,
        adapter: AgentAdapter,
        driver: MachineDriver,
        log: ExecutionLog,
    ) -> AsyncGenerator[_Desk]:
        """Restore, start, and serve the gateway; in the end nothing of the machine runs."""
        base = await self._base()
        tree = await self._restored(workplace, base.manifest_root)
        if is_supervised(self.order) and (aside := await asyncio.to_thread(workplace.quieten)):
            log.write("notice", f"Set aside, as nobody has allowed it: {', '.join(aside)}")
        breaker = await self._breaker(log)
        machine, steering, given = await self._spawned(machine_id, workplace, adapter, driver, log)
        sampled = Sampled.of(self.order, machine_id, self.around.limits.cpus)
        sampler = UsageSampler(self.around.metering, machine, log, self.around.clock, sampled)
        reach("machine_spawned")
        scope = checkpoint_scope(self.order, machine, driver, workplace, given.session_id)
        checkpointer = self._checkpointer(machine, adapter, log, base, tree, scope)
        task = self.order.task
        record = self._record(machine_id, adapter, log)
        reporter = CallReporter(
            checkpointer, self.around.metering, log, task.project_id, task.id, record=record
        )
        egress = EgressReporter(self.around.machines, machine_id, log, self.around.clock)
        gate = self._gate(workplace, driver, log)
        desk = _Desk(
            machine,
            adapter,
            checkpointer,
            reporter,
            workplace,
            sampler,
            breaker,
            gate,
            steering,
            record,
        )
        gateway: OpenGateway | None = None
        try:
            await update_machine_row(
                self.around, machine_id, status="active", vm_id=machine.vm_id, pid=machine.pid
            )
            gateway = await self.around.gateways(
                calling_machine(self.order, machine_id, self.around.instance_id, given.key),
                machine.listener,
                reporter,
                egress,
                log.tell,
                asking=Voice(gate, steering),
            )
            sampler.begin(gateway)
            await update_machine_row(self.around, machine_id, status="working")
            log.tell_working(machine_id, driver.name, machine.enforced)
            async with steering.going():
                yield desk
        finally:
            # The processes go first, so that nobody waits for an answer; calls under way are then
            # drained and settled before the gateway closes.
            await machine.stop(_STOP_GRACE_S)
            if gateway is not None:
                await gateway.close()
            await egress.close()
            await record.close()
            await sampler.finish()
            await machine.destroy()

    async def _spawned(
        self,
        machine_id: str,
        workplace: Workplace,
        adapter: AgentAdapter,
        driver: MachineDriver,
        log: ExecutionLog,
    ) -> tuple[Machine, Steering, Credentials]:
        """Start the agent, with the documents of its project and what people have said to it."""
        around, session_id = self.around, self.order.payload.session_id
        resume = bool(session_id) and adapter.holds_session(workplace.home, session_id)
        key = secrets.token_urlsafe(32)
        log.redactor.hide(key)
        given = Credentials(session_id if resume else new_session_id(), resume=resume, key=key)
        steering = Steering(around.chat, around.documents, self.order, machine_id, log)
        self._closing.callback(steering.close)
        request = agent_request(self.order, adapter, driver, workplace, given)
        launch = adapter.launch(await steering.prepared(adapter, request, isolated=driver.isolated))
        env = agent_env(key) | steering.briefing.env()
        if driver.isolated:  # else it has the user's own network and needs no proxy to it
            env |= proxy_env(key)
        spec = machine_spec(machine_id, workplace, launch, env, around.limits)
        return await driver.spawn(spec), steering, given

    def _gate(self, workplace: Workplace, driver: MachineDriver, log: ExecutionLog) -> Gate:
        return Gate(
            approvals=self.around.approvals,
            order=self.order,
            log=log,
            clock=self.around.clock,
            hold_s=self.around.approval_settings.hold_s,
            workspace=workplace.workspace,
            inside="/workspace" if driver.isolated else str(workplace.workspace),
        )

    def _record(self, machine_id: str, adapter: AgentAdapter, log: ExecutionLog) -> AgentRecord:
        """Begin to record what the agent and its tools do."""
        record = AgentRecord(
            self.around.logs,
            self.order,
            log,
            log.redactor,
            self.around.clock,
            tells_tools=adapter.uses_models,
        )
        context = self.order.payload.context
        record.begin(machine_id, context.agent, context.model, self.order.payload.prompt)
        return record

    async def _breaker(self, log: ExecutionLog) -> Breaker:
        """Return a breaker that goes on from the task's earlier attempts."""
        earlier = work_pb2.EarlierAttempts(cost_cad="0")
        if self.order.execution.attempt > 1:
            earlier = await self.around.work.get_earlier_attempts(
                work_pb2.GetEarlierAttemptsRequest(execution_id=self.order.execution.id)
            )
        settings = self.around.breaker_settings
        breaker = Breaker(settings, earlier.failed, Decimal(earlier.cost_cad))
        log.listen(breaker.line)
        return breaker

    async def _base(self) -> checkpoints_pb2.Checkpoint:
        """Return the checkpoint that the machine starts from."""
        return await self.around.checkpoints.get_checkpoint(
            checkpoints_pb2.GetCheckpointRequest(
                checkpoint_id=self.order.payload.base_checkpoint_id
            )
        )

    async def _restored(self, workplace: Workplace, root: str) -> TrackedTree:
        """Restore a checkpoint, and watch the files from then on."""
        around, cache = self.around, StatCache()
        await asyncio.to_thread(workplace.prepare, around.store, root, cache)
        tree = await asyncio.to_thread(
            workplace.track, around.store, cache, around.checkpoint_settings
        )
        self._closing.push_async_callback(asyncio.to_thread, tree.close)
        return tree

    def _checkpointer(  # noqa: PLR0917 - what a checkpointer is made of
        self,
        machine: Machine,
        adapter: AgentAdapter,
        log: ExecutionLog,
        base: checkpoints_pb2.Checkpoint,
        tree: TrackedTree,
        scope: Scope,
    ) -> Checkpointer:
        """Return what checkpoints the machine; it has settled when this execution closes."""
        checkpointer = Checkpointer(
            store=self.around.store,
            checkpoints=self.around.checkpoints,
            machine=machine,
            adapter=adapter,
            log=log,
            clock=self.around.clock,
            scope=scope,
            position=Position(base.id, base.manifest_root),
            tree=tree,
            count_missed=self.around.count_missed,
        )
        self._closing.push_async_callback(checkpointer.settled)
        return checkpointer

    async def _work(self, desk: _Desk, log: ExecutionLog) -> tuple[Ending, Exit]:
        """Follow the agent until it ends or has to be stopped; return how it ended."""
        timed_out, held = asyncio.Event(), asyncio.Event()
        reader = desk.adapter.reader()

        async def follow() -> None:
            async for line in desk.machine.output():
                events = reader.feed(line)
                note_raw(log, line, events)
                for event in events:
                    desk.record.saw(event)
                    desk.breaker.saw(event)
                    desk.gate.saw(event)
                    log.write(
                        "agent",
                        event.text,
                        event=event.kind,
                        tool_use_id=event.tool_use_id,
                    )
                await desk.steering.look(reader)

        stoppers: list[asyncio.Task[Any]] = [
            asyncio.create_task(self.interrupted.wait(), name="interrupted"),
            asyncio.create_task(self._lease_lost.wait(), name="lease-lost"),
            asyncio.create_task(desk.checkpointer.failed.wait(), name="checkpoint-failed"),
            asyncio.create_task(self._refused_for_good(desk), name="refused"),
            asyncio.create_task(desk.sampler.exhausted.wait(), name="exhausted"),
            asyncio.create_task(self._breaker_opens(desk), name="breaker"),
            asyncio.create_task(self._deadline(timed_out, desk.gate), name="deadline"),
            asyncio.create_task(self._held(desk.gate, held), name="held"),
            asyncio.create_task(desk.gate.passed_by.wait(), name="passed-by"),
        ]
        output = asyncio.create_task(follow(), name="agent-output")
        try:
            ended = asyncio.create_task(desk.machine.wait())
            done, _ = await asyncio.wait({ended, *stoppers}, return_when=asyncio.FIRST_COMPLETED)
            desk.ended_by_itself = ended in done
            waited = desk.gate.waits
            if ended not in done:
                log.write("state", "Stopping the agent", status="stopping")
                await desk.machine.stop(_STOP_GRACE_S)
            exit_ = await ended
            await output
        finally:
            for task in (*stoppers, output):
                task.cancel()
            await asyncio.gather(*stoppers, output, return_exceptions=True)
        note_errors(log, desk.workplace.stderr)
        facts = Facts(
            agent=reader.outcome(exit_.code),
            exit=exit_,
            interrupted=self.interrupted.is_set(),
            timed_out_after_s=self.order.timeout_s if timed_out.is_set() else None,
            refusal=desk.reporter.refusal,
            exhaustion=None if desk.ended_by_itself else desk.sampler.exhaustion or None,
            breaker=None if desk.ended_by_itself else desk.breaker.message or None,
            waits_for_person=not desk.ended_by_itself
            and (held.is_set() or (self.leaving and waited)),
            passed_by=desk.gate.passed or None,
            lease_lost=self._lease_lost.is_set(),
            checkpoint_error=desk.checkpointer.error,
        )
        desk.outcome = facts.agent
        desk.record.end(facts.agent, desk.reporter.calls, desk.reporter.tokens)
        return decide_ending(facts), exit_

    async def _refused_for_good(self, desk: _Desk) -> None:
        """Wait until a call was refused and the agent had time to end by itself."""
        await desk.reporter.refused_for_good.wait()
        await asyncio.sleep(_REFUSED_GRACE_S)

    @staticmethod
    async def _breaker_opens(desk: _Desk) -> None:
        """Wait until nothing has come of the task for too long.

        A tool may have changed files that no checkpoint has seen yet, so one is made first.
        """
        while True:
            await desk.breaker.due.wait()
            await desk.checkpointer.before_response(())
            await desk.checkpointer.settled()
            if desk.breaker.confirm():
                return

    async def _deadline(self, timed_out: asyncio.Event, gate: Gate) -> None:
        """Wait until the time is up; while the agent waits for a person it stands (B11)."""
        clock = self.around.clock
        began = clock.monotonic()
        while True:
            left_s = self.order.timeout_s - (clock.monotonic() - began - gate.waited_s)
            if left_s <= 0:
                break
            await asyncio.sleep(max(left_s, _SHORTEST_LOOK_S))
        timed_out.set()

    @staticmethod
    async def _held(gate: Gate, held: asyncio.Event) -> None:
        await gate.held_too_long()
        held.set()

    async def _conclude(self, desk: _Desk, ending: Ending, exit_: Exit, log: ExecutionLog) -> bool:
        """Make the final checkpoint and finish; return whether the files are safe in the store."""
        machine_id = desk.checkpointer.scope.machine_id
        final: checkpoints_pb2.Checkpoint | None = None
        if ending.reason != "LEASE_LOST":
            await update_machine_row(self.around, machine_id, status="checkpointing")
            reach("before_final_checkpoint")
            try:
                final = await desk.checkpointer.final(self._final_consistency(desk, exit_))
            except AutovibeError as error:
                ending = Ending(
                    "failed",
                    "CHECKPOINT_FAILED",
                    f"The final checkpoint could not be made: {error.message}",
                )
        ending = desk.breaker.judge_attempt(ending)
        safe = final is not None and final.verification_status == "verified"
        if final is not None and not safe:
            ending = Ending(
                "failed", "VERIFICATION_FAILED", "The final checkpoint could not be read back."
            )
        usage = await desk.machine.usage()
        await update_machine_row(
            self.around,
            machine_id,
            status="terminated",
            error_message=ending.message if ending.outcome == "failed" else "",
            resource_usage=await machine_totals(self.around.metering, self.order, usage),
        )
        metrics = work_pb2.ExecutionMetrics(
            checkpoints=desk.checkpointer.count,
            model_calls=desk.reporter.calls,
            cpu_s=usage.cpu_s,
            memory_peak_bytes=usage.memory_peak_bytes,
            summary=desk.outcome.message[:10_000],
            changed_files=desk.breaker.changed,
            cost_since_change_cad=to_text(desk.breaker.cost_cad),
        )
        reach("before_finish")
        await self._finish(log, ending, final, metrics, exit_code=exit_.code)
        reach("after_finish")
        if desk.gate.asked and ending.reason != "LEASE_LOST":
            await self.around.approvals.release_approvals(
                approvals_pb2.ReleaseApprovalsRequest(execution_id=self.order.execution.id)
            )
        return safe or ending.reason == "LEASE_LOST"

    @staticmethod
    def _final_consistency(desk: _Desk, exit_: Exit) -> Consistency:
        """Say whether files and conversation agree now that the machine has stopped.

        An agent that ended by itself has written down what its tools did. One that was stopped may
        have had a tool at work whose result nobody has seen: resuming there would do it twice.
        """
        killed = not desk.ended_by_itself or exit_.code > _SIGNALLED
        session_id = desk.checkpointer.scope.session_id
        talks = desk.adapter.holds_session(desk.workplace.home, session_id)
        return "conversation_behind" if killed and talks else "exact"

    async def _finish(
        self,
        log: ExecutionLog,
        ending: Ending,
        final: checkpoints_pb2.Checkpoint | None,
        metrics: work_pb2.ExecutionMetrics | None,
        *,
        exit_code: int = 0,
    ) -> None:
        status = {"timeout": "timed_out"}.get(ending.outcome, ending.outcome)
        log.write(
            "state",
            ending.message or "Completed",
            level="INFO" if ending.outcome == "completed" else "WARNING",
            status=status,
            reason=ending.reason,
            message=ending.message,
        )
        await log.flush()
        if ending.reason == "LEASE_LOST":
            return
        metrics = metrics or work_pb2.ExecutionMetrics()
        metrics.stop_reason = ending.reason
        metrics.message = ending.message
        started = self.order.execution.started_at.ToDatetime(self.around.clock.now().tzinfo)
        metrics.duration_s = (self.around.clock.now() - started).total_seconds()
        await self.around.work.finish_execution(
            work_pb2.FinishExecutionRequest(
                execution_id=self.order.execution.id,
                lease_generation=self.order.lease_generation,
                outcome=ending.outcome,
                exit_code=exit_code,
                stdout_log=log.tail("stdout"),
                stderr_log=log.tail("stderr"),
                result_checkpoint_id=final.id if final else "",
                metrics=metrics,
            )
        )

    async def _heartbeat(self) -> None:
        """Prolong the lease; stop the machine when it is lost or cannot be prolonged in time."""
        clock = self.around.clock
        last = clock.monotonic()
        request = work_pb2.HeartbeatWorkOrderRequest(
            work_order_id=self.order.work_order_id,
            lease_generation=self.order.lease_generation,
            lease_s=LEASE_S,
        )
        while True:
            await asyncio.sleep(LEASE_S / 6)
            try:
                await self.around.work.heartbeat_work_order(request)
                last = clock.monotonic()
            except AutovibeError as error:
                if error.reason == "LEASE_LOST" or clock.monotonic() - last > LEASE_S / 2:
                    self._lease_lost.set()
                    return


@dataclass
class _Desk:
    """What belongs to one started machine."""

    machine: Machine
    adapter: AgentAdapter
    checkpointer: Checkpointer
    reporter: CallReporter
    workplace: Workplace
    sampler: UsageSampler
    breaker: Breaker
    gate: Gate
    steering: Steering
    record: AgentRecord
    outcome: AgentOutcome = _ENDED_EARLY
    ended_by_itself: bool = False

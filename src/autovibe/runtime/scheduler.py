"""Running scheduled jobs: each when it is due, one runner at a time, every run recorded.

The rules are operations of the maintenance service; this only calls them, so that jobs of a worker
host without the database run over gRPC as they do in process. What a run may change while it has
the job is decided there, step by step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import from_timestamp, struct
from autovibe.runtime.archives import Archives
from autovibe.runtime.store_jobs import STORE_KIND, Done, reconciled, store_work
from autovibe.runtime.verifier import Verifier
from autovibe.sdk.services import Services
from autovibe.v1 import maintenance_pb2

_logger = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 60.0
CATCH_UP_AFTER_S: Final = 3.0
"""How long a short-lived process has worked before it looks after overdue jobs on the side."""
_BETWEEN_SLICES_S: Final = 0.01
_ARCHIVES: Final = {
    "archive-execution-logs": "logs",
    "archive-executions": "executions",
    "archive-chat": "chat",
}
_THINNING: Final = "cleanup-checkpoints"
_LONGEST_ERROR: Final = 1_000
_MOST_REFUSED: Final = 2
"""After so many in a row the lease of a minute is about to end, or has passed to another."""


@dataclass(frozen=True)
class JobOutcome:
    """What a run came to."""

    job: str
    affected_rows: int
    duration_ms: int
    error: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""
    """What else people want to know."""
    alarms: Sequence[str] = ()
    """What a person has to see to, although the run itself succeeded."""


@dataclass(frozen=True)
class JobRunner:
    """Runs one job at a time."""

    services: Services
    archives: Archives
    instance_id: str
    clock: Clock
    prolong_s: float = 20.0
    """How often long work prolongs the lease of its run, which is a minute."""

    async def jobs(self) -> list[maintenance_pb2.Job]:
        """Return all jobs."""
        answer = await self.services.maintenance.get_jobs(maintenance_pb2.GetJobsRequest())
        return list(answer.jobs)

    async def run(
        self, job: maintenance_pb2.Job, *, only_if_due: bool, before: datetime | None = None
    ) -> JobOutcome | None:
        """Run a job; `None` when somebody else runs it, or it is not due.

        Args:
            job: as it was listed.
            only_if_due: whether to look again that it is due, now that nobody else can begin.
            before: of an archive job; by default as old as its setting says.
        """
        begun = await self.services.maintenance.begin_job(
            maintenance_pb2.BeginJobRequest(
                job=job.name, instance_id=self.instance_id, only_if_due=only_if_due
            )
        )
        if not begun.run_id:
            return None
        started = self.clock.monotonic()
        done = Done()
        error = ""
        try:
            done = await self._work(begun.run_id, job, before)
        except AutovibeError as failure:
            error = f"{failure.reason}: {failure.message}"[:_LONGEST_ERROR]
        except asyncio.CancelledError:
            await self._end(begun.run_id, started, "INTERRUPTED: the process ended.", done)
            raise
        except Exception as failure:
            _logger.exception("job %s failed", job.name)
            error = f"INTERNAL: {type(failure).__name__}"
        duration_ms = await self._end(begun.run_id, started, error, done)
        for alarm in done.alarms:
            _logger.warning("job %s: %s", job.name, alarm)
        return JobOutcome(
            job.name, done.rows, duration_ms, error, done.details, done.note, done.alarms
        )

    async def dry_run(
        self, job: maintenance_pb2.Job, *, before: datetime | None = None
    ) -> JobOutcome:
        """Return what a run would do; nothing is changed."""
        started = self.clock.monotonic()
        done = Done()
        what = _ARCHIVES.get(job.name)
        if job.kind == STORE_KIND:
            done = await store_work(self.services, job.name, dry_run=True)
            rows = done.rows
        elif what is not None:
            before = before or (None if job.disabled else self.archives.before(what))
            rows = 0 if before is None else await self.archives.count(what, before)
        else:
            request = maintenance_pb2.StepJobRequest(job=job.name, dry_run=True)
            rows = (await self.services.maintenance.step_job(request)).affected_rows
            if job.name == _THINNING:
                done = await reconciled(self.services, dry_run=True)
        duration_ms = _ms(self.clock.monotonic() - started)
        return JobOutcome(job.name, rows, duration_ms, details=done.details, note=done.note)

    async def _work(self, run_id: str, job: maintenance_pb2.Job, before: datetime | None) -> Done:
        what = _ARCHIVES.get(job.name)
        if what is not None:
            before = before or self.archives.before(what)
            if before is None:
                return Done()
            moved = await self.archives.archive(run_id, job.name, what, before)
            files = [manifest.file for manifest in moved.manifests]
            return Done(moved.rows, {"archives": files}, " ".join(files))
        if job.kind == STORE_KIND:
            return await self._held(run_id, job, store_work(self.services, job.name))
        rows = 0
        while True:
            step = await self.services.maintenance.step_job(
                maintenance_pb2.StepJobRequest(run_id=run_id, job=job.name)
            )
            rows += step.affected_rows
            if not step.more:
                break
            # Whoever waits for the one writer of SQLite comes in between.
            await asyncio.sleep(_BETWEEN_SLICES_S)
        if job.name == _THINNING:
            told = await self._held(run_id, job, reconciled(self.services))
            return replace(told, rows=rows)
        return Done(rows)

    async def _held(
        self, run_id: str, job: maintenance_pb2.Job, work: Coroutine[Any, Any, Done]
    ) -> Done:
        """Do work that takes long, and prolong the lease of the run meanwhile.

        Raises:
            JobLostError: the run has passed to another, so the work was given up.
        """
        task = asyncio.create_task(work)
        step = maintenance_pb2.StepJobRequest(run_id=run_id, job=job.name)
        refused = 0
        try:
            while not (await asyncio.wait({task}, timeout=self.prolong_s))[0]:
                try:
                    await self.services.maintenance.step_job(step)
                    refused = 0
                except AutovibeError:
                    # Perhaps another only looked whether it may begin, in this very moment.
                    refused += 1
                    if refused == _MOST_REFUSED:
                        raise
            return task.result()
        finally:
            await _cancelled([task])

    async def _end(self, run_id: str, started: float, error: str, done: Done) -> int:
        """Record the end of a run. That another has it now was recorded by that other."""
        duration_ms = _ms(self.clock.monotonic() - started)
        told = {**done.details, "alarms": list(done.alarms)} if done.alarms else done.details
        request = maintenance_pb2.EndJobRequest(
            run_id=run_id,
            duration_ms=duration_ms,
            error=error,
            details=struct(told),
            affected_rows=done.beside,
        )
        await asyncio.shield(self._record_end(request))
        return duration_ms

    async def _record_end(self, request: maintenance_pb2.EndJobRequest) -> None:
        for _ in range(_MOST_REFUSED):
            with contextlib.suppress(AutovibeError):
                await self.services.maintenance.end_job(request)
                return
            # Perhaps another only looked whether it may begin, in this very moment.
            await asyncio.sleep(_BETWEEN_SLICES_S)


Wanted = Callable[[maintenance_pb2.Job], bool]
Doorbell = Callable[[], AbstractAsyncContextManager[asyncio.Event]]


@dataclass(frozen=True)
class Scheduler:
    """Runs the jobs of a control plane that stays, or those that one which does not can afford."""

    runner: JobRunner
    verifier: Verifier
    doorbell: Doorbell

    async def run_due(
        self, *, cheap_only: bool = False, wanted: Wanted = lambda _: True
    ) -> list[JobOutcome]:
        """Run every job that is due, one after the other; a failure stops none of the others."""
        done: list[JobOutcome] = []
        jobs = await self.runner.jobs()
        now = self.runner.clock.now()
        for job in jobs:
            if not _is_ours(job) or not wanted(job) or (cheap_only and not job.cheap):
                continue
            if from_timestamp(job.due_at) > now:
                continue
            try:
                outcome = await self.runner.run(job, only_if_due=True)
            except AutovibeError as error:
                _logger.warning("job %s: %s", job.name, error)
                continue
            if outcome is not None:
                done.append(outcome)
                if outcome.error:
                    _logger.warning("job %s failed: %s", job.name, outcome.error)
        return done

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncGenerator[None]:
        """Run jobs when they are due, and verify checkpoints as they come, until the block ends."""
        with contextlib.suppress(AutovibeError):
            await self.runner.services.maintenance.register_jobs(
                maintenance_pb2.RegisterJobsRequest()
            )
        tasks = [
            asyncio.create_task(self._serve(_is_quick), name="jobs"),
            # Reading a large store takes hours, and no other job waits for that.
            asyncio.create_task(self._serve(_is_on_store), name="jobs on the store"),
            asyncio.create_task(self._verify(), name="verification"),
        ]
        try:
            yield
        finally:
            await _cancelled(tasks)

    @contextlib.asynccontextmanager
    async def caught_up(self) -> AsyncGenerator[None]:
        """Run overdue, cheap jobs while the block lasts; it never waits for them."""
        task = asyncio.create_task(self._catch_up(), name="overdue jobs")
        try:
            yield
        finally:
            await _cancelled([task])

    async def _serve(self, wanted: Wanted) -> None:
        while True:
            try:
                await self.run_due(wanted=wanted)
                pause_s = await self._pause_s(wanted)
            except AutovibeError as error:
                _logger.warning("jobs: %s", error)
                pause_s = LONGEST_PAUSE_S
            await asyncio.sleep(pause_s)

    async def _verify(self) -> None:
        async with self.doorbell() as rung:
            await self.verifier.serve(rung)

    async def _catch_up(self) -> None:
        await asyncio.sleep(CATCH_UP_AFTER_S)
        try:
            await self.run_due(cheap_only=True)
        except AutovibeError as error:
            _logger.warning("overdue jobs: %s", error)

    async def _pause_s(self, wanted: Wanted) -> float:
        """Return how long nothing will be due, a minute at most: the clock may be set."""
        jobs = [job for job in await self.runner.jobs() if _is_ours(job) and wanted(job)]
        due = [from_timestamp(job.due_at) for job in jobs]
        now = self.runner.clock.now()
        waits = [(at - now).total_seconds() for at in due if at > now]
        return max(1.0, min([LONGEST_PAUSE_S, *waits]))


def _is_on_store(job: maintenance_pb2.Job) -> bool:
    return job.kind == STORE_KIND


def _is_quick(job: maintenance_pb2.Job) -> bool:
    return job.kind != STORE_KIND


def _is_ours(job: maintenance_pb2.Job) -> bool:
    return not (job.disabled or job.in_database or job.kind == "continuous")


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))

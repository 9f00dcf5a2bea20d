"""Running scheduled jobs: each when it is due, one runner at a time, every run recorded.

The rules are operations of the maintenance service; this only calls them, so that jobs of a worker
host without the database run over gRPC as they do in process. What a run may change while it has
the job is decided there, step by step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import from_timestamp, struct
from autovibe.runtime.archives import Archives
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


@dataclass(frozen=True)
class JobOutcome:
    """What a run came to."""

    job: str
    affected_rows: int
    duration_ms: int
    error: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class JobRunner:
    """Runs one job at a time."""

    services: Services
    archives: Archives
    instance_id: str
    clock: Clock

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
        rows = 0
        details: dict[str, Any] = {}
        error = ""
        try:
            rows, details = await self._work(begun.run_id, job, before)
        except AutovibeError as failure:
            error = f"{failure.reason}: {failure.message}"[:_LONGEST_ERROR]
        except asyncio.CancelledError:
            await self._end(begun.run_id, started, "INTERRUPTED: the process ended.", details)
            raise
        except Exception as failure:
            _logger.exception("job %s failed", job.name)
            error = f"INTERNAL: {type(failure).__name__}"
        duration_ms = await self._end(begun.run_id, started, error, details)
        return JobOutcome(job.name, rows, duration_ms, error, details)

    async def dry_run(
        self, job: maintenance_pb2.Job, *, before: datetime | None = None
    ) -> JobOutcome:
        """Return what a run would do; nothing is changed."""
        started = self.clock.monotonic()
        what = _ARCHIVES.get(job.name)
        if what is not None:
            before = before or (None if job.disabled else self.archives.before(what))
            rows = 0 if before is None else await self.archives.count(what, before)
        else:
            request = maintenance_pb2.StepJobRequest(job=job.name, dry_run=True)
            rows = (await self.services.maintenance.step_job(request)).affected_rows
        return JobOutcome(job.name, rows, _ms(self.clock.monotonic() - started))

    async def _work(
        self, run_id: str, job: maintenance_pb2.Job, before: datetime | None
    ) -> tuple[int, dict[str, Any]]:
        what = _ARCHIVES.get(job.name)
        if what is not None:
            before = before or self.archives.before(what)
            if before is None:
                return 0, {}
            done = await self.archives.archive(run_id, job.name, what, before)
            return done.rows, {"archives": [manifest.file for manifest in done.manifests]}
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
            dropped = await self.services.maintenance.drop_pruned_references(
                maintenance_pb2.DropPrunedReferencesRequest()
            )
            return rows, {"references_dropped": dropped.dropped}
        return rows, {}

    async def _end(
        self, run_id: str, started: float, error: str, details: Mapping[str, Any]
    ) -> int:
        """Record the end of a run. That another has it now was recorded by that other."""
        duration_ms = _ms(self.clock.monotonic() - started)
        with contextlib.suppress(AutovibeError):
            await asyncio.shield(
                self.services.maintenance.end_job(
                    maintenance_pb2.EndJobRequest(
                        run_id=run_id,
                        duration_ms=duration_ms,
                        error=error,
                        details=struct(details),
                    )
                )
            )
        return duration_ms


Doorbell = Callable[[], AbstractAsyncContextManager[asyncio.Event]]


@dataclass(frozen=True)
class Scheduler:
    """Runs the jobs of a control plane that stays, or those that one which does not can afford."""

    runner: JobRunner
    verifier: Verifier
    doorbell: Doorbell

    async def run_due(self, *, cheap_only: bool = False) -> list[JobOutcome]:
        """Run every job that is due, one after the other; a failure stops none of the others."""
        done: list[JobOutcome] = []
        jobs = await self.runner.jobs()
        now = self.runner.clock.now()
        for job in jobs:
            if not _is_ours(job) or (cheap_only and not job.cheap):
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
            asyncio.create_task(self._serve(), name="jobs"),
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

    async def _serve(self) -> None:
        while True:
            try:
                await self.run_due()
                pause_s = await self._pause_s()
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

    async def _pause_s(self) -> float:
        """Return how long nothing will be due, a minute at most: the clock may be set."""
        due = [from_timestamp(job.due_at) for job in await self.runner.jobs() if _is_ours(job)]
        now = self.runner.clock.now()
        waits = [(at - now).total_seconds() for at in due if at > now]
        return max(1.0, min([LONGEST_PAUSE_S, *waits]))


def _is_ours(job: maintenance_pb2.Job) -> bool:
    return not (job.disabled or job.in_database or job.kind == "continuous")


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))

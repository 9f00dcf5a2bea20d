"""The rules of jobs: who may run one, what a run is, what is recorded of it.

A run is a row of `maintenance_log` from its beginning on: failed until it has succeeded, so that
one whose process was killed says so. Its holder prolongs a lease with every step; when the lease
has expired another process may begin, and what the first one does later is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.audit import repository
from autovibe.domains.audit.errors import JobLostError, JobNotFoundError
from autovibe.domains.audit.jobs import (
    JOBS,
    NOW,
    Job,
    JobKind,
    due_at,
    find_job,
    is_coalesced,
    retry_after,
)
from autovibe.domains.audit.models import MaintenanceRecord, MaintenanceStatus
from autovibe.domains.audit.ports import StoreOperations, Verifications
from autovibe.domains.contract import Slice, Step
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import from_struct, from_timestamp, timestamp
from autovibe.v1 import maintenance_pb2

LEASE: Final = timedelta(seconds=60)
_RUNNING: Final = "running"
_DIED: Final = "The process that ran it ended before it had."
_CRON_NOTE: Final = "; INSERT INTO maintenance_log (operation) VALUES ('{name}')"


class MaintenanceService:
    """Implements autovibe.v1.MaintenanceService."""

    def __init__(
        self,
        steps: Mapping[str, Step],
        verifications: Verifications,
        on_store: StoreOperations,
        *,
        disabled: frozenset[str] = frozenset(),
    ) -> None:
        """Run jobs by the steps of their domains.

        Args:
            steps: of each job that has no SQL, and of those that have for SQLite.
            verifications: the queue of checkpoints to verify.
            on_store: the long operations on the checkpoint store.
            disabled: names of jobs that are configured to be off.
        """
        wanted = {job.name for job in JOBS if job.kind == JobKind.STEPS}
        if wanted != set(steps):
            raise LookupError(f"jobs and their steps differ: {sorted(wanted ^ set(steps))}")
        self._steps = dict(steps)
        self._verifications = verifications
        self._disabled = disabled
        self.reconcile_references = on_store.reconcile
        self.prune_store = on_store.prune
        self.audit_store = on_store.audit

    async def get_jobs(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.GetJobsRequest
    ) -> maintenance_pb2.GetJobsResponse:
        """Return all jobs in the order of their list."""
        names = [job.name for job in JOBS]
        # What a function of the database logs has the name that it has there.
        names += [name.replace("-", "_") for name in names]
        newest = await repository.newest_runs(tx, names, successful=False)
        succeeded = await repository.newest_runs(tx, names, successful=True)
        registered = await repository.registered_jobs(tx, names)
        now = ctx.clock.now()
        return maintenance_pb2.GetJobsResponse(
            jobs=[
                self._message(
                    job, newest.get(job.name), _success(job, succeeded), job.name in registered, now
                )
                for job in JOBS
            ]
        )

    async def begin_job(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.BeginJobRequest
    ) -> maintenance_pb2.BeginJobResponse:
        """Begin a run unless somebody else has the job.

        Raises:
            JobNotFoundError: there is no such job.
        """
        job = _get_job(request.job)
        nothing = maintenance_pb2.BeginJobResponse()
        if not await repository.has_job_to_itself(tx, job.name):
            return nothing
        now = ctx.clock.now()
        last = next(iter(await repository.last_two(tx, job.name)), None)
        if last is not None and _is_running(last):
            if datetime.fromisoformat(last.details["lease_expires_at"]) > now:
                return nothing
            last.details = {**last.details, "state": "abandoned", "error": _DIED}
        if request.only_if_due and not await self._is_due(tx, job, last, now):
            return nothing
        run = MaintenanceRecord(
            operation=job.name,
            performed_at=now,
            status=MaintenanceStatus.FAILED,
            details={
                "state": _RUNNING,
                "instance_id": request.instance_id,
                "lease_expires_at": (now + LEASE).isoformat(),
            },
        )
        tx.session.add(run)
        await tx.session.flush()  # the answer names the run
        return maintenance_pb2.BeginJobResponse(run_id=str(run.id))

    async def step_job(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.StepJobRequest
    ) -> maintenance_pb2.StepJobResponse:
        """Do the next slice of a run.

        Raises:
            JobNotFoundError: there is no such job.
            JobLostError: the run has ended, or passed to another.
        """
        job = _get_job(request.job)
        if request.dry_run:
            done = await self._do(tx, ctx, job, dry_run=True)
        else:
            run = await held_run(tx, ctx, request.run_id)
            done = await self._do(tx, ctx, job, dry_run=False)
            run.affected_rows += done.rows
        return maintenance_pb2.StepJobResponse(affected_rows=done.rows, more=done.more)

    async def end_job(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.EndJobRequest
    ) -> maintenance_pb2.EndJobResponse:
        """Record how a run ended.

        Raises:
            JobLostError: the run has ended, or passed to another.
        """
        run = await held_run(tx, ctx, request.run_id)
        kept = {key: value for key, value in run.details.items() if key != "lease_expires_at"}
        details: dict[str, Any] = {**kept, **from_struct(request.details), "state": "ended"}
        run.performed_at = ctx.clock.now()
        run.duration_ms = min(request.duration_ms, 2**31 - 1)
        run.affected_rows += request.affected_rows
        if request.error:
            details["error"] = request.error
        else:
            run.status = MaintenanceStatus.SUCCESS
            await _coalesce(tx, run, details)
        run.details = details
        return maintenance_pb2.EndJobResponse()

    async def register_jobs(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.RegisterJobsRequest
    ) -> maintenance_pb2.RegisterJobsResponse:
        """Let pg_cron, where it is installed, run what is one statement.

        A job that it has under our name with another line or command is changed; one that is
        disabled, or whose cron lines are not read in UTC, is taken from it.
        """
        with_sql = {job.name: job for job in JOBS if job.sql}
        registered = await repository.registered_jobs(tx, with_sql)
        usable = await repository.can_register(tx)
        ours: list[str] = []
        for name, job in with_sql.items():
            if not usable or name in self._disabled:
                if name in registered:
                    await repository.unregister_job(tx, name)
                continue
            ours.append(name)
            wanted = (job.cron, _cron_command(job))
            if registered.get(name) != wanted:
                await repository.register_job(tx, name, *wanted)
        return maintenance_pb2.RegisterJobsResponse(jobs=ours)

    async def read_archivable(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.ReadArchivableRequest
    ) -> maintenance_pb2.ReadArchivableResponse:
        """Return the next rows that are old enough, with all that would be deleted with them."""
        before = from_timestamp(request.before)
        page = await repository.read_rows(tx, request.what, before, request.cursor, request.limit)
        return maintenance_pb2.ReadArchivableResponse(
            rows=page.lines,
            keys=page.keys,
            next_cursor=page.next_cursor,
            first_at=timestamp(page.first_at),
            last_at=timestamp(page.last_at),
            revision=await repository.revision(tx),
        )

    async def delete_archived(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.DeleteArchivedRequest
    ) -> maintenance_pb2.DeleteArchivedResponse:
        """Delete rows that a verified archive holds; the run tells which one, in the same commit.

        Raises:
            JobLostError: the run has ended, or passed to another.
        """
        run = await held_run(tx, ctx, request.run_id)
        deleted = await repository.delete_rows(tx, request.what, request.keys)
        run.affected_rows += deleted
        run.details = {**run.details, "archive": from_struct(request.archive)}
        return maintenance_pb2.DeleteArchivedResponse(deleted=deleted)

    async def insert_archived(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.InsertArchivedRequest
    ) -> maintenance_pb2.InsertArchivedResponse:
        """Put rows back that are not there.

        Raises:
            ArchiveUnreadableError: a line is none of an archive of this schema.
            ArchiveRowDiffersError: a row is there and says something else.
        """
        inserted, present = await repository.insert_rows(tx, request.rows, dry_run=request.dry_run)
        return maintenance_pb2.InsertArchivedResponse(inserted=inserted, present=present)

    async def claim_verification(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.ClaimVerificationRequest
    ) -> maintenance_pb2.ClaimVerificationResponse:
        """Claim the next checkpoint of the queue, or one whose verifier has died."""
        return await self._verifications.claim(tx, ctx, request)

    async def finish_verification(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.FinishVerificationRequest
    ) -> maintenance_pb2.FinishVerificationResponse:
        """Close an entry of the queue, or give it back after a failure to try."""
        return await self._verifications.finish(tx, ctx, request)

    async def _do(self, tx: WriteTx, ctx: CallContext, job: Job, *, dry_run: bool) -> Slice:
        if job.kind != JobKind.STEPS or job.name in self._disabled:
            return Slice(0)
        if job.sql and tx.dialect.name == "postgresql" and not dry_run:
            statement = job.sql.replace(NOW, "CAST(:now AS timestamptz)")
            values = {"now": ctx.clock.now()} if NOW in job.sql else {}
            return Slice(await repository.run_sql(tx, statement, values))
        return await self._steps[job.name](tx, ctx, dry_run=dry_run)

    async def _is_due(
        self, tx: WriteTx, job: Job, last: MaintenanceRecord | None, now: datetime
    ) -> bool:
        if job.name in self._disabled:
            return False
        failed = last is not None and last.status == MaintenanceStatus.FAILED
        if last is not None and failed and now < last.performed_at + retry_after(job):
            return False
        names = [job.name, job.name.replace("-", "_")]
        succeeded = _success(job, await repository.newest_runs(tx, names, successful=True))
        return due_at(job, succeeded.performed_at if succeeded else None, now) <= now

    def _message(
        self,
        job: Job,
        last: MaintenanceRecord | None,
        succeeded: MaintenanceRecord | None,
        in_database: bool,  # noqa: FBT001 - one fact of the row
        now: datetime,
    ) -> maintenance_pb2.Job:
        shown = last or succeeded
        message = maintenance_pb2.Job(
            name=job.name,
            cron=job.cron,
            kind=job.kind,
            cheap=job.cheap,
            in_database=in_database,
            disabled=job.name in self._disabled,
            due_at=timestamp(due_at(job, succeeded.performed_at if succeeded else None, now)),
            last_success_at=timestamp(succeeded.performed_at if succeeded else None),
            last_run_at=timestamp(shown.performed_at if shown else None),
        )
        if shown is not None:
            message.last_status = _RUNNING if _is_running(shown) else shown.status
            message.last_error = str(shown.details.get("error", ""))
            message.last_affected_rows = shown.affected_rows
        return message


async def held_run(tx: WriteTx, ctx: CallContext, run_id: str) -> MaintenanceRecord:
    """Return a run that is still its caller's, locked, its lease prolonged.

    Raises:
        JobLostError: it has ended, or passed to another.
    """
    run = await repository.lock_run(tx, uuid.UUID(run_id))
    if run is None or not _is_running(run):
        raise JobLostError(
            "The run of the job has ended or passed to another process; nothing was changed.",
            run_id=run_id,
        )
    if not await repository.has_job_to_itself(tx, run.operation):
        raise JobLostError(
            f"Another process works on {run.operation} right now; try again.", run_id=run_id
        )
    expires = ctx.clock.now() + LEASE
    run.details = {**run.details, "lease_expires_at": expires.isoformat()}
    return run


async def _coalesce(tx: WriteTx, run: MaintenanceRecord, details: dict[str, Any]) -> None:
    """Let a run of every minute that did nothing take the place of the one before it."""
    job = find_job(run.operation)
    if job is None or not is_coalesced(job) or run.affected_rows:
        return
    await tx.session.flush()  # the newest row is this one, under its new time
    for before in await repository.last_two(tx, run.operation):
        if (
            before.id != run.id
            and before.status == MaintenanceStatus.SUCCESS
            and not before.affected_rows
        ):
            details["runs"] = int(before.details.get("runs", 1)) + 1
            await tx.session.delete(before)


def _get_job(name: str) -> Job:
    job = find_job(name)
    if job is None:
        raise JobNotFoundError(
            f"There is no job {name}; choose one of {', '.join(job.name for job in JOBS)}.",
            job=name,
        )
    return job


def _is_running(run: MaintenanceRecord) -> bool:
    return run.status == MaintenanceStatus.FAILED and run.details.get("state") == _RUNNING


def _success(job: Job, succeeded: Mapping[str, MaintenanceRecord]) -> MaintenanceRecord | None:
    found = [succeeded.get(job.name), succeeded.get(job.name.replace("-", "_"))]
    return max((row for row in found if row), key=lambda row: row.performed_at, default=None)


def _cron_command(job: Job) -> str:
    """Return what pg_cron runs: the job, and the row that tells of it, in one transaction."""
    return job.sql.replace(NOW, "now()") + _CRON_NOTE.format(name=job.name)

"""The part of a walk in which a scheduler works."""

from __future__ import annotations

import contextlib
import uuid

from walk import Walk

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import maintenance_pb2

JOB = "archive-execution-logs"


async def maintain(going: Walk) -> None:
    """Run jobs as the scheduler does: list, begin, do, end, archive and put back."""
    jobs = going.services.maintenance
    instance_id = str(going.plane.instance_id)
    await jobs.get_jobs(maintenance_pb2.GetJobsRequest())
    await jobs.register_jobs(maintenance_pb2.RegisterJobsRequest())
    begin = maintenance_pb2.BeginJobRequest(job="seal-audit", instance_id=instance_id)
    begun = await jobs.begin_job(begin)
    await jobs.begin_job(begin)
    step = maintenance_pb2.StepJobRequest(run_id=begun.run_id, job="cleanup-outbox")
    await jobs.step_job(step)
    end = maintenance_pb2.EndJobRequest(
        run_id=begun.run_id, duration_ms=3, details=struct({"note": "ü"})
    )
    await jobs.end_job(end)
    for refused in (
        jobs.end_job(end),
        jobs.begin_job(maintenance_pb2.BeginJobRequest(job="make-coffee", instance_id=instance_id)),
    ):
        with contextlib.suppress(AutovibeError):
            await refused
    await _archive(going, instance_id)
    await jobs.reconcile_references(maintenance_pb2.ReconcileReferencesRequest())
    await jobs.prune_store(maintenance_pb2.PruneStoreRequest(dry_run=True))
    await jobs.audit_store(maintenance_pb2.AuditStoreRequest())
    await jobs.claim_verification(maintenance_pb2.ClaimVerificationRequest(locked_by="w"))
    await jobs.finish_verification(
        maintenance_pb2.FinishVerificationRequest(
            entry_id=str(uuid.UUID(int=7)), locked_by="w", attempt=1
        )
    )


async def _archive(going: Walk, instance_id: str) -> None:
    """Move the log lines away, and bring them back."""
    jobs = going.services.maintenance
    read = maintenance_pb2.ReadArchivableRequest(what="logs", limit=10)
    read.before.FromJsonString("2100-01-01T00:00:00Z")
    page = await jobs.read_archivable(read)
    begun = await jobs.begin_job(maintenance_pb2.BeginJobRequest(job=JOB, instance_id=instance_id))
    await jobs.delete_archived(
        maintenance_pb2.DeleteArchivedRequest(
            run_id=begun.run_id, what="logs", keys=page.keys, archive=struct({"file": "a"})
        )
    )
    for lines in (page.rows, page.rows, ["no JSON"]):
        with contextlib.suppress(AutovibeError):
            await jobs.insert_archived(maintenance_pb2.InsertArchivedRequest(rows=lines))
    await jobs.end_job(maintenance_pb2.EndJobRequest(run_id=begun.run_id))

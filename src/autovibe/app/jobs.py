"""Joining the scheduled jobs with what they do in their domains."""

from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from autovibe.db.listening import listening
from autovibe.domains.audit import (
    MaintenanceService,
    StoreOperations,
    clean_outbox,
    seal_audit,
)
from autovibe.domains.checkpoints import (
    AuditStore,
    KeepCheckpoints,
    PruneStore,
    ReconcileReferences,
    Storekeeper,
    ThinCheckpoints,
    VerificationQueue,
)
from autovibe.domains.metering import (
    clean_usage,
    create_partitions,
    refresh_nothing,
    reset_budgets,
    sample_storage,
)
from autovibe.domains.work.answering import expire_approvals
from autovibe.domains.work.model_calls import CleanModelCalls
from autovibe.domains.work.upkeep import (
    expire_orders,
    mark_workers_offline,
    time_out_executions,
)
from autovibe.kernel.clock import Clock
from autovibe.kernel.maintenance_settings import MaintenanceSettings
from autovibe.kernel.settings import Settings
from autovibe.runtime.archives import Archives
from autovibe.runtime.scheduler import JobRunner, Scheduler
from autovibe.runtime.verifier import CHANNEL, Verifier
from autovibe.sdk.services import Services
from autovibe.store import CheckpointStore

if TYPE_CHECKING:
    import asyncio

    from autovibe.db import Database


def maintenance_service(
    store: CheckpointStore, keeper: Storekeeper, settings: MaintenanceSettings
) -> MaintenanceService:
    """Return the service of jobs, each joined to its rule.

    Args:
        store: the checkpoint store.
        keeper: works on all of it.
        settings: how long things are kept.
    """
    grace = timedelta(days=settings.grace_days)
    ages = {
        "archive-execution-logs": settings.logs_days,
        "archive-executions": settings.executions_days,
        "archive-chat": settings.chat_days,
        "cleanup-checkpoints": settings.checkpoints_days,
        "cleanup-model-calls": settings.model_calls_days,
        "prune-store": settings.grace_days,
        "audit-store": settings.audit_store,
    }
    return MaintenanceService(
        {
            "expire-work-orders": expire_orders,
            "time-out-executions": time_out_executions,
            "expire-approvals": expire_approvals,
            "mark-workers-offline": mark_workers_offline,
            "reset-budgets": reset_budgets,
            "sample-storage": sample_storage,
            "seal-audit": seal_audit,
            "refresh-project-summary": refresh_nothing,
            "refresh-machine-performance": refresh_nothing,
            "create-next-partition": create_partitions,
            "cleanup-resource-usage": clean_usage,
            "cleanup-checkpoints": ThinCheckpoints(
                settings.checkpoints_days,
                KeepCheckpoints(
                    last=settings.checkpoints_keep_last,
                    daily=settings.checkpoints_keep_daily,
                    monthly=settings.checkpoints_keep_monthly,
                ),
            ),
            "cleanup-outbox": clean_outbox,
            "cleanup-model-calls": CleanModelCalls(settings.model_calls_days),
        },
        VerificationQueue(),
        StoreOperations(
            reconcile=ReconcileReferences(store, grace),
            prune=PruneStore(keeper, grace),
            audit=AuditStore(store, keeper),
        ),
        disabled=frozenset(name for name, days in ages.items() if not days),
    )


def make_archives(settings: Settings, services: Services, clock: Clock) -> Archives:
    """Return the archives of a home."""
    own = settings.maintenance
    return Archives(
        services,
        settings.archive_path,
        clock,
        {"logs": own.logs_days, "executions": own.executions_days, "chat": own.chat_days},
    )


def make_scheduler(
    settings: Settings,
    services: Services,
    database: Database,
    instance_id: uuid.UUID,
    clock: Clock,
) -> Scheduler:
    """Return what runs the jobs of one control-plane process."""

    def doorbell() -> AbstractAsyncContextManager[asyncio.Event]:
        return listening(database, CHANNEL)

    archives = make_archives(settings, services, clock)
    return Scheduler(
        JobRunner(services, archives, str(instance_id), clock),
        Verifier(services, str(instance_id)),
        doorbell,
    )

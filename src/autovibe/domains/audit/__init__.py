"""Sealing of the audit trail, the log of maintenance jobs, and archives of old rows."""

from autovibe.domains.audit.jobs import JOBS, Job, JobKind
from autovibe.domains.audit.maintenance import MaintenanceService
from autovibe.domains.audit.ports import StoreOperations
from autovibe.domains.audit.sealing import clean_outbox, seal_audit
from autovibe.domains.audit.trail import AuditService

__all__ = [
    "JOBS",
    "AuditService",
    "Job",
    "JobKind",
    "MaintenanceService",
    "StoreOperations",
    "clean_outbox",
    "seal_audit",
]

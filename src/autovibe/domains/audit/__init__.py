"""Sealing of the audit trail, the log of maintenance jobs, and archives of old rows."""

from autovibe.domains.audit.jobs import JOBS, Job, JobKind
from autovibe.domains.audit.maintenance import MaintenanceService
from autovibe.domains.audit.ports import StoreOperations
from autovibe.domains.audit.repository import last_success
from autovibe.domains.audit.sealing import clean_outbox, find_broken_seal, seal_audit

__all__ = [
    "JOBS",
    "Job",
    "JobKind",
    "MaintenanceService",
    "StoreOperations",
    "clean_outbox",
    "find_broken_seal",
    "last_success",
    "seal_audit",
]

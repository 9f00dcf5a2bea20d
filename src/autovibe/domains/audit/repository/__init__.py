"""Queries of the audit domain."""

from autovibe.domains.audit.repository.archives import (
    ArchivePage,
    delete_rows,
    insert_rows,
    read_rows,
)
from autovibe.domains.audit.repository.runs import (
    can_register,
    has_job_to_itself,
    last_success,
    last_two,
    lock_run,
    newest_runs,
    register_job,
    registered_jobs,
    revision,
    run_sql,
    unregister_job,
)
from autovibe.domains.audit.repository.trail import (
    all_seals,
    audit_rows,
    count_audit_rows,
    count_relayed,
    delete_relayed,
    last_seal,
    lock_audit_writers_out,
)

__all__ = [
    "ArchivePage",
    "all_seals",
    "audit_rows",
    "can_register",
    "count_audit_rows",
    "count_relayed",
    "delete_relayed",
    "delete_rows",
    "has_job_to_itself",
    "insert_rows",
    "last_seal",
    "last_success",
    "last_two",
    "lock_audit_writers_out",
    "lock_run",
    "newest_runs",
    "read_rows",
    "register_job",
    "registered_jobs",
    "revision",
    "run_sql",
    "unregister_job",
]

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
    audit_rows,
    count_audit_rows,
    count_relayed,
    delete_relayed,
    find_seal,
    last_seal,
    list_records,
    lock_audit_writers_out,
    seals_after,
)

__all__ = [
    "ArchivePage",
    "audit_rows",
    "can_register",
    "count_audit_rows",
    "count_relayed",
    "delete_relayed",
    "delete_rows",
    "find_seal",
    "has_job_to_itself",
    "insert_rows",
    "last_seal",
    "last_two",
    "list_records",
    "lock_audit_writers_out",
    "lock_run",
    "newest_runs",
    "read_rows",
    "register_job",
    "registered_jobs",
    "revision",
    "run_sql",
    "seals_after",
    "unregister_job",
]

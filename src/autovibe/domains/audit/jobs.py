"""The scheduled jobs as data: name, cron line in UTC, what runs. This is the one list of them.

A job runs in slices, each in a transaction of its own, so that SQLite is never held for long; its
rule is a `Step` of the domain whose rows it changes, joined to its name in `app`. Where `sql` is
given that is what PostgreSQL runs, and what pg_cron runs in our place when it is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cronsim import CronSim

NOW: Final = "{now}"
"""Stands in `Job.sql` for the present time."""
RETRY_AFTER: Final = timedelta(minutes=5)
"""How long a failed job waits before it is tried again; one of every minute waits a minute."""

STORE_RETRY_AFTER: Final = timedelta(hours=6)
"""As long as it takes to read a large store again, which is not done over and over."""


class JobKind(StrEnum):
    """How a job is run."""

    STEPS = "steps"
    """Slices until nothing is left."""
    ARCHIVE = "archive"
    """Rows go to a file that is verified before they are deleted."""
    STORE = "store"
    """Work on the whole checkpoint store, in a process of its own."""
    CONTINUOUS = "continuous"
    """Always, whenever there is something to do."""


@dataclass(frozen=True)
class Job:
    """What is run when."""

    name: str
    cron: str
    kind: JobKind = JobKind.STEPS
    cheap: bool = False
    """A short-lived process may run it on the side."""
    sql: str = ""
    """One statement of PostgreSQL that does it all."""
    archive: str = ""
    """What an archive job archives: logs, executions or chat."""


_EVERY_MINUTE: Final = "* * * * *"

JOBS: Final = (
    Job("expire-work-orders", _EVERY_MINUTE, cheap=True),
    Job("time-out-executions", _EVERY_MINUTE, cheap=True),
    Job("expire-approvals", _EVERY_MINUTE, cheap=True),
    Job("mark-workers-offline", _EVERY_MINUTE, cheap=True),
    Job("verify-checkpoints", _EVERY_MINUTE, JobKind.CONTINUOUS),
    Job("reset-budgets", "0 0 * * *", cheap=True),
    Job("sample-storage", "15 * * * *", cheap=True),
    Job("seal-audit", "*/10 * * * *", cheap=True),
    Job(
        "refresh-project-summary",
        "0 1 * * *",
        sql="REFRESH MATERIALIZED VIEW CONCURRENTLY mv_project_resource_summary",
    ),
    Job(
        "refresh-machine-performance",
        "0 2 * * *",
        sql="REFRESH MATERIALIZED VIEW CONCURRENTLY mv_machine_performance",
    ),
    Job(
        "create-next-partition",
        "0 0 25 * *",
        cheap=True,
        sql=(
            "SELECT create_monthly_partition('resource_usage', (date_trunc('month', "
            "{now} AT TIME ZONE 'UTC') + ahead * interval '1 month')::date) "
            "FROM generate_series(0, 3) AS ahead"
        ),
    ),
    Job(
        "cleanup-resource-usage",
        "0 2 1 * *",
        sql="SELECT cleanup_old_resource_usage({now} - interval '1 year')",
    ),
    Job("archive-execution-logs", "30 2 * * *", JobKind.ARCHIVE, archive="logs"),
    Job("archive-executions", "0 3 * * *", JobKind.ARCHIVE, archive="executions"),
    Job("archive-chat", "30 3 * * *", JobKind.ARCHIVE, archive="chat"),
    Job("cleanup-checkpoints", "0 4 * * *"),
    Job("prune-store", "15 4 * * *", JobKind.STORE),
    Job("cleanup-outbox", "30 4 * * *"),
    Job("cleanup-model-calls", "45 4 * * *"),
    Job("audit-store", "0 5 * * 0", JobKind.STORE),
)


def find_job(name: str) -> Job | None:
    """Return the job of a name."""
    return next((job for job in JOBS if job.name == name), None)


def due_at(job: Job, last_success: datetime | None, now: datetime) -> datetime:
    """Return when a job is to run next; one that never succeeded is due now (decision E8)."""
    if last_success is None:
        return now
    return next(CronSim(job.cron, last_success))


def is_coalesced(job: Job) -> bool:
    """Return whether runs that found nothing to do share one row of the log."""
    return job.cron == _EVERY_MINUTE


def retry_after(job: Job) -> timedelta:
    """Return how long the job waits after a failure."""
    if job.kind == JobKind.STORE:
        return STORE_RETRY_AFTER
    return timedelta(minutes=1) if is_coalesced(job) else RETRY_AFTER

"""Queries on the log of jobs, and on what the database's own scheduler runs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import func, select, text

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.audit.models import MaintenanceRecord, MaintenanceStatus

_LOCK_CLASS: Final = 0x6A6F6273
"""First half of the advisory locks of jobs; any constant will do."""
_CRON_TABLE: Final = "SELECT to_regclass('cron.job') IS NOT NULL"
# Lines are read in the time zone of the server's configuration, which may be any.
_CRON_IN_UTC: Final = "SELECT coalesce(current_setting('cron.timezone', true), 'GMT')"
_REGISTERED: Final = text(
    "SELECT jobname, schedule, command FROM cron.job"
    " WHERE active AND database = current_database() AND jobname = ANY (:names)"
)


async def newest_runs(
    tx: ReadTx, operations: Collection[str], *, successful: bool
) -> dict[str, MaintenanceRecord]:
    """Return the newest row of each operation, or the newest of those that succeeded."""
    order = func.row_number().over(
        partition_by=MaintenanceRecord.operation,
        order_by=(MaintenanceRecord.performed_at.desc(), MaintenanceRecord.id),
    )
    query = select(MaintenanceRecord.id, order.label("place")).where(
        MaintenanceRecord.operation.in_(operations)
    )
    if successful:
        query = query.where(MaintenanceRecord.status == MaintenanceStatus.SUCCESS)
    ranked = query.subquery()
    rows = await tx.session.scalars(
        select(MaintenanceRecord)
        .join(ranked, ranked.c.id == MaintenanceRecord.id)
        .where(ranked.c.place == 1)
    )
    return {row.operation: row for row in rows}


async def last_two(tx: ReadTx, operation: str) -> Sequence[MaintenanceRecord]:
    """Return the two newest rows of an operation, the newest first."""
    query = (
        select(MaintenanceRecord)
        .where(MaintenanceRecord.operation == operation)
        .order_by(MaintenanceRecord.performed_at.desc(), MaintenanceRecord.id)
        .limit(2)
    )
    return (await tx.session.scalars(query)).all()


async def lock_run(tx: WriteTx, run_id: uuid.UUID) -> MaintenanceRecord | None:
    """Return a run, locked for the transaction."""
    query = select(MaintenanceRecord).where(MaintenanceRecord.id == run_id)
    found = await tx.session.scalars(tx.dialect.for_update(query, MaintenanceRecord))
    return found.one_or_none()


async def has_job_to_itself(tx: WriteTx, name: str) -> bool:
    """Return whether no other transaction works on a job now; from here on this one does.

    On SQLite there is one writer, so that always holds.
    """
    if tx.dialect.name != "postgresql":
        return True
    statement = text("SELECT pg_try_advisory_xact_lock(:class, hashtext(:name))")
    found = await tx.session.scalar(statement, {"class": _LOCK_CLASS, "name": name})
    return bool(found)


async def run_sql(tx: WriteTx, statement: str, values: dict[str, Any]) -> int:
    """Run the statement of a job, however long it takes; return the rows that it tells of."""
    await tx.session.execute(text("SET LOCAL statement_timeout = 0"))
    result: Any = await tx.session.execute(text(statement), values)
    if not result.returns_rows:
        return 0
    return sum(int(value or 0) for (value,) in result)


async def registered_jobs(tx: ReadTx, names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the jobs that pg_cron runs in this database: name → cron line and command."""
    if tx.dialect.name != "postgresql" or not await tx.session.scalar(text(_CRON_TABLE)):
        return {}
    rows = await tx.session.execute(_REGISTERED, {"names": list(names)})
    return {row.jobname: (row.schedule, row.command) for row in rows}


async def can_register(tx: ReadTx) -> bool:
    """Return whether pg_cron is installed in this database and reads cron lines in UTC."""
    if tx.dialect.name != "postgresql" or not await tx.session.scalar(text(_CRON_TABLE)):
        return False
    return (await tx.session.scalar(text(_CRON_IN_UTC))) in {"GMT", "UTC", "Etc/UTC"}


async def register_job(tx: WriteTx, name: str, cron: str, command: str) -> None:
    """Let pg_cron run a command; a job of this name is changed."""
    await tx.session.execute(
        text("SELECT cron.schedule(:name, :cron, :command)"),
        {"name": name, "cron": cron, "command": command},
    )


async def unregister_job(tx: WriteTx, name: str) -> None:
    """Take a job from pg_cron."""
    await tx.session.execute(text("SELECT cron.unschedule(:name)"), {"name": name})


async def revision(tx: ReadTx) -> str:
    """Return the revision of the schema."""
    return str(await tx.session.scalar(text("SELECT version_num FROM alembic_version")) or "")

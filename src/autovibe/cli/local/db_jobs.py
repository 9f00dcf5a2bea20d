"""`autovibe db maintain`, `archive` and `restore-archive`: scheduled jobs by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from autovibe.cli import lazy
from autovibe.cli.client.command import json_option
from autovibe.cli.client.connection import log_to_file
from autovibe.cli.client.waiting import waiting
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import plural, table
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import progress_view
from autovibe.kernel.errors import (
    EXIT_FAILED,
    EXIT_OK,
    AutovibeError,
    Code,
    InvalidArgumentError,
)
from autovibe.kernel.settings import ensure_home, load_settings
from autovibe.runtime.archives import Restored
from autovibe.runtime.scheduler import JobOutcome, JobRunner
from autovibe.v1 import maintenance_pb2

if TYPE_CHECKING:
    from autovibe.app.compose import ControlPlane

T = TypeVar("T")

_ARCHIVE_JOBS: Final = {
    "logs": "archive-execution-logs",
    "executions": "archive-executions",
    "chat": "archive-chat",
}
_DATE: Final = click.DateTime(["%Y-%m-%d"])


class JobBusyError(AutovibeError):
    """Another process runs the job."""

    code = Code.FAILED_PRECONDITION
    reason = "JOB_BUSY"


@click.command(epilog="Example: autovibe db maintain --dry-run")
@click.argument("job", default="")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--list", "only_list", is_flag=True, help="List the jobs and their last runs.")
@json_option
def maintain(job: str, *, dry_run: bool, only_list: bool, as_json: bool) -> int:
    """Run the scheduled jobs that are due, or one JOB now.

    A running `autovibe up` runs them by itself. Exit status 1 when one failed, or found what a
    person has to see to.
    """

    async def body(plane: ControlPlane) -> Sequence[JobOutcome] | Sequence[maintenance_pb2.Job]:
        runner = plane.scheduler.runner
        jobs = await runner.jobs()
        if only_list:
            return jobs
        if job:
            return [await _run_one(plane, _find(jobs, job), dry_run=dry_run)]
        if dry_run:
            return [
                await runner.dry_run(one)
                for one in jobs
                if one.kind != "continuous" and not one.disabled
            ]
        return await plane.scheduler.run_due()

    found = _with_plane(body, doing="running jobs")
    if only_list:
        _show_jobs([one for one in found if isinstance(one, maintenance_pb2.Job)], as_json=as_json)
        return EXIT_OK
    outcomes = [one for one in found if isinstance(one, JobOutcome)]
    return _show_outcomes(outcomes, as_json=as_json, dry_run=dry_run)


def run_jobs(names: Sequence[str], *, doing: str, dry_run: bool, as_json: bool) -> int:
    """Run jobs now, one after the other, and show what they came to; return the exit status.

    Args:
        names: of the jobs.
        doing: what they do, for people.
        dry_run: only say what they would do.
        as_json: print it as data.
    """

    async def body(plane: ControlPlane) -> list[JobOutcome]:
        jobs = await plane.scheduler.runner.jobs()
        return [await _run_one(plane, _find(jobs, name), dry_run=dry_run) for name in names]

    return _show_outcomes(_with_plane(body, doing=doing), as_json=as_json, dry_run=dry_run)


@click.command(epilog="Example: autovibe db archive --what logs --before 2026-01-01 --dry-run")
@click.option(
    "--what",
    type=click.Choice(list(_ARCHIVE_JOBS)),
    multiple=True,
    help="What to archive; may be repeated. Logs and executions by default.",
)
@click.option(
    "--before",
    type=_DATE,
    help="Archive what is older than this day (UTC); by default as old as configured.",
)
@click.option("--dry-run", is_flag=True, help="Count the rows, and do nothing.")
@json_option
def archive(what: Sequence[str], *, before: datetime | None, dry_run: bool, as_json: bool) -> int:
    """Move old rows out of the database into compressed files.

    Each file is read back before its rows are deleted, and has a manifest with its SHA-256 and the
    number of its rows. `autovibe db restore-archive` puts them back.
    """
    since = before.replace(tzinfo=UTC) if before is not None else None

    async def body(plane: ControlPlane) -> list[JobOutcome]:
        runner = plane.scheduler.runner
        jobs = await runner.jobs()
        done: list[JobOutcome] = []
        for kind in what or ("logs", "executions"):
            limit = since or runner.archives.before(kind)
            if limit is None:
                raise InvalidArgumentError(
                    f"Archiving of {kind} is off; say which with --before, or set "
                    f"maintenance.{kind}_days.",
                    field="before",
                )
            job = _find(jobs, _ARCHIVE_JOBS[kind])
            done.append(
                await runner.dry_run(job, before=limit)
                if dry_run
                else _begun(job, await runner.run(job, only_if_due=False, before=limit))
            )
        return done

    outcomes = _with_plane(body, doing="archiving")
    return _show_outcomes(outcomes, as_json=as_json, dry_run=dry_run)


@click.command(
    "restore-archive",
    epilog="Example: autovibe db restore-archive ~/.autovibe/archives/logs-20260101.jsonl.zst",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and count the rows, do nothing.")
@json_option
def restore_archive(file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Put the rows of an archive back into the database.

    Rows that are there are left alone, so that it may be done again. The next archive job takes
    them away again: raise the age in the settings first to keep them.
    """

    async def body(plane: ControlPlane) -> Restored:
        return await plane.scheduler.runner.archives.restore(file, dry_run=dry_run)

    done = _with_plane(body, doing="restoring an archive")
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "inserted": done.inserted,
                "present": done.present,
                "manifest": asdict(done.manifest),
            }
        )
        return
    verb = "would be put back" if dry_run else "put back"
    print_lines([f"{plural(done.inserted, 'row')} {verb}, {done.present:,} were there."])


async def _run_one(plane: ControlPlane, job: maintenance_pb2.Job, *, dry_run: bool) -> JobOutcome:
    if job.kind == "continuous":
        verified = 0 if dry_run else await plane.scheduler.verifier.verify_all()
        return JobOutcome(job.name, verified, 0)
    runner: JobRunner = plane.scheduler.runner
    if dry_run:
        return await runner.dry_run(job)
    return _begun(job, await runner.run(job, only_if_due=False))


def _begun(job: maintenance_pb2.Job, outcome: JobOutcome | None) -> JobOutcome:
    if outcome is None:
        raise JobBusyError(
            f"Another process runs {job.name} right now; try again when it is done.", job=job.name
        )
    return outcome


def _find(jobs: Sequence[maintenance_pb2.Job], name: str) -> maintenance_pb2.Job:
    for job in jobs:
        if job.name == name:
            return job
    raise InvalidArgumentError(
        f"There is no job {name!r}; choose one of {', '.join(job.name for job in jobs)}.",
        field="job",
    )


def _show_outcomes(outcomes: Sequence[JobOutcome], *, as_json: bool, dry_run: bool) -> int:
    """Show what jobs came to, and return the exit status for it."""
    status = EXIT_FAILED if any(one.error or one.alarms for one in outcomes) else EXIT_OK
    if as_json:
        print_json({"dry_run": dry_run, "jobs": [asdict(one) for one in outcomes]})
        return status
    if not outcomes:
        print_notes(["No job is due."])
        return status
    rows = [
        (one.job, f"{one.affected_rows:,}", f"{one.duration_ms:,} ms", _told(one))
        for one in outcomes
    ]
    heading = "WOULD AFFECT" if dry_run else "ROWS"
    print_lines(table(("JOB", heading, "TIME", ""), rows))
    print_lines([alarm for one in outcomes for alarm in one.alarms])
    return status


def _told(outcome: JobOutcome) -> str:
    if outcome.error:
        return f"failed: {outcome.error}"
    return outcome.note


def _show_jobs(jobs: Sequence[maintenance_pb2.Job], *, as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [_job_document(job) for job in jobs]})
        return
    rows = [
        (
            job.name,
            job.cron if job.kind != "continuous" else "always",
            _who(job),
            _time(job, "last_success_at"),
            job.last_status,
            job.last_error,
        )
        for job in jobs
    ]
    print_lines(table(("JOB", "WHEN (UTC)", "RUN BY", "LAST SUCCESS", "LAST RUN", ""), rows))


def _who(job: maintenance_pb2.Job) -> str:
    if job.disabled:
        return "off"
    return "database" if job.in_database else "autovibe"


def _time(job: maintenance_pb2.Job, name: str) -> str:
    if not job.HasField(name):  # pyright: ignore[reportArgumentType]  # a name of a field
        return ""
    at: datetime = getattr(job, name).ToDatetime()
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _job_document(job: maintenance_pb2.Job) -> dict[str, Any]:
    return {
        "name": job.name,
        "cron": job.cron,
        "kind": job.kind,
        "run_by": _who(job),
        "last_success_at": _time(job, "last_success_at"),
        "last_run_at": _time(job, "last_run_at"),
        "last_status": job.last_status,
        "last_error": job.last_error,
        "last_affected_rows": job.last_affected_rows,
    }


def _with_plane(body: Callable[[ControlPlane], Awaitable[T]], *, doing: str) -> T:
    """Open a control plane of this process, beside a server if there is one: jobs are locked."""

    async def run(_interrupts: Interrupts) -> T:
        settings = load_settings()
        ensure_home(settings)
        log_to_file(settings.home / "autovibe.log")
        view = progress_view()
        # Loaded when it is needed: the other commands of the group do without it.
        open_plane = lazy.load("autovibe.app.compose:open_control_plane")
        try:
            async with open_plane(settings) as plane, waiting(view, doing):
                return await body(plane)
        finally:
            view.close()

    return run_with_interrupts(run)

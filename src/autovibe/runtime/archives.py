"""Archiving old rows: write, verify by reading back, only then delete; and putting them back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from autovibe.kernel.clock import Clock
from autovibe.kernel.faults import reach
from autovibe.kernel.protoconv import from_timestamp, struct, timestamp
from autovibe.runtime.archive_files import (
    ArchiveWriter,
    Manifest,
    read_lines,
    read_manifest,
    remove_leftovers,
)
from autovibe.sdk.services import Services
from autovibe.v1 import maintenance_pb2

MOST_ROWS: Final = 100_000
"""Of one file; more go to the next."""
_READ_AT_ONCE: Final = {"logs": 500, "executions": 50, "chat": 200}
_DELETED_AT_ONCE: Final = {"logs": 200, "executions": 20, "chat": 100}
_INSERTED_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Archived:
    """What a run of archiving came to."""

    rows: int
    manifests: Sequence[Manifest]


@dataclass(frozen=True)
class Restored:
    """What putting an archive back came to."""

    inserted: int
    present: int
    manifest: Manifest


@dataclass
class _Facts:
    """What is known of the rows of one file."""

    keys: list[str] = field(default_factory=list[str])
    first_at: datetime | None = None
    last_at: datetime | None = None
    revision: str = ""

    def add(self, page: maintenance_pb2.ReadArchivableResponse) -> None:
        self.keys += page.keys
        first, last = from_timestamp(page.first_at), from_timestamp(page.last_at)
        self.first_at = min(self.first_at or first, first)
        self.last_at = max(self.last_at or last, last)
        self.revision = page.revision


@dataclass(frozen=True)
class Archives:
    """Archives in a directory."""

    services: Services
    directory: Path
    clock: Clock
    keep_days: Mapping[str, int]
    """By what is archived; 0 keeps it for ever in the database."""
    most_rows: int = MOST_ROWS

    def before(self, what: str) -> datetime | None:
        """Return from when on rows are kept; `None` when all are."""
        days = self.keep_days.get(what, 0)
        return self.clock.now() - timedelta(days=days) if days else None

    async def count(self, what: str, before: datetime) -> int:
        """Return how many rows would be archived."""
        rows, cursor = 0, ""
        while True:
            page = await self._read(what, before, cursor)
            if not page.keys:
                return rows
            rows += len(page.keys)
            cursor = page.next_cursor

    async def archive(self, run_id: str, job: str, what: str, before: datetime) -> Archived:
        """Archive all rows that are older than a time, file by file.

        A row is deleted when the file that holds it was read back, and not sooner. One that is
        killed in between leaves rows in the database and in a file, which the next run archives
        again; putting both files back is the same as putting back one.

        Args:
            run_id: the run, begun by the caller; it is prolonged.
            job: its job.
            what: logs, executions or chat.
            before: rows that are older go.

        Raises:
            ArchiveUnwritableError: the directory cannot be written; nothing more was deleted.
            ArchiveDamagedError: what was written cannot be read back; nothing more was deleted.
            JobLostError: the run has passed to another process.
        """
        await asyncio.to_thread(remove_leftovers, self.directory, what)
        rows = 0
        manifests: list[Manifest] = []
        while True:
            done = await self._one_file(run_id, job, what, before)
            if done is None:
                return Archived(rows, manifests)
            rows += done[0]
            manifests.append(done[1])

    async def restore(self, path: Path, *, dry_run: bool = False) -> Restored:
        """Put the rows of an archive back; those that are there are left alone.

        Raises:
            ArchiveDamagedError: the file is not what its manifest says.
            ArchiveRowDiffersError: a row is there and says something else.
        """
        manifest = await asyncio.to_thread(read_manifest, path)
        lines = read_lines(path)
        inserted = present = 0
        while True:
            batch = await asyncio.to_thread(list, itertools.islice(lines, _INSERTED_AT_ONCE))
            if not batch:
                return Restored(inserted, present, manifest)
            answer = await self.services.maintenance.insert_archived(
                maintenance_pb2.InsertArchivedRequest(rows=batch, dry_run=dry_run)
            )
            inserted += answer.inserted
            present += answer.present

    async def _one_file(
        self, run_id: str, job: str, what: str, before: datetime
    ) -> tuple[int, Manifest] | None:
        name = f"{what}-{self.clock.now():%Y%m%dT%H%M%SZ}-{run_id[-12:]}"
        taken = len(list(self.directory.glob(f"{name}*.manifest.json")))
        writer = ArchiveWriter(self.directory, f"{name}-{taken + 1}")
        facts = _Facts()
        cursor = ""
        try:
            while len(facts.keys) < self.most_rows:
                page = await self._read(what, before, cursor)
                if not page.keys:
                    break
                await asyncio.to_thread(writer.write, page.rows)
                facts.add(page)
                cursor = page.next_cursor
                await self._prolong(run_id, job)
            if not facts.keys:
                return None
            manifest = await asyncio.to_thread(
                writer.keep,
                {
                    "what": what,
                    "revision": facts.revision,
                    "created_at": self.clock.now().isoformat(),
                    "before": before.isoformat(),
                    "first_at": facts.first_at.isoformat() if facts.first_at else "",
                    "last_at": facts.last_at.isoformat() if facts.last_at else "",
                },
            )
        finally:
            writer.discard()
        return await self._delete(run_id, what, facts.keys, manifest), manifest

    async def _delete(self, run_id: str, what: str, keys: Sequence[str], manifest: Manifest) -> int:
        told = struct({**asdict(manifest), "directory": str(self.directory)})
        deleted = 0
        size = _DELETED_AT_ONCE[what]
        for start in range(0, len(keys), size):
            batch = keys[start : start + size]
            answer = await self.services.maintenance.delete_archived(
                maintenance_pb2.DeleteArchivedRequest(
                    run_id=run_id, what=what, keys=batch, archive=told
                )
            )
            deleted += answer.deleted
            reach("archive_slice_deleted")
        return deleted

    async def _read(
        self, what: str, before: datetime, cursor: str
    ) -> maintenance_pb2.ReadArchivableResponse:
        return await self.services.maintenance.read_archivable(
            maintenance_pb2.ReadArchivableRequest(
                what=what, before=timestamp(before), cursor=cursor, limit=_READ_AT_ONCE[what]
            )
        )

    async def _prolong(self, run_id: str, job: str) -> None:
        await self.services.maintenance.step_job(
            maintenance_pb2.StepJobRequest(run_id=run_id, job=job)
        )

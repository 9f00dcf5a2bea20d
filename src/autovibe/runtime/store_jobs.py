"""The jobs on the checkpoint store: what is called, and what people are told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import json_format

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.sdk.services import Services
from autovibe.v1 import maintenance_pb2

STORE_KIND: Final = "store"
MEND: Final = (
    "repair the store from a copy of it with `autovibe store check --repair --from DIR`, or run a "
    "task on a directory that still has the files, then `autovibe checkpoint verify --all`"
)


@dataclass(frozen=True)
class Done:
    """What a job came to."""

    rows: int = 0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""
    alarms: Sequence[str] = ()
    beside: int = 0
    """Those of `rows` that no step of the job has counted."""


async def store_work(services: Services, job: str, *, dry_run: bool = False) -> Done:
    """Do one of the jobs on the whole store, or say what it would do.

    Raises:
        AutovibeError: the store is damaged, full, in use or cannot be written.
    """
    if job == "prune-store":
        return await _pruned(services, dry_run=dry_run)
    if job == "audit-store":
        # Reading is all that it does, so there is nothing to say beforehand.
        return Done(note="reads the whole store") if dry_run else await _audited(services)
    raise InvalidArgumentError(f"{job} is no job on the store.", field="job")


async def reconciled(services: Services, *, dry_run: bool = False) -> Done:
    """Make references and rows agree, or say what does not."""
    done = await services.maintenance.reconcile_references(
        maintenance_pb2.ReconcileReferencesRequest(dry_run=dry_run)
    )
    alarms: list[str] = []
    if done.lost and not dry_run:
        some = ", ".join(done.lost_checkpoint_ids[:3])
        alarms.append(
            f"{_count(done.lost, 'checkpoint')} without a reference in the store, and without "
            f"files ({some}): {MEND}."
        )
    told: list[str] = []
    if done.dropped + done.garbage:
        gone = "would be dropped" if dry_run else "dropped"
        told.append(f"{_count(done.dropped + done.garbage, 'reference')} {gone}")
    if missing := done.put_back + (done.lost if dry_run else 0):
        back = "missing" if dry_run else "put back"
        told.append(f"{_count(missing, 'reference')} {back}")
    details = {
        "references_dropped": done.dropped,
        "references_without_row": done.garbage,
        "references_put_back": done.put_back,
        "lost": done.lost,
    }
    return Done(0, details, ", ".join(told), tuple(alarms))


async def _pruned(services: Services, *, dry_run: bool) -> Done:
    done = await services.maintenance.prune_store(
        maintenance_pb2.PruneStoreRequest(dry_run=dry_run)
    )
    freed = done.stored_bytes_before - done.stored_bytes_after
    would = "would be " if dry_run else ""
    note = f"{_mib(freed)} {would}given back, {_mib(done.held_bytes)} more after the grace time"
    if done.packs_kept:
        note += f"; {_count(done.packs_kept, 'pack')} left as before, see `autovibe store check`"
    details = _plain(done) | {"freed_bytes": freed}
    return Done(done.objects_removed, details, note, beside=done.objects_removed)


async def _audited(services: Services) -> Done:
    done = await services.maintenance.audit_store(maintenance_pb2.AuditStoreRequest())
    alarms: list[str] = []
    if done.damaged or done.damaged_references or done.damaged_objects:
        some = ", ".join(
            (*done.damaged_checkpoint_ids[:3], *done.damaged_references[: 3 - done.damaged])
        )
        others = len(done.damaged_references)
        alarms.append(
            f"Damaged: {_count(done.damaged, 'checkpoint')}, {_count(others, 'other reference')}"
            f"{f' ({some})' if some else ''}; {MEND}."
        )
    note = f"{_count(done.objects, 'object')} of {_count(done.references, 'reference')} read"
    if done.repaired:
        note += f"; whole again: {_count(done.repaired, 'checkpoint')}"
    return Done(done.references, _plain(done), note, tuple(alarms), done.references)


def _plain(message: Any) -> dict[str, Any]:
    """Return what a message says, numbers as numbers, zeros left out."""
    told = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {name: int(value) if isinstance(value, str) else value for name, value in told.items()}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _mib(count_bytes: int) -> str:
    return f"{count_bytes / 1024**2:,.1f} MiB"

"""What checkpoints cost to keep: their stored bytes over time, sampled per project."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from autovibe.db import WriteTx
from autovibe.domains.checkpoints import StoredBytes, stored_bytes_of_projects
from autovibe.domains.contract import Slice
from autovibe.domains.metering.recording import record_usage_many
from autovibe.domains.metering.repository.upkeep import NewestSample, newest_samples
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import metering_pb2

SUBTYPE: Final = "storage_snapshot"
FIRST_SPAN: Final = timedelta(hours=1)
"""What the first sample of a project counts at most: what was there before is not known."""
_GB: Final = 10**9
_MICRO: Final = 1_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR: Final = timedelta(hours=1) // _MICROSECOND
_DIGITS: Final = 40


class _Due(NamedTuple):
    """What a project is to be charged: millionths of GB hours, and what lies below them."""

    project_id: uuid.UUID
    micro: int
    carried: Fraction


async def sample_storage(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Record for each project its checkpoints' stored bytes times the hours since its last sample.

    Thinned checkpoints cost nothing. What is below six decimals goes to the next sample; a project
    with so little that nothing is left above waits until there is.
    """
    now = ctx.clock.now()
    stored = await stored_bytes_of_projects(tx)
    newest = await newest_samples(tx, list(stored), SUBTYPE)
    due = [one for one in _all_due(stored, newest, now) if one.micro > 0]
    if dry_run or not due:
        return Slice(len(due))
    samples = [
        metering_pb2.UsageSample(
            project_id=str(one.project_id),
            resource_type="storage",
            resource_subtype=SUBTYPE,
            amount=f"{Decimal(one.micro).scaleb(-6):f}",
            enforcement="record",
            recorded_at=timestamp(now),
            metadata=metering_pb2.UsageMetadata(carried=_written(one.carried)),
        )
        for one in due
    ]
    return Slice(await record_usage_many(tx, ctx, samples))


def _all_due(
    stored: Mapping[uuid.UUID, StoredBytes],
    newest: Mapping[uuid.UUID, NewestSample],
    now: datetime,
) -> list[_Due]:
    due: list[_Due] = []
    for project_id, kept in sorted(stored.items()):
        last = newest.get(project_id)
        if last is not None:
            carried = Fraction(last.carried) if last.carried else Fraction(0)
            exact = _charge(kept, last.recorded_at, now) + carried
        else:
            exact = _charge(kept, max(kept.since, now - FIRST_SPAN), now)
            if exact < 1:
                # So little that an hour of it shows nowhere: it waits for more from its beginning.
                exact = _charge(kept, kept.since, now)
        micro = int(exact)
        due.append(_Due(project_id, micro, exact - micro))
    return due


def _charge(kept: StoredBytes, since: datetime, now: datetime) -> Fraction:
    """Return millionths of GB hours."""
    hours = Fraction(max(now - since, timedelta(0)) // _MICROSECOND, _HOUR)
    return Fraction(kept.size_bytes, _GB) * hours * _MICRO


def _written(part: Fraction) -> str:
    """Return a part of a millionth to more places than any sum of samples can show."""
    return str(int(part * 10**_DIGITS)) + f"e-{_DIGITS}" if part else ""

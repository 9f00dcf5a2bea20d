"""The store and the rows: damage is marked, references are made to agree, space is given back."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from maintaining import log_of, run_job, scheduler_of
from plane import NOON, InlineStoreWork, Plane, write_files
from spoiling import spoil
from sqlalchemy import text

from autovibe.app.jobs import maintenance_service
from autovibe.domains.checkpoints.importing import ImportDirectory
from autovibe.domains.checkpoints.repository.upkeep import (
    KeepCheckpoints,
    count_expendable,
    expendable,
)
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.maintenance_settings import MaintenanceSettings
from autovibe.store import Store
from autovibe.testing import factories
from autovibe.v1 import checkpoints_pb2, maintenance_pb2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    # So long that it does not lie in one block with what is spoiled.
    write_files(tmp_path / "dir", {"a.txt": "one\n", "sub/b.txt": "two\n" * 40_000})
    return tmp_path / "dir"


async def see(plane: Plane, checkpoint_id: str) -> checkpoints_pb2.Checkpoint:
    return await plane.services.checkpoints.get_checkpoint(
        checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
    )


async def imported(plane: Plane, directory: Path) -> tuple[str, str]:
    """Import a directory twice, changed in between; return both checkpoints."""
    await plane.project()
    first = (await plane.load(directory)).checkpoint.id
    write_files(directory, {"a.txt": "three\n"})
    return first, (await plane.load(directory)).checkpoint.id


EVENTS = "SELECT count(*) FROM outbox_events WHERE topic = 'checkpoints.damaged'"


async def test_a_child_of_a_damaged_checkpoint_is_verified_only_once_all_of_it_was_read(
    plane: Plane, directory: Path, tmp_path: Path
) -> None:
    first, second = await imported(plane, directory)
    scheduler = scheduler_of(plane, tmp_path)
    spoil(plane.store, b"one\n")
    await run_job(scheduler.runner, "audit-store")
    parent, sound = await see(plane, first), await see(plane, second)
    assert parent.verification_status == "failed"

    async def child(of: checkpoints_pb2.Checkpoint, root: str) -> checkpoints_pb2.Checkpoint:
        return await plane.checkpoint(
            of.project_id, parent_checkpoint_id=of.id, manifest_root=root, verified=True
        )

    broken = await child(parent, parent.manifest_root)
    mended = await child(parent, sound.manifest_root)
    assert (broken.verification_status, mended.verification_status) == ("pending", "pending")
    assert (await child(sound, sound.manifest_root)).verification_status == "verified"

    await scheduler.verifier.verify_all()
    assert (await see(plane, broken.id)).verification_status == "failed"
    assert (await see(plane, mended.id)).verification_status == "verified"
    after = await child(await see(plane, mended.id), sound.manifest_root)
    assert after.verification_status == "verified"


async def test_what_an_audit_finds_damaged_is_shown_as_such_and_whole_again_after_a_repair(
    plane: Plane, directory: Path, tmp_path: Path
) -> None:
    first, second = await imported(plane, directory)
    runner = scheduler_of(plane, tmp_path).runner
    fine = await run_job(runner, "audit-store")
    assert (fine.affected_rows, fine.alarms, fine.error) == (2, (), "")
    shutil.copytree(plane.store.path, tmp_path / "copy")
    spoil(plane.store, b"one\n")

    found = await run_job(runner, "audit-store")
    (alarm,) = found.alarms
    assert first in alarm
    assert "--repair --from" in alarm
    assert found.details["damaged"] == 1
    shown = await see(plane, first)
    assert shown.verification_status == "failed"
    assert shown.damage == "workspace/a.txt cannot be read"
    assert shown.HasField("damaged_at")
    assert (await see(plane, second)).verification_status == "verified"
    listed = await plane.services.checkpoints.list_checkpoints(
        checkpoints_pb2.ListCheckpointsRequest()
    )
    assert {c.id: c.verification_status for c in listed.checkpoints} == {
        first: "failed",
        second: "verified",
    }
    tree = await plane.services.checkpoints.get_checkpoint_tree(
        checkpoints_pb2.GetCheckpointTreeRequest(project="website")
    )
    assert [node.verification_status for node in tree.nodes] == ["failed", "verified"]
    # It is said once, however often it is found.
    await run_job(runner, "audit-store")
    assert await plane.rows(EVENTS) == [(1,)]
    with pytest.raises(AutovibeError) as caught:
        await plane.services.checkpoints.restore_checkpoint(
            checkpoints_pb2.RestoreCheckpointRequest(
                checkpoint_id=first, directory=str(tmp_path / "back")
            )
        )
    assert caught.value.reason == "STORE_OBJECT_CORRUPT"

    plane.store.check(repair=True, source=Store.open(tmp_path / "copy"))
    mended = await run_job(runner, "audit-store")
    assert (mended.alarms, mended.details["repaired"]) == ((), 1)
    shown = await see(plane, first)
    assert (shown.verification_status, shown.damage) == ("verified", "")
    assert [status for status, _ in await log_of(plane, "audit-store")] == ["success"] * 4


async def test_damage_that_one_verification_finds_is_noted_and_settled_by_the_next(
    plane: Plane, directory: Path
) -> None:
    _, second = await imported(plane, directory)
    pack = plane.store.path / "packs"
    before = {path: path.read_bytes() for path in pack.iterdir()}
    spoil(plane.store, b"three\n")
    verify = checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=second)
    assert not (await plane.services.checkpoints.verify_checkpoint(verify)).ok
    assert (await see(plane, second)).damage == "workspace/a.txt cannot be read"
    for path, content in before.items():
        path.write_bytes(content)
    assert (await plane.services.checkpoints.verify_checkpoint(verify)).ok
    assert (await see(plane, second)).damage == ""


@dataclass
class Later:
    """The real time, and some."""

    days: float = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


async def test_an_import_that_crashed_leaves_a_reference_that_goes_after_the_grace_time(
    plane: Plane, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await imported(plane, directory)
    kept = set(plane.store.ref_names())

    async def crash(*_: Any) -> None:
        raise OSError("the process is gone")

    write_files(directory, {"big.bin": bytes(range(256)) * 400})
    with monkeypatch.context() as patch:
        patch.setattr(ImportDirectory, "record", crash)
        with pytest.raises(AutovibeError):
            await plane.load(directory)
    (left,) = set(plane.store.ref_names()) - kept
    runner = scheduler_of(plane, tmp_path).runner
    now = datetime.now(UTC)

    plane.clock.time = now + timedelta(days=29)
    assert (await run_job(runner, "cleanup-checkpoints")).details["references_without_row"] == 0
    assert plane.store.find_ref(left) is not None

    plane.clock.time = now + timedelta(days=31)
    dry = await run_job(runner, "cleanup-checkpoints", dry=True)
    assert dry.note == "1 reference would be dropped"
    assert plane.store.find_ref(left) is not None
    done = await run_job(runner, "cleanup-checkpoints")
    assert (done.details["references_without_row"], done.details["references_put_back"]) == (1, 0)
    assert set(plane.store.ref_names()) == kept

    # Its files stay for the grace time, and are then given back.
    objects = plane.store.stats().objects
    held = await run_job(runner, "prune-store")
    assert (held.affected_rows, plane.store.stats().objects) == (0, objects)
    assert held.details["held_bytes"] > 0
    plane.store._clock = Later(31)
    plane.clock.advance(days=1)
    dry = await run_job(runner, "prune-store", dry=True)
    assert dry.affected_rows > 0
    assert "would be given back" in dry.note
    assert plane.store.stats().objects == objects
    pruned = await run_job(runner, "prune-store")
    assert plane.store.stats().objects == objects - pruned.affected_rows
    assert pruned.affected_rows == dry.affected_rows
    assert await log_of(plane, "prune-store") == [("success", 0), ("success", dry.affected_rows)]
    assert plane.store.audit().ok


async def test_a_reference_that_is_missing_or_wrong_is_put_back_and_else_an_alarm(
    plane: Plane, directory: Path, tmp_path: Path
) -> None:
    first, second = await imported(plane, directory)
    roots = {one: (await see(plane, one)).manifest_root for one in (first, second)}
    plane.store.delete_ref(f"checkpoints/{first}")
    (plane.store.path / "refs" / "checkpoints" / second).write_text("nonsense\n")
    lost = (await plane.checkpoint((await see(plane, first)).project_id)).id
    by_hand = "checkpoints/by-hand"
    plane.store.write_ref(by_hand, roots[first])
    runner = scheduler_of(plane, tmp_path).runner

    done = await run_job(runner, "cleanup-checkpoints")

    assert done.details["references_put_back"] == 2
    assert {one: plane.store.read_ref(f"checkpoints/{one}") for one in roots} == roots
    (alarm,) = done.alarms
    assert lost in alarm
    assert "reference is missing" in (await see(plane, lost)).damage
    assert plane.store.read_ref(by_hand) == roots[first]
    again = await run_job(runner, "cleanup-checkpoints")
    assert (again.details["references_put_back"], len(again.alarms)) == (0, 1)
    # An audit reads what is there; that this one is not does not become untrue by it.
    assert (await run_job(runner, "audit-store")).alarms == ()
    assert (await see(plane, lost)).verification_status == "failed"


async def test_keep_rules_let_the_newest_of_machines_days_and_months_stay(
    plane: Plane, tmp_path: Path
) -> None:
    made: dict[str, uuid.UUID] = {}
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(
            tx, project.id, status="terminated", terminated_at=NOON + timedelta(seconds=1)
        )
        parent = await factories.add_checkpoint(tx, project.id, verification_status="failed")
        for at in ("09-30 10", "10-04 08", "10-04 20", "10-05 09", "10-06 01", "10-06 23"):
            time = datetime.strptime(f"2026-{at} +0000", "%Y-%m-%d %H %z")
            parent = await factories.add_checkpoint(
                tx,
                project.id,
                parent,
                created_at=time,
                verification_status="failed",
                creating_machine_id=machine.id,
            )
            made[at] = parent.id
        await factories.add_checkpoint(
            tx, project.id, parent, checkpoint_type="final", verification_status="failed"
        )

    async def gone(**rules: int) -> set[str]:
        async with plane.db.read() as tx:
            keep = KeepCheckpoints(**rules)
            ids = set(await expendable(tx, NOON, keep, 100))
            assert await count_expendable(tx, NOON, keep) == len(ids)
        return {at for at, one in made.items() if one in ids}

    assert await gone() == set(made)
    assert await gone(last=2) == set(made) - {"10-06 01", "10-06 23"}
    assert await gone(daily=2) == set(made) - {"10-06 23", "10-05 09"}
    assert await gone(monthly=2) == set(made) - {"10-06 23", "09-30 10"}
    assert await gone(last=1, daily=3, monthly=1) == {"09-30 10", "10-04 08", "10-06 01"}


async def test_long_work_keeps_its_job_and_is_given_up_when_another_has_it(
    plane: Plane, tmp_path: Path
) -> None:
    runner = replace(scheduler_of(plane, tmp_path).runner, prolong_s=0.005)
    begun = asyncio.Event()
    may_end = asyncio.Event()
    given_up = asyncio.Event()

    async def audit(_: object) -> maintenance_pb2.AuditStoreResponse:
        begun.set()
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            given_up.set()
            raise
        return maintenance_pb2.AuditStoreResponse(references=7)

    plane.services.maintenance.audit_store = audit
    lease = "SELECT details FROM maintenance_log WHERE operation = 'audit-store'"
    running = asyncio.create_task(run_job(runner, "audit-store"))
    await begun.wait()
    first = str(await plane.rows(lease))
    plane.clock.advance(seconds=40)
    while str(await plane.rows(lease)) == first:  # noqa: ASYNC110 - a row has no event
        await asyncio.sleep(0.005)
    plane.clock.advance(seconds=40)
    job = next(job for job in await runner.jobs() if job.name == "audit-store")
    assert await runner.run(job, only_if_due=False) is None  # the lease was prolonged
    may_end.set()
    assert (await running).affected_rows == 7
    assert await log_of(plane, "audit-store") == [("success", 7)]

    begun.clear()
    may_end.clear()
    running = asyncio.create_task(run_job(runner, "audit-store"))
    await begun.wait()
    async with plane.db.write() as tx:
        await tx.session.execute(text("DELETE FROM maintenance_log WHERE status = 'failed'"))
    assert "JOB_LOST" in (await running).error
    assert given_up.is_set()


async def test_work_on_the_store_can_be_turned_off(plane: Plane) -> None:
    settings = MaintenanceSettings(grace_days=0, audit_store=False)
    service = maintenance_service(plane.store, InlineStoreWork(plane.store), settings)
    async with plane.db.read() as tx:
        jobs = await service.get_jobs(tx, plane.context, maintenance_pb2.GetJobsRequest())
    off = {job.name for job in jobs.jobs if job.disabled}
    assert off == {"archive-chat", "prune-store", "audit-store"}


async def test_importing_a_directory_again_heals_what_is_known_to_be_damaged(
    plane: Plane, directory: Path, tmp_path: Path
) -> None:
    first, second = await imported(plane, directory)
    spoil(plane.store, b"three\n")
    spoil(plane.store, b"one\n")
    runner = scheduler_of(plane, tmp_path).runner
    assert (await run_job(runner, "audit-store")).details["damaged"] == 2
    again = await plane.load(directory)
    assert (again.reused, again.checkpoint.id) == (True, second)
    assert again.checkpoint.verification_status == "verified"
    assert plane.store.verify(again.checkpoint.manifest_root).ok
    # What is in no directory any more stays damaged.
    assert (await see(plane, first)).damage == "workspace/a.txt cannot be read"
    assert (await run_job(runner, "audit-store")).details["damaged"] == 1

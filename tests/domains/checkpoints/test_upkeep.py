"""Thinning of old checkpoints, and the queue of those to verify."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane, write_files

from autovibe.kernel.errors import AutovibeError
from autovibe.testing import factories
from autovibe.v1 import checkpoints_pb2, maintenance_pb2

SECOND = timedelta(seconds=1)


async def line(plane: Plane, directory: Path) -> dict[str, Any]:
    """Add a genesis and a line of automatic checkpoints below it, forty days old."""
    workspace = directory / "workspace"
    write_files(workspace, {"a.txt": "one\n"})
    snapshot = plane.store.snapshot({"workspace": workspace})
    at = plane.clock.now() - timedelta(days=40)
    verified = {
        "manifest_root": snapshot.root,
        "verification_status": "verified",
        "verified_at": at,
        "created_at": at,
    }
    made: dict[str, Any] = {}
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(
            tx, project.id, status="terminated", terminated_at=plane.clock.now() + SECOND
        )
        parent = await factories.add_checkpoint(tx, project.id, **verified)
        made["genesis"] = parent
        for name, more in (
            ("expendable", {}),
            ("manual", {"checkpoint_type": "manual"}),
            ("current", {}),
            ("base", {}),
            ("young", {"created_at": plane.clock.now(), "verified_at": plane.clock.now()}),
            ("unverified", {"verification_status": "pending", "verified_at": None}),
            ("of a task that waits", {"creating_machine_id": machine.id}),
            ("also expendable", {}),
            ("final", {"checkpoint_type": "final"}),
            ("head", {}),
        ):
            parent = await factories.add_checkpoint(tx, project.id, parent, **{**verified, **more})
            made[name] = parent
        project.current_checkpoint_id = made["current"].id
        await factories.add_task(
            tx, project.id, status="blocked", base_checkpoint_id=made["base"].id
        )
        waiting = await factories.add_task(tx, project.id, status="blocked")
        worker = await factories.add_worker(tx)
        await factories.add_execution(
            tx, waiting.id, worker.id, machine_id=machine.id, status="cancelled"
        )
    for checkpoint in made.values():
        plane.store.write_ref(f"checkpoints/{checkpoint.id}", snapshot.root)
    return made


@pytest.mark.req("S0-71")
async def test_only_old_automatic_checkpoints_that_nothing_needs_lose_their_files(
    plane: Plane, tmp_path: Path
) -> None:
    made = await line(plane, tmp_path)
    runner = scheduler_of(plane, tmp_path).runner
    expendable = {"expendable", "also expendable"}

    dry = await run_job(runner, "cleanup-checkpoints", dry=True)
    assert dry.affected_rows == len(expendable)
    assert await plane.rows("SELECT id FROM checkpoints WHERE pruned_at IS NOT NULL") == []

    done = await run_job(runner, "cleanup-checkpoints")

    assert done.affected_rows == len(expendable)
    assert done.details["references_dropped"] == len(expendable)
    for name, row in made.items():
        found = await plane.services.checkpoints.get_checkpoint(
            checkpoints_pb2.GetCheckpointRequest(checkpoint_id=str(row.id))
        )
        assert found.HasField("pruned_at") == (name in expendable), name
        kept = plane.store.read_ref(f"checkpoints/{row.id}") is not None
        assert kept == (name not in expendable), name
    with pytest.raises(AutovibeError) as caught:
        await plane.services.checkpoints.restore_checkpoint(
            checkpoints_pb2.RestoreCheckpointRequest(
                checkpoint_id=str(made["expendable"].id), directory=str(tmp_path / "back")
            )
        )
    assert caught.value.reason == "CHECKPOINT_PRUNED"
    assert (await run_job(runner, "cleanup-checkpoints")).affected_rows == 0


async def test_a_reference_that_a_crash_left_is_dropped_by_the_next_run(
    plane: Plane, tmp_path: Path
) -> None:
    made = await line(plane, tmp_path)
    runner = scheduler_of(plane, tmp_path).runner
    await run_job(runner, "cleanup-checkpoints")
    name = f"checkpoints/{made['expendable'].id}"
    plane.store.write_ref(name, made["expendable"].manifest_root)
    done = await run_job(runner, "cleanup-checkpoints")
    assert (done.affected_rows, done.details["references_dropped"]) == (0, 1)
    assert plane.store.read_ref(name) is None


async def pending(plane: Plane, directory: Path, *, damaged: bool = False) -> str:
    workspace = directory / f"workspace-{uuid.uuid4().hex}"
    write_files(workspace, {"a.txt": uuid.uuid4().hex})
    snapshot = plane.store.snapshot({"workspace": workspace})
    root = "f" * 64 if damaged else snapshot.root
    async with plane.db.write() as tx:
        project = await factories.add_project(tx)
        row = await factories.add_checkpoint(
            tx,
            project.id,
            manifest_root=root,
            verification_status="pending",
            created_at=plane.clock.now(),
        )
    return str(row.id)


async def status_of(plane: Plane, checkpoint_id: str) -> str:
    found = await plane.services.checkpoints.get_checkpoint(
        checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
    )
    return found.verification_status


QUEUE = "SELECT status, attempts, locked_by FROM checkpoint_verification_queue ORDER BY attempts"


async def claim(plane: Plane, by: str) -> maintenance_pb2.ClaimVerificationResponse:
    return await plane.services.maintenance.claim_verification(
        maintenance_pb2.ClaimVerificationRequest(locked_by=by)
    )


@pytest.mark.req("S0-72", "S0-124")
async def test_what_was_queued_while_nobody_listened_is_verified_when_somebody_looks(
    plane: Plane, tmp_path: Path
) -> None:
    good = [await pending(plane, tmp_path) for _ in range(2)]
    bad = await pending(plane, tmp_path, damaged=True)
    assert await plane.rows(QUEUE) == [("queued", 0, None)] * 3
    verifier = scheduler_of(plane, tmp_path).verifier
    assert await verifier.verify_all() >= 3
    assert [await status_of(plane, one) for one in good] == ["verified"] * 2
    assert await status_of(plane, bad) == "failed"
    assert sorted(row[0] for row in await plane.rows(QUEUE)) == ["done", "done", "failed"]
    assert await verifier.verify_all() == 0


async def test_the_entry_of_a_killed_verifier_is_taken_over_and_its_late_report_ignored(
    plane: Plane, tmp_path: Path
) -> None:
    checkpoint_id = await pending(plane, tmp_path)
    first = await claim(plane, "killed")
    assert (first.checkpoint_id, first.attempt) == (checkpoint_id, 1)
    assert (await claim(plane, "other")).entry_id == ""
    plane.clock.advance(minutes=31)
    second = await claim(plane, "other")
    assert (second.entry_id, second.attempt) == (first.entry_id, 2)
    late = await plane.services.maintenance.finish_verification(
        maintenance_pb2.FinishVerificationRequest(
            entry_id=first.entry_id, locked_by="killed", attempt=1
        )
    )
    assert late.stale
    assert await plane.rows(QUEUE) == [("processing", 2, "other")]


async def test_one_that_cannot_be_tried_is_given_up_after_five_times(
    plane: Plane, tmp_path: Path
) -> None:
    await pending(plane, tmp_path)
    for attempt in range(1, 6):
        found = await claim(plane, "me")
        assert found.attempt == attempt
        await plane.services.maintenance.finish_verification(
            maintenance_pb2.FinishVerificationRequest(
                entry_id=found.entry_id, locked_by="me", attempt=attempt, error="STORE: away"
            )
        )
    assert (await claim(plane, "me")).entry_id == ""
    rows = await plane.rows("SELECT status, last_error FROM checkpoint_verification_queue")
    assert rows == [("failed", "STORE: away")]

"""Checkpoints while an agent works: one at a time, the machine frozen, whatever fails."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from checkpoint_desk import Desk, close_desk, open_desk
from plane import Plane, write_files

from autovibe.db.errors import DatabaseUnavailableError
from autovibe.kernel.protoconv import from_struct
from autovibe.runtime import checkpointer as module
from autovibe.runtime.checkpointer import Position
from autovibe.store.errors import StoreFullError
from autovibe.v1 import checkpoints_pb2, services, work_pb2


async def test_checkpoints_form_a_chain_that_holds_every_file_and_is_verified(
    plane: Plane, tmp_path: Path
):
    desk = await open_desk(plane, tmp_path)
    cp = desk.checkpointer
    write_files(desk.workspace, {"a.txt": "two\n", "x.o": "ignored"})
    cp.last_settled_call_id = str(uuid.uuid4())
    await cp.before_response([])
    assert desk.told == ["freeze", "read", "thaw"]
    await desk.settle()
    await cp.before_response([])  # even if nothing changed
    await desk.settle()
    write_files(desk.workspace, {"b.txt": "new\n"})
    final = await cp.final()
    await close_desk(desk)

    first, second, last = await desk.made()
    assert [c.checkpoint_type for c in (first, second, last)] == ["automatic", "automatic", "final"]
    assert first.parent_checkpoint_id == desk.base.id
    assert second.parent_checkpoint_id == first.id
    assert last.parent_checkpoint_id == second.id
    assert (first.manifest_root, last.id) == (second.manifest_root, final.id)
    assert {c.verification_status for c in (first, second, last)} == {"verified"}
    assert {c.consistency for c in (first, second, last)} == {"exact"}
    assert (first.hypervisor, first.vm_id, first.agent_session_id) == ("process", "vm-1", "session")
    assert first.last_settled_call_id == cp.last_settled_call_id
    assert b"".join(plane.store.read(first.manifest_root, "workspace/x.o")) == b"ignored"
    assert plane.store.read_ref(f"checkpoints/{last.id}") == last.manifest_root
    assert (cp.count, cp.position) == (3, Position(last.id, last.manifest_root))
    assert cp.error is None
    assert all(c.timing.total_ms >= c.timing.frozen_ms for c in (first, second, last))
    assert [c.timing.frozen_ms > 0 for c in (first, second, last)] == [True, True, False]
    # The final one is made of a machine that has ended: it is not frozen.
    assert desk.told == ["freeze", "read", "thaw"] * 2 + ["read"]

    logs = await plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=desk.order.task.id)
    )
    told = [from_struct(entry.event.details) for entry in logs.entries]
    assert [entry["checkpoint_id"] for entry in told] == [first.id, second.id, last.id]
    assert told[0]["changed_paths"] == ["a.txt", "x.o"]
    assert [entry["files_changed"] for entry in told] == [2, 0, 1]
    assert told[0]["verified"] is True


async def test_one_is_made_at_a_time_and_later_requests_share_the_next(desk: Desk):
    cp, store = desk.checkpointer, desk.store
    store.may_end.clear()
    first = asyncio.create_task(cp.before_response([]))
    await first  # it has been read, and is still being finished and recorded
    assert desk.told == ["freeze", "read", "thaw"]
    desk.agent.on_disk = {"t2", "t3"}
    second = asyncio.create_task(cp.before_response(["t2"]))
    third = asyncio.create_task(cp.before_response(["t3"]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not second.done()
    assert not third.done()
    assert store.snapshots == 1
    store.may_end.set()
    await asyncio.gather(second, third)
    await desk.settle()
    assert store.snapshots == 2
    assert desk.told == ["freeze", "read", "thaw"] * 2
    assert store.frozen_at_read == [True, True]
    assert ("t2", "t3") in desk.agent.asked
    assert len(await desk.made()) == 2


async def test_a_request_that_comes_while_the_tree_is_read_starts_another(desk: Desk):
    store = desk.store
    store.may_read.clear()
    first = asyncio.create_task(desk.checkpointer.before_response([]))
    await desk.until(lambda: store.inside == 1)
    # What its tools did after this moment may not be in the tree that is being read.
    second = asyncio.create_task(desk.checkpointer.before_response([]))
    await asyncio.sleep(0)
    store.may_read.set()
    await asyncio.gather(first, second)
    await desk.settle()
    assert store.snapshots == 2
    assert len(await desk.made()) == 2


async def test_the_agent_waits_two_seconds_at_most_and_the_tree_is_then_called_fuzzy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    assert module.READ_LIMIT_S == 2.0
    monkeypatch.setattr(module, "READ_LIMIT_S", 0.05)
    store = desk.store
    store.may_read.clear()
    await desk.checkpointer.before_response([])  # returns although nothing has been read
    assert store.inside == 1
    await desk.until(lambda: desk.told == ["freeze", "thaw"])
    store.may_read.set()
    await desk.settle()
    (made,) = await desk.made()
    assert made.consistency == "fuzzy_tree"
    assert desk.told == ["freeze", "thaw", "read"]
    assert desk.checkpointer.error is None


async def test_a_caller_that_goes_away_does_not_stop_the_checkpoint(desk: Desk):
    desk.store.may_read.clear()
    caller = asyncio.create_task(desk.checkpointer.before_response([]))
    await desk.until(lambda: desk.store.inside == 1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert desk.machine.frozen
    desk.store.may_read.set()
    await desk.settle()
    assert [c.consistency for c in await desk.made()] == ["exact"]
    assert desk.told == ["freeze", "read", "thaw"]


async def test_the_conversation_is_waited_for_and_a_checkpoint_without_it_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    assert module.TRANSCRIPT_WAIT_S == 0.3
    monkeypatch.setattr(module, "TRANSCRIPT_WAIT_S", 0.03)
    await desk.checkpointer.before_response(["never written"])
    await desk.settle()
    monkeypatch.setattr(module, "TRANSCRIPT_WAIT_S", 60)
    waiting = asyncio.create_task(desk.checkpointer.before_response(["late"]))
    await desk.until(lambda: desk.agent.asked.count(("late",)) > 2)
    assert desk.store.snapshots == 1  # nothing is frozen while the conversation is behind
    assert not desk.machine.frozen
    desk.agent.on_disk.add("late")
    await waiting
    await desk.settle()
    assert [c.consistency for c in await desk.made()] == ["conversation_behind", "exact"]


async def test_the_final_checkpoint_comes_after_those_under_way(desk: Desk):
    desk.store.may_read.clear()
    first = asyncio.create_task(desk.checkpointer.before_response([]))
    await desk.until(lambda: desk.store.inside == 1)
    second = asyncio.create_task(desk.checkpointer.before_response([]))
    await asyncio.sleep(0)
    final = asyncio.create_task(desk.checkpointer.final())
    await asyncio.sleep(0)
    desk.store.may_read.set()
    made = await final
    await asyncio.gather(first, second)
    *automatic, last = await desk.made()
    assert last.id == made.id
    assert [c.checkpoint_type for c in automatic] == ["automatic", "automatic"]
    assert desk.checkpointer.position.checkpoint_id == last.id


Break = Callable[[Desk], Awaitable[None] | None]


def _store_is_full(desk: Desk) -> None:
    desk.store.fault = StoreFullError("No space is left.")


def _freeze_fails(desk: Desk) -> None:
    desk.machine.freeze_fault = OSError("cgroup is gone")


def _thaw_fails(desk: Desk) -> None:
    desk.machine.thaw_fault = OSError("cgroup is gone")


def _transcript_fails(desk: Desk) -> None:
    desk.agent.fault = PermissionError("transcript")


def _database_fails(desk: Desk) -> None:
    async def refuse(_: object) -> checkpoints_pb2.Checkpoint:
        raise DatabaseUnavailableError("gone")

    desk.checkpointer.checkpoints = cast("services.CheckpointService", _Recorder(refuse))


@dataclass
class _Recorder:
    record_checkpoint: Callable[[Any], Awaitable[checkpoints_pb2.Checkpoint]]


async def _lease_is_lost(desk: Desk) -> None:
    await desk.plane.finish(desk.order, "paused")


@pytest.mark.parametrize(
    "fault",
    [
        _store_is_full,
        _freeze_fails,
        _thaw_fails,
        _transcript_fails,
        _database_fails,
        _lease_is_lost,
    ],
)
async def test_whatever_fails_the_machine_is_thawed_and_the_failure_is_told(
    desk: Desk, fault: Break
):
    outcome = fault(desk)
    if outcome is not None:
        await outcome
    await desk.checkpointer.before_response([])
    await desk.checkpointer.failed.wait()
    await desk.settle()
    assert not desk.machine.frozen
    assert desk.told.count("thaw") == desk.told.count("freeze")
    assert desk.checkpointer.error is not None
    assert "could not be made" in desk.checkpointer.error
    assert desk.checkpointer.position.checkpoint_id == desk.base.id
    assert await desk.made() == []
    # It does not hang the next request, nor the end.
    await desk.checkpointer.before_response([])
    await desk.settle()


async def test_a_final_checkpoint_that_fails_raises_and_frees_the_way(desk: Desk):
    _store_is_full(desk)
    with pytest.raises(StoreFullError):
        await desk.checkpointer.final()
    desk.store.fault = None
    assert (await desk.checkpointer.final()).verification_status == "verified"

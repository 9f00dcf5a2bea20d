"""Checkpoints while an agent works: a real store and real services, and a machine that tells."""

from __future__ import annotations

import asyncio
import mmap
import os
import threading
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from plane import Plane, make_repository, write_files

from autovibe.agents.shell import ShellAdapter
from autovibe.db.errors import DatabaseUnavailableError
from autovibe.domains.machines.driver import Machine, MachineSpec
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.kernel.checkpoint_settings import CheckpointSettings
from autovibe.kernel.protoconv import from_struct
from autovibe.runtime import checkpointer as module
from autovibe.runtime.checkpointer import Checkpointer, Position, Scope
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.runtime.workplace import Workplace
from autovibe.store import Snapshot, StatCache, Store
from autovibe.store.errors import StoreFullError
from autovibe.store.tracking import InotifyTracker
from autovibe.store.tracking.directories import Event
from autovibe.v1 import checkpoints_pb2, services, work_pb2


@dataclass
class TellingMachine:
    """Notes when it is frozen and thawed; it is frozen while `frozen` is set."""

    told: list[str]
    frozen: bool = False
    freeze_fault: Exception | None = None
    thaw_fault: Exception | None = None
    processes: list[int] = field(default_factory=list)

    async def freeze(self) -> None:
        assert not self.frozen
        self.frozen = True
        self.told.append("freeze")
        if self.freeze_fault:
            raise self.freeze_fault

    def process_ids(self) -> list[int]:
        assert self.frozen
        return self.processes

    async def thaw(self) -> None:
        self.frozen = False
        self.told.append("thaw")
        if self.thaw_fault:
            raise self.thaw_fault


@dataclass
class SlowStore:
    """The real store; reading and finishing a snapshot wait for a gate each."""

    store: Store
    told: list[str]
    machine: TellingMachine
    may_read: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    snapshots: int = 0
    inside: int = 0
    frozen_at_read: list[bool] = field(default_factory=list)
    fault: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def snapshot(
        self, roots: Any, *, on_read: Callable[[], None] | None, **options: Any
    ) -> Snapshot:
        self.inside += 1
        assert self.inside == 1, "two snapshots at once"
        self.snapshots += 1
        try:
            assert self.may_read.wait(60)
            if self.fault:
                raise self.fault

            def read() -> None:
                self.frozen_at_read.append(self.machine.frozen)
                self.told.append("read")
                if on_read is not None:
                    on_read()

            snapshot = self.store.snapshot(roots, on_read=read, **options)
            assert self.may_end.wait(60)
            return snapshot
        finally:
            self.inside -= 1


class Transcript(ShellAdapter):
    """An agent whose conversation on disk is what a test says."""

    def __init__(self) -> None:
        self.on_disk: set[str] = set()
        self.asked: list[tuple[str, ...]] = []
        self.fault: Exception | None = None

    def transcript_holds(self, home: Path, session_id: str, tool_use_ids: Sequence[str]) -> bool:
        assert (home.name, session_id) == ("home", "session")
        if self.fault:
            raise self.fault
        self.asked.append(tuple(tool_use_ids))
        return set(tool_use_ids) <= self.on_disk


@dataclass
class Desk:
    """A checkpointer at work on the machine of a running execution."""

    plane: Plane
    order: work_pb2.ClaimedOrder
    base: checkpoints_pb2.Checkpoint
    checkpointer: Checkpointer
    machine: TellingMachine
    store: SlowStore
    agent: Transcript
    told: list[str]

    @property
    def workspace(self) -> Path:
        return self.checkpointer.scope.workspace

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let others run until something is so."""
        while not condition():  # noqa: ASYNC110 - conditions on counters and on other threads
            await asyncio.sleep(0.001)

    async def settle(self) -> None:
        """Return when every checkpoint under way has been recorded."""
        while self.checkpointer._tasks:
            await asyncio.wait(self.checkpointer._tasks)

    async def made(self) -> list[checkpoints_pb2.Checkpoint]:
        """Return the checkpoints of the machine, the first one first."""
        listed = await self.plane.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(machine_id=self.checkpointer.scope.machine_id)
        )
        return sorted(listed.checkpoints, key=lambda checkpoint: checkpoint.depth)


async def _open(plane: Plane, tmp_path: Path) -> Desk:
    project = await plane.project()
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n", ".gitignore": "*.o\n"})
    base = (await plane.load(repository)).checkpoint
    await plane.task()
    await plane.worker()
    order = await plane.claimed()
    machine_row = await plane.machine(project.id)
    workplace = Workplace(tmp_path / "machine")
    cache = StatCache()
    workplace.prepare(plane.store, base.manifest_root, cache)
    told: list[str] = []
    machine = TellingMachine(told)
    store = SlowStore(plane.store, told, machine)
    store.may_read.set()
    store.may_end.set()
    agent = Transcript()
    log = ExecutionLog(plane.services.work, order.execution.id, order.lease_generation, plane.clock)
    tree = workplace.track(cast("Store", store), cache, CheckpointSettings())
    checkpointer = Checkpointer(
        store=cast("Store", store),
        checkpoints=plane.services.checkpoints,
        machine=cast("Machine", machine),
        adapter=agent,
        log=log,
        clock=plane.clock,
        scope=Scope(
            project_id=project.id,
            machine_id=machine_row.id,
            work_order_id=order.work_order_id,
            lease_generation=order.lease_generation,
            hypervisor="process",
            vm_id="vm-1",
            session_id="session",
            workspace=workplace.workspace,
            home=workplace.home,
        ),
        position=Position(base.id, base.manifest_root),
        tree=tree,
    )
    return Desk(plane, order, base, checkpointer, machine, store, agent, told)


@pytest.fixture
async def desk(one_plane: Plane, tmp_path: Path) -> AsyncGenerator[Desk, None]:
    desk = await _open(one_plane, tmp_path)
    yield desk
    desk.store.may_read.set()
    desk.store.may_end.set()
    await _close(desk)


async def _close(desk: Desk) -> None:
    await desk.checkpointer.settled()
    desk.checkpointer.tree.close()
    await desk.checkpointer.log.close()


async def test_checkpoints_form_a_chain_that_holds_every_file_and_is_verified(
    plane: Plane, tmp_path: Path
):
    desk = await _open(plane, tmp_path)
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
    await _close(desk)

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


def _reference_fails(desk: Desk) -> None:
    def refuse(*_: object) -> None:
        raise StoreFullError("No space is left.")

    desk.store.write_ref = refuse  # type: ignore[attr-defined]  # shadows the store's


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
        _reference_fails,
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


async def test_what_the_store_could_not_capture_is_written_down(desk: Desk):

    os.mkfifo(desk.workspace / "pipe")
    await desk.checkpointer.before_response([])
    await desk.settle()
    (made,) = await desk.made()
    assert from_struct(made.metadata) == {
        "special": ["workspace/pipe"],
        "detection": {"method": "walk", "audited": True},
    }


async def test_checkpoints_say_how_changes_were_found_and_the_last_looks_at_everything(desk: Desk):
    cp = desk.checkpointer
    told = cp.tree.detection
    for number in range(3):
        write_files(desk.workspace, {"a.txt": f"{number}\n"})
        await cp.before_response([])
        await desk.settle()
    await cp.final()
    first, *middle, last = [c.detection for c in await desk.made()]
    assert (first.method, first.audited) == ("walk", True)  # nothing was known yet
    assert [(d.method, d.audited) for d in middle] == [(told, told == "walk")] * 2
    assert (last.method, last.audited) == (told, True)


class Deaf(InotifyTracker):
    """Tells nothing of one name."""

    def _events(self) -> Iterator[Event]:
        return (event for event in super()._events() if event.name != b"a.txt")


async def test_what_events_did_not_tell_is_in_the_last_checkpoint_and_is_told(desk: Desk):
    cp = desk.checkpointer
    counted: list[int] = []
    cp.count_missed = counted.append
    cp.tree.close()
    cp.tree.tracker = Deaf()
    cp.tree.tracker.start(cp.tree.roots)
    for _ in range(2):  # until the file is no longer so young that it is looked at anyway
        await cp.before_response([])
        await desk.settle()
        await asyncio.sleep(0.03)
    write_files(desk.workspace, {"a.txt": "nobody told\n"})
    await cp.before_response([])
    await desk.settle()
    last = await cp.final()
    assert b"".join(desk.store.read(last.manifest_root, "workspace/a.txt")) == b"nobody told\n"
    assert list(last.detection.missed) == ["workspace/a.txt"]
    assert counted == [1]
    assert cp.tree.detection == "walk"
    await cp.log.flush()
    logs = await desk.plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=desk.order.task.id)
    )
    (notice,) = [entry for entry in logs.entries if entry.event.kind == "notice"]
    assert notice.level == "WARNING"
    assert "workspace/a.txt" in notice.message


_COUNTER = """
import mmap, struct, time
with open("counter", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 4096)
number = 0
while True:
    number += 1
    struct.pack_into("<Q", mapped, 0, number)
    time.sleep(0.0002)
"""


@pytest.mark.parametrize("kind", [SandboxDriver, ProcessDriver], ids=lambda kind: kind.name)
async def test_what_a_machine_has_stored_through_a_mapping_is_in_its_next_checkpoint(
    desk: Desk, tmp_path: Path, kind: type[SandboxDriver | ProcessDriver]
):
    cp, path = desk.checkpointer, desk.workspace / "counter"
    path.write_bytes(bytes(4096))
    spec = MachineSpec(
        cp.scope.machine_id,
        cp.scope.workspace,
        cp.scope.home,
        [str(own_interpreter()), "-I", "-S", "-c", _COUNTER],
        {},
    )
    machine = await kind(tmp_path / "scratch").spawn(spec)
    cp.machine = machine
    try:
        stored: list[int] = []
        for _ in range(15):
            before = stored[-1] if stored else 0
            await desk.until(lambda at=before: _number(path.read_bytes()) > at)
            stored.append(_number(path.read_bytes()))
            await cp.before_response([])
            await desk.settle()
    finally:
        await machine.destroy()
    assert cp.error is None
    made = await desk.made()
    found = [_number(b"".join(desk.store.read(c.manifest_root, "workspace/counter"))) for c in made]
    assert len(found) == len(stored)
    assert all(seen >= at for seen, at in zip(found, stored, strict=True)), (found, stored)


def _number(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


async def test_files_that_processes_map_are_read_at_every_checkpoint(desk: Desk):
    path = desk.workspace / "mapped"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
        desk.machine.processes = [os.getpid()]
        for number in range(1, 9):
            mapped[0] = number
            await desk.checkpointer.before_response([])
            await desk.settle()
    for number, made in enumerate(await desk.made(), start=1):
        content = b"".join(desk.store.read(made.manifest_root, "workspace/mapped"))
        assert content[0] == number

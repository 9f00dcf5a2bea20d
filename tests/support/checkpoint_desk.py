"""A checkpointer on a real store and real services, with a machine and a transcript that tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from plane import Plane, make_repository

from autovibe.agents.shell import ShellAdapter
from autovibe.domains.machines.driver import Machine
from autovibe.kernel.checkpoint_settings import CheckpointSettings
from autovibe.runtime.checkpointer import Checkpointer, Position, Scope
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.runtime.workplace import Workplace
from autovibe.store import Snapshot, StatCache, Store
from autovibe.v1 import checkpoints_pb2, work_pb2


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


async def open_desk(plane: Plane, tmp_path: Path) -> Desk:
    """Return a checkpointer of a machine that works on a small repository."""
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
    """Yield a checkpointer at work; nothing waits for a gate once the test has ended."""
    desk = await open_desk(one_plane, tmp_path)
    yield desk
    desk.store.may_read.set()
    desk.store.may_end.set()
    await close_desk(desk)


async def close_desk(desk: Desk) -> None:
    """Let what is under way end, and close what a machine's owner closes."""
    await desk.checkpointer.settled()
    desk.checkpointer.tree.close()
    await desk.checkpointer.log.close()

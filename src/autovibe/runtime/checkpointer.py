"""Making checkpoints of a machine: while its agent works, and when it has ended (decision B6)."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from google.protobuf import struct_pb2

from autovibe.domains.checkpoints import manifest_of
from autovibe.domains.machines.agent import AgentAdapter
from autovibe.domains.machines.driver import Machine
from autovibe.kernel.clock import Clock
from autovibe.kernel.faults import reach
from autovibe.kernel.ids import new_id
from autovibe.kernel.text import utf8
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.store import Change, CheckpointStore, NewRef, Snapshot
from autovibe.store.tracking import TrackedTree, shared_writable_inodes
from autovibe.v1 import checkpoints_pb2, services

TRANSCRIPT_WAIT_S: Final = 0.3
READ_LIMIT_S: Final = 2.0
_TRANSCRIPT_POLL_S: Final = 0.01
_SHOWN_PATHS: Final = 5
_KEPT_PATHS: Final = 100

Consistency = Literal["exact", "fuzzy_tree", "conversation_behind"]
Kind = Literal["automatic", "manual", "final"]


@dataclass(frozen=True)
class Position:
    """Where a machine stands in the tree of checkpoints."""

    checkpoint_id: str
    root: str


@dataclass(frozen=True)
class Scope:
    """Whose checkpoints these are."""

    project_id: str
    machine_id: str
    work_order_id: str
    lease_generation: int
    hypervisor: str
    vm_id: str
    session_id: str
    workspace: Path
    home: Path


@dataclass
class _Span:
    """How long a checkpoint takes: since when, and how long the machine stood still for it."""

    started: float
    frozen_s: float = 0.0


@dataclass
class _Round:
    """One automatic checkpoint to be made, and the tool calls of those who wait for it.

    `over` is set when nobody needs to wait any longer: the machine's files were read, or cannot be.
    """

    tool_use_ids: list[str] = field(default_factory=list[str])
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Checkpointer:
    """Makes the checkpoints of one machine, one at a time.

    `position` is the newest recorded checkpoint. `error` is set when one could not be made: the
    machine is then to be stopped, because work beyond it could be lost. `tree` is closed by its
    owner, after `settled`. `count_missed` hears how many changes no event had told.
    """

    store: CheckpointStore
    checkpoints: services.CheckpointService
    machine: Machine
    adapter: AgentAdapter
    log: ExecutionLog
    clock: Clock
    scope: Scope
    position: Position
    tree: TrackedTree
    count_missed: Callable[[int], None] = lambda _: None
    count: int = 0
    last_settled_call_id: str = ""
    error: str | None = None
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _next: _Round | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def before_response(self, tool_use_ids: Sequence[str]) -> None:
        """Make an automatic checkpoint; returns when the tree has been read, after 2 s at most.

        A request that arrives while one is being made joins the next.
        """
        if self._next is None:
            self._next = _Round()
            task = asyncio.create_task(self._automatic(self._next), name="checkpoint")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        joined = self._next
        joined.tool_use_ids += tool_use_ids
        # The checkpoint goes on when the caller has waited long enough, or is gone.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_LIMIT_S):
                await joined.over.wait()

    async def _automatic(self, this: _Round) -> None:
        deadline = self.clock.monotonic() + READ_LIMIT_S
        async with self._busy:
            try:
                try:
                    behind = not await self._transcript_settled(this.tool_use_ids)
                finally:
                    # From here on a further request starts the next checkpoint.
                    self._next = None
                checkpoint_id = str(new_id())
                snapshot, fuzzy, span = await self._read_frozen(checkpoint_id, this, deadline)
                consistency: Consistency = "exact"
                if behind:
                    consistency = "conversation_behind"
                if fuzzy or snapshot.torn:
                    consistency = "fuzzy_tree"
                await self._record(checkpoint_id, snapshot, "automatic", consistency, span)
            except Exception as error:  # noqa: BLE001 - whatever it is, work beyond is not safe
                self._fail(error)
            finally:
                this.over.set()

    async def _transcript_settled(self, tool_use_ids: Sequence[str]) -> bool:
        """Wait until the conversation on disk holds these tool calls, 300 ms at most.

        Further ones may be added meanwhile.
        """
        deadline = self.clock.monotonic() + TRANSCRIPT_WAIT_S
        while not await asyncio.to_thread(
            self.adapter.transcript_holds,
            self.scope.home,
            self.scope.session_id,
            tuple(tool_use_ids),
        ):
            if self.clock.monotonic() >= deadline:
                return False
            await asyncio.sleep(_TRANSCRIPT_POLL_S)
        return True

    async def _read_frozen(
        self, checkpoint_id: str, this: _Round, deadline: float
    ) -> tuple[Snapshot, bool, _Span]:
        """Snapshot the machine while it stands still.

        Returns:
            The snapshot, whether the machine had to be let go before it was read, and how long it
            stood still.
        """
        loop = asyncio.get_running_loop()
        span = _Span(self.clock.monotonic())
        read = asyncio.Event()
        fuzzy = False

        def on_read() -> None:
            loop.call_soon_threadsafe(read.set)

        try:
            await self.machine.freeze()
        except BaseException:
            await self.machine.thaw()  # some processes may have been stopped
            raise
        work = asyncio.create_task(asyncio.to_thread(self._snapshot, checkpoint_id, on_read))
        work.add_done_callback(lambda _: read.set())
        try:
            async with asyncio.timeout(max(0.0, deadline - self.clock.monotonic())):
                await read.wait()
        except TimeoutError:
            fuzzy = True
        finally:
            try:
                await self.machine.thaw()
            finally:
                span.frozen_s = self.clock.monotonic() - span.started
                this.over.set()
                await asyncio.wait({work})  # the tree takes one snapshot at a time
        return work.result(), fuzzy, span

    def _snapshot(self, checkpoint_id: str, on_read: Callable[[], None]) -> Snapshot:
        # Asked while they stand still: nobody begins to map a file meanwhile.
        mapped = shared_writable_inodes(self.machine.process_ids())
        return self.tree.snapshot(mapped=mapped, ref=_reference(checkpoint_id), on_read=on_read)

    async def settled(self) -> None:
        """Return when no checkpoint is being made."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def final(self, consistency: Consistency = "exact") -> checkpoints_pb2.Checkpoint:
        """Make a checkpoint of a machine whose processes have ended; every file is looked at.

        Raises:
            AutovibeError: the store or the database refused it.
        """
        await self.settled()  # those under way become ancestors, not children, of this one
        async with self._busy:
            span = _Span(self.clock.monotonic())
            checkpoint_id = str(new_id())
            snapshot = await asyncio.to_thread(
                self.tree.snapshot, audit=True, ref=_reference(checkpoint_id)
            )
            return await self._record(checkpoint_id, snapshot, "final", consistency, span)

    async def _record(
        self,
        checkpoint_id: str,
        snapshot: Snapshot,
        kind: Kind,
        consistency: Consistency,
        span: _Span,
    ) -> checkpoints_pb2.Checkpoint:
        """Verify what is new in a snapshot, and insert its row: its reference is durable (E2)."""
        reach("reference_written")
        if snapshot.missed:
            self._tell_missed(snapshot.missed)
        parent = self.position
        changes, verified = await asyncio.to_thread(self._examine, parent.root, snapshot)
        request = checkpoints_pb2.RecordCheckpointRequest(
            id=checkpoint_id,
            project_id=self.scope.project_id,
            parent_checkpoint_id=parent.checkpoint_id,
            creating_machine_id=self.scope.machine_id,
            checkpoint_type=kind,
            hypervisor=self.scope.hypervisor,
            vm_id=self.scope.vm_id,
            creation_context="model_call" if kind == "automatic" else kind,
            size_bytes=snapshot.total_bytes,
            stored_bytes=snapshot.stored_bytes,
            original_bytes=snapshot.read_bytes,
            manifest_root=snapshot.root,
            manifest_file_count=snapshot.file_count,
            file_manifest=manifest_of(changes, parent.checkpoint_id),
            agent_session_id=self.scope.session_id,
            last_settled_call_id=self.last_settled_call_id,
            consistency=consistency,
            metadata=_metadata(snapshot),
            detection=_detection(snapshot),
            timing=checkpoints_pb2.CheckpointTiming(
                frozen_ms=_ms(span.frozen_s), total_ms=_ms(self.clock.monotonic() - span.started)
            ),
            verified=verified,
            work_order_id=self.scope.work_order_id,
            lease_generation=self.scope.lease_generation,
        )
        recorded = await self.checkpoints.record_checkpoint(request)
        reach("checkpoint_recorded")
        self.position = Position(checkpoint_id, snapshot.root)
        self.count += 1
        self._tell(recorded, changes, self.clock.monotonic() - span.started)
        return recorded

    def _examine(self, parent_root: str, snapshot: Snapshot) -> tuple[list[Change], bool]:
        changes = self.store.diff(parent_root, snapshot.root)
        return changes, self.store.verify(snapshot.root, objects=snapshot.new_objects).ok

    def _tell(
        self, recorded: checkpoints_pb2.Checkpoint, changes: Sequence[Change], duration_s: float
    ) -> None:
        paths = [
            change.path.removeprefix("workspace/")
            for change in changes
            if change.path.startswith("workspace/")
            and not change.path.startswith("workspace/.git/")
        ]
        self.log.write(
            "checkpoint",
            f"Checkpoint {recorded.id[:8]} ({recorded.checkpoint_type})",
            level="INFO" if recorded.verification_status == "verified" else "ERROR",
            checkpoint_id=recorded.id,
            checkpoint_type=recorded.checkpoint_type,
            files_changed=len(paths),
            changed_paths=paths[:_SHOWN_PATHS],
            file_count=recorded.manifest_file_count,
            stored_bytes=recorded.stored_bytes,
            consistency=recorded.consistency,
            duration_ms=round(duration_s * 1000),
            verified=recorded.verification_status == "verified",
        )

    def _tell_missed(self, missed: Sequence[str]) -> None:
        """Say that the kernel kept changes from us; from now on the tree looks at every file."""
        self.count_missed(len(missed))
        paths = [utf8(path) for path in missed[:_KEPT_PATHS]]
        self.log.write(
            "notice",
            f"{len(missed)} changed files had not been reported by the kernel, {paths[0]} among "
            "them; this checkpoint has them, and from now on every file is looked at.",
            level="WARNING",
            missed=paths,
        )

    def _fail(self, error: Exception) -> None:
        self.error = f"A checkpoint could not be made ({error}); the machine was stopped."
        self.log.write("notice", self.error, level="ERROR")
        self.failed.set()


def _reference(checkpoint_id: str) -> NewRef:
    return NewRef(f"checkpoints/{checkpoint_id}")


def _metadata(snapshot: Snapshot) -> struct_pb2.Struct | None:
    told = {"torn": snapshot.torn, "special": snapshot.special, "excluded": snapshot.excluded}
    kept = {
        name: [utf8(path) for path in paths[:_KEPT_PATHS]] for name, paths in told.items() if paths
    }
    if not kept:
        return None
    struct = struct_pb2.Struct()
    struct.update(kept)
    return struct


def _detection(snapshot: Snapshot) -> checkpoints_pb2.Detection:
    return checkpoints_pb2.Detection(
        method=snapshot.detection,
        audited=snapshot.audited,
        missed=[utf8(path) for path in snapshot.missed[:_KEPT_PATHS]],
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def new_session_id() -> str:
    """Return a fresh id for an agent's own session."""
    return str(uuid.uuid4())

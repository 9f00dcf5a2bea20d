"""A control plane without processes: real database, real store, services as clients see them."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from autovibe import __version__
from autovibe.agents import adapters
from autovibe.app.jobs import maintenance_service
from autovibe.db import Database
from autovibe.domains.checkpoints import CheckpointService, Pruned, TransferService
from autovibe.domains.collaboration import ChatService, ConversingApprovals
from autovibe.domains.identity import IdentityService
from autovibe.domains.knowledge import DocumentService
from autovibe.domains.machines import MachineService
from autovibe.domains.metering import MeteringService
from autovibe.domains.projects import ProjectService
from autovibe.domains.work import (
    Leave,
    LogService,
    QueueService,
    WorkDefaults,
    WorkService,
    check_lease,
)
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.kernel.maintenance_settings import MaintenanceSettings
from autovibe.kernel.talk_settings import ChatSettings, DocumentSettings
from autovibe.operations import Operations, Registry, local_twin
from autovibe.runtime.control import LocalControl
from autovibe.runtime.fleet import LocalFleet
from autovibe.sdk.services import Services
from autovibe.store import AuditResult, Exclude, Snapshot, Store, VerifyResult
from autovibe.v1 import checkpoints_pb2, machines_pb2, projects_pb2, queue_pb2, work_pb2

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class StillClock:
    """A clock whose wall time stands still until it is moved; its monotonic reading is real."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now
        self._real = SystemClock()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self._real.monotonic()

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


@dataclass(frozen=True)
class InlineStoreWork:
    """Does in this process what the store's own process does otherwise: the same, but at once."""

    store: Store

    async def import_tree(
        self, roots: Mapping[str, Path], exclude: Sequence[str], *, whole: bool = False
    ) -> tuple[Snapshot, bool]:
        left_out = Exclude(tuple(exclude), frozenset({"workspace"})) if exclude else None
        snapshot = await asyncio.to_thread(self.store.snapshot, roots, exclude=left_out)
        if whole:
            if not self.store.verify(snapshot.root).ok:
                snapshot = self.store.snapshot(roots, exclude=left_out)
            return snapshot, self.store.verify(snapshot.root).ok
        return snapshot, self.store.verify(snapshot.root, objects=snapshot.new_objects).ok

    async def verify_tree(self, root: str) -> VerifyResult:
        return await asyncio.to_thread(self.store.verify, root)

    async def prune(self, grace: timedelta, *, dry_run: bool) -> Pruned:
        done = await asyncio.to_thread(self.store.prune, grace=grace, dry_run=dry_run)
        return Pruned(
            done.objects_removed,
            done.packs_removed,
            done.stored_before,
            done.stored_after,
            done.held_bytes,
            len(done.kept_packs),
        )

    async def audit(self) -> AuditResult:
        return await asyncio.to_thread(self.store.audit)


@dataclass
class Plane:
    """What a test holds of a control plane."""

    db: Database
    services: Services
    clock: StillClock
    store: Store
    control: LocalControl
    context: CallContext
    instance_id: str
    worker_id: str = ""
    seq: dict[str, int] = field(default_factory=dict)

    async def project(self, name: str = "website") -> projects_pb2.Project:
        """Create a project."""
        return await self.services.projects.create_project(
            projects_pb2.CreateProjectRequest(name=name)
        )

    async def load(
        self, directory: Path, project: str = "website", **options: Any
    ) -> checkpoints_pb2.ImportDirectoryResponse:
        """Import a directory."""
        return await self.services.checkpoints.import_directory(
            checkpoints_pb2.ImportDirectoryRequest(
                project=project, directory=str(directory), **options
            )
        )

    async def current(self, project: str = "website") -> str:
        """Return a project's current checkpoint."""
        found = await self.services.projects.get_project(
            projects_pb2.GetProjectRequest(project=project)
        )
        return found.current_checkpoint_id

    async def checkpoint(self, project_id: str, **fields: Any) -> checkpoints_pb2.Checkpoint:
        """Record a checkpoint, by default a verified one of an empty tree."""
        given: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "checkpoint_type": "automatic",
            "manifest_root": "0" * 64,
            "verified": True,
            **fields,
        }
        return await self.services.checkpoints.record_checkpoint(
            checkpoints_pb2.RecordCheckpointRequest(project_id=project_id, **given)
        )

    async def result_of(
        self, base: checkpoints_pb2.Checkpoint, workspace: Path, **fields: Any
    ) -> checkpoints_pb2.Checkpoint:
        """Record what a machine would have made of a checkpoint, as its final one."""
        home = workspace.parent / "agent-home"
        home.mkdir(exist_ok=True)
        snapshot = await asyncio.to_thread(
            self.store.snapshot, {"workspace": workspace, "home": home}
        )
        return await self.checkpoint(
            base.project_id,
            parent_checkpoint_id=base.id,
            checkpoint_type="final",
            manifest_root=snapshot.root,
            **fields,
        )

    async def task(self, project: str = "website", **fields: Any) -> work_pb2.Task:
        """Create a task of the shell agent and queue it."""
        context = fields.pop("context", {})
        given: dict[str, Any] = {"description": "do it", "start": True, **fields}
        return await self.services.work.create_task(
            work_pb2.CreateTaskRequest(
                project=project,
                context=work_pb2.TaskContext(
                    **{"agent": "shell", "isolation": "process", "agent_args": ["true"], **context}
                ),
                **given,
            )
        )

    async def see(self, task_id: str) -> work_pb2.Task:
        """Return a task as it is now."""
        return await self.services.work.get_task(work_pb2.GetTaskRequest(task_id=task_id))

    async def worker(self, name: str = "worker", slots: int = 1) -> str:
        """Register a worker, which is that of the claims that follow, and return its id."""
        worker = await self.services.queue.register_worker(
            queue_pb2.RegisterWorkerRequest(
                name=name, max_concurrent_tasks=slots, version=__version__
            )
        )
        self.worker_id = worker.id
        return worker.id

    async def claim(self, **fields: Any) -> work_pb2.ClaimedOrder | None:
        """Claim an order."""
        given: dict[str, Any] = {
            "worker_id": self.worker_id,
            "instance_id": self.instance_id,
            "lease_s": 60,
            **fields,
        }
        answer = await self.services.work.claim_work_order(work_pb2.ClaimWorkOrderRequest(**given))
        return answer.order if answer.HasField("order") else None

    async def claimed(self, **fields: Any) -> work_pb2.ClaimedOrder:
        """Claim an order that is there."""
        order = await self.claim(**fields)
        assert order is not None
        return order

    async def finish(
        self, order: work_pb2.ClaimedOrder, outcome: str = "completed", **fields: Any
    ) -> work_pb2.Task:
        """Report how an order ended."""
        given: dict[str, Any] = {"lease_generation": order.lease_generation, **fields}
        return await self.services.work.finish_execution(
            work_pb2.FinishExecutionRequest(
                execution_id=order.execution.id, outcome=outcome, **given
            )
        )

    async def say(self, order: work_pb2.ClaimedOrder, *messages: str) -> None:
        """Append log lines to an execution."""
        execution_id = order.execution.id
        entries = []
        for message in messages:
            self.seq[execution_id] = self.seq.get(execution_id, 0) + 1
            entry = work_pb2.LogEntry(
                execution_id=execution_id,
                seq=self.seq[execution_id],
                message=message,
                event=work_pb2.LogEvent(kind="output"),
            )
            entry.logged_at.FromDatetime(self.clock.now())
            entries.append(entry)
        await self.services.work.append_execution_logs(
            work_pb2.AppendExecutionLogsRequest(
                execution_id=execution_id,
                lease_generation=order.lease_generation,
                entries=entries,
            )
        )

    async def machine(self, project_id: str, **fields: Any) -> machines_pb2.Machine:
        """Record a machine."""
        given: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "machine_type": "shell",
            "hypervisor": "process",
            "instance_id": self.instance_id,
            **fields,
        }
        return await self.services.machines.create_machine(
            machines_pb2.CreateMachineRequest(project_id=project_id, **given)
        )

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a query on the database itself."""
        async with self.db.read() as tx:
            return [tuple(row) for row in await tx.session.execute(text(query), values)]


def open_plane(db: Database, directory: Path, clock: StillClock) -> Plane:
    """Return a control plane on a database, with its store in a directory."""
    store = Store.open(directory / "store")
    control = LocalControl()
    fleet = LocalFleet(adapters(), {"process": ProcessDriver(directory / "scratch", SystemClock())})
    defaults = WorkDefaults(task_budget="5.00", task_timeout_s=3600)
    instance_id = uuid.uuid4()
    registry = Registry(
        {
            "autovibe.v1.IdentityService": IdentityService(),
            "autovibe.v1.ProjectService": ProjectService(),
            "autovibe.v1.MachineService": MachineService(),
            "autovibe.v1.CheckpointService": CheckpointService(
                store, InlineStoreWork(store), check_lease
            ),
            "autovibe.v1.MaintenanceService": maintenance_service(
                store, InlineStoreWork(store), MaintenanceSettings()
            ),
            "autovibe.v1.TransferService": TransferService(store),
            "autovibe.v1.MeteringService": MeteringService(),
            "autovibe.v1.ChatService": ChatService(
                ChatSettings(), directory / "attachments", db.bells
            ),
            "autovibe.v1.DocumentService": DocumentService(DocumentSettings()),
            "autovibe.v1.WorkService": WorkService(store, control, fleet, defaults, Leave(3600)),
            "autovibe.v1.ApprovalService": ConversingApprovals(db.bells, Leave(3600)),
            "autovibe.v1.LogService": LogService(),
            "autovibe.v1.QueueService": QueueService(db.bells, __version__),
        }
    )
    operations = Operations(db, registry, instance_id=instance_id, clock=clock)
    actor = Actor("system", "tests", ALL_SCOPES)
    services = local_twin(operations, lambda: operations.context(actor))
    return Plane(db, services, clock, store, control, operations.context(actor), str(instance_id))


def run_git(directory: Path, *arguments: str, **options: Any) -> str:
    """Run git as the user would and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=directory, check=True, capture_output=True, **options
    )
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def make_repository(directory: Path, files: Mapping[str, str] | None = None) -> Path:
    """Make a repository with one commit."""
    directory.mkdir(parents=True)
    run_git(directory, "init", "-q", "-b", "main")
    run_git(directory, "config", "user.name", "Test Person")
    run_git(directory, "config", "user.email", "person@example.invalid")
    write_files(directory, files or {"a.txt": "one\n"})
    commit_all(directory)
    return directory


def commit_all(directory: Path, message: str = "A commit") -> str:
    """Commit everything and return the commit."""
    run_git(directory, "add", "-A")
    run_git(directory, "commit", "-q", "-m", message)
    return run_git(directory, "rev-parse", "HEAD")


def write_files(directory: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

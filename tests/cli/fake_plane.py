"""A control plane in memory, behind the same Protocols as the real one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import fields
from typing import Any, Final, cast

from autovibe.cli.client.connection import Connection
from autovibe.kernel.errors import (
    AutovibeError,
    Code,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from autovibe.sdk.services import Services
from autovibe.v1 import (
    approvals_pb2,
    checkpoints_pb2,
    logs_pb2,
    machines_pb2,
    metering_pb2,
    projects_pb2,
    usage_pb2,
    work_pb2,
)

ESCAPE: Final = "\x1b[2J\x1b]0;owned\x07\u202eevil"


class RefusedError(AutovibeError):
    """An error with a code and a reason of the test's choice."""

    def __init__(self, code: Code, reason: str, message: str = "It was refused.") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # an instance value shadows the class default here
        self.reason = reason  # type: ignore[misc]  # as above


Agent = Callable[["FakePlane", work_pb2.Task], Awaitable[None]]


class FakePlane:
    """Everything is kept on this object; `agent` is what happens when a task is worked on."""

    def __init__(self, agent: Agent | None = None, *, embedded: bool = True) -> None:
        self.agent = agent or completes
        self.embedded = embedded
        self.requests: list[Any] = []
        self.projects: dict[str, projects_pb2.Project] = {}
        self.tasks: dict[str, work_pb2.Task] = {}
        self.results: dict[str, work_pb2.TaskResult] = {}
        self.logs: dict[str, list[work_pb2.LogEntry]] = {}
        self.ended: set[str] = set()
        self.running: set[str] = set()
        self.checkpoints: dict[str, checkpoints_pb2.Checkpoint] = {}
        self.findings: list[checkpoints_pb2.SecretFinding] = []
        self.refusals: dict[str, AutovibeError] = {}
        self.machines: list[checkpoints_pb2.RunningMachine] = []
        self.approvals: list[approvals_pb2.Approval] = []
        self.unavailable = 0
        self.whole = True
        self.tree = checkpoints_pb2.CheckpointTree()
        self.patch = b"--- a\n+++ b\n-x\r\n+\x00\xff\n"
        self.stale = False
        self.off: list[str] = []
        self.budget_used = "1.5"
        self.egress = projects_pb2.Egress(inherited=True)
        self.stop = asyncio.Event()
        self.background: set[asyncio.Task[None]] = set()
        self.settings: Any = None

    @contextlib.asynccontextmanager
    async def connect(self, settings: Any) -> AsyncGenerator[Connection]:
        self.settings = settings
        self.stop = asyncio.Event()
        twin = cast("Any", self)
        services = Services(*(twin for _ in fields(Services)))
        holder = cast("Any", _Holder(self, services)) if self.embedded else None
        try:
            yield Connection(services, holder)
        finally:
            for task in self.background:
                task.cancel()

    async def work_on(self, task_id: str) -> None:
        task = self.tasks[task_id]
        self.running.add(task_id)
        try:
            await self.agent(self, task)
        finally:
            self.running.discard(task_id)

    def log(self, task: work_pb2.Task, kind: str, message: str = "", **details: Any) -> None:
        lines = self.logs.setdefault(task.id, [])
        entry = work_pb2.LogEntry(seq=len(lines) + 1, level="INFO", message=message)
        entry.event.kind = kind
        entry.event.details.update(details)
        entry.logged_at.FromSeconds(1_760_000_000 + len(lines))
        lines.append(entry)

    def end(self, task: work_pb2.Task, status: str, reason: str = "", message: str = "") -> None:
        before = self.results.get(task.id)
        machine_id = new_id()
        result = work_pb2.TaskResult(
            task_id=task.id,
            execution_id=new_id(),
            machine_id=machine_id,
            machine_ids=[*(before.machine_ids if before else []), machine_id],
            project_id=task.project_id,
            project_name="demo",
            status=status,
            base_checkpoint_id=task.base_checkpoint_id,
            result_checkpoint_id=new_id(),
            checkpoint_count=3,
            cost_cad="0.012345",
            budget_cad="5",
            api_calls=2,
            duration_s=1.5,
            verified=True,
            summary=f"I am done. {ESCAPE}",
            files_changed=[checkpoints_pb2.FileChange(path=f"a{ESCAPE}.py", change="modified")],
        )
        if reason:
            result.error.reason = reason
            result.error.message = message or "Something was the matter."
        self.results[task.id] = result
        task.status = status
        self.ended.add(task.id)

    # The services, as far as the command line uses them

    def _take(self, request: Any) -> None:
        self.requests.append(request)
        refusal = self.refusals.get(type(request).__name__)
        if refusal is not None:
            raise refusal

    async def ensure_project(self, request: Any) -> projects_pb2.EnsureProjectResponse:
        self._take(request)
        name = request.project or request.repo_path.rpartition("/")[2]
        known = self.projects.get(name)
        project = known or projects_pb2.Project(id=new_id(), name=name, status="active")
        self.projects[name] = project
        return projects_pb2.EnsureProjectResponse(project=project, created=known is None)

    async def create_project(self, request: Any) -> projects_pb2.Project:
        self._take(request)
        if request.name in self.projects:
            raise RefusedError(Code.ALREADY_EXISTS, "PROJECT_EXISTS")
        project = projects_pb2.Project(
            id=new_id(), name=request.name, description=request.description, status="active"
        )
        self.projects[request.name] = project
        return project

    async def get_project(self, request: Any) -> projects_pb2.Project:
        self._take(request)
        if request.project not in self.projects:
            raise NotFoundError(f"No project is called {request.project!r}.")
        return self.projects[request.project]

    async def list_projects(self, request: Any) -> projects_pb2.ListProjectsResponse:
        self._take(request)
        page, token = page_of(sorted(self.projects.values(), key=lambda p: p.name), request)
        return projects_pb2.ListProjectsResponse(projects=page, next_page_token=token)

    async def scan_secrets(self, request: Any) -> checkpoints_pb2.ScanSecretsResponse:
        self._take(request)
        return checkpoints_pb2.ScanSecretsResponse(findings=self.findings)

    async def import_directory(self, request: Any) -> checkpoints_pb2.ImportDirectoryResponse:
        self._take(request)
        checkpoint = checkpoints_pb2.Checkpoint(
            id=new_id(),
            project_id=request.project,
            checkpoint_type="genesis",
            manifest_file_count=4,
            size_bytes=2**40,
        )
        self.checkpoints[checkpoint.id] = checkpoint
        excluded = [] if request.include_secrets else [item.path for item in self.findings]
        return checkpoints_pb2.ImportDirectoryResponse(
            checkpoint=checkpoint, head_commit="c0ffee", dirty=True, excluded=excluded
        )

    async def list_checkpoints(self, request: Any) -> checkpoints_pb2.ListCheckpointsResponse:
        self._take(request)
        found = [
            item
            for item in self.checkpoints.values()
            if not request.machine_ids or item.creating_machine_id in request.machine_ids
        ]
        page, token = page_of(found, request)
        return checkpoints_pb2.ListCheckpointsResponse(checkpoints=page, next_page_token=token)

    async def get_checkpoint(self, request: Any) -> checkpoints_pb2.Checkpoint:
        self._take(request)
        for item in self.checkpoints.values():
            if item.id.startswith(request.checkpoint_id):
                return item
        raise NotFoundError(f"No checkpoint is called {request.checkpoint_id!r}.")

    async def list_checkpoint_files(
        self, request: Any
    ) -> checkpoints_pb2.ListCheckpointFilesResponse:
        self._take(request)
        entry = checkpoints_pb2.FileEntry(path=f"x{ESCAPE}", kind="file", size=2**40, mode="0644")
        return checkpoints_pb2.ListCheckpointFilesResponse(files=[entry])

    async def diff_checkpoints(self, request: Any) -> checkpoints_pb2.DiffCheckpointsResponse:
        self._take(request)
        change = checkpoints_pb2.FileChange(path=f"a{ESCAPE}.py", change="modified")
        patch = f"--- a\n+++ b\n@@ -1 +1 @@\n-x\t\n+{ESCAPE}\n" if request.with_patch else ""
        return checkpoints_pb2.DiffCheckpointsResponse(changes=[change], patch=patch)

    async def verify_checkpoint(self, request: Any) -> checkpoints_pb2.VerifyCheckpointResponse:
        self._take(request)
        found = checkpoints_pb2.Checkpoint(id=request.checkpoint_id)
        damaged = [] if self.whole else [f"a{ESCAPE}"]
        return checkpoints_pb2.VerifyCheckpointResponse(
            checkpoint=found, ok=self.whole, objects=1, bytes=10, damaged_paths=damaged
        )

    async def restore_checkpoint(self, request: Any) -> checkpoints_pb2.RestoreCheckpointResponse:
        self._take(request)
        return checkpoints_pb2.RestoreCheckpointResponse(files=3, bytes=2**33)

    async def create_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        task = work_pb2.Task(
            id=new_id(),
            project_id=request.project,
            title=request.description.splitlines()[0][:255],
            description=request.description,
            status="queued",
            context=request.context,
            base_checkpoint_id=request.base_checkpoint_id,
        )
        return self._queue(task)

    def _queue(self, task: work_pb2.Task) -> work_pb2.Task:
        self.tasks[task.id] = task
        task.status = "queued"
        self.ended.discard(task.id)
        if not self.embedded:
            server = asyncio.create_task(self.work_on(task.id))
            self.background.add(server)
        return task

    async def check_task_context(self, request: Any) -> work_pb2.TaskContext:
        self._take(request)
        if request.context.agent not in {"claude_code", "shell"}:
            raise InvalidArgumentError(f"No agent is called {request.context.agent!r}.")
        return request.context

    async def resume_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        task = self._find(request.task_id)
        if task.status not in {"blocked", "failed"}:
            raise RefusedError(Code.FAILED_PRECONDITION, "TASK_NOT_RESUMABLE")
        return self._queue(task)

    async def retry_task(self, request: Any) -> work_pb2.Task:
        return await self.resume_task(request)

    async def cancel_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        task = self._find(request.task_id)
        task.status = "cancelled"
        return task

    async def fork_checkpoint(self, request: Any) -> work_pb2.Task:
        self._take(request)
        task = work_pb2.Task(
            id=new_id(),
            project_id="calc",
            title=request.description,
            description=request.description,
            context=request.context,
            base_checkpoint_id=request.checkpoint_id,
        )
        return self._queue(task)

    async def get_checkpoint_tree(self, request: Any) -> checkpoints_pb2.CheckpointTree:
        self._take(request)
        return self.tree

    async def get_task_patch(self, request: Any) -> work_pb2.GetTaskPatchResponse:
        """Give the patch by halves."""
        self._take(request)
        half = len(self.patch) // 2
        if request.page_token:
            return work_pb2.GetTaskPatchResponse(patch=self.patch[half:])
        change = checkpoints_pb2.FileChange(path=f"a{ESCAPE}.py", change="modified")
        return work_pb2.GetTaskPatchResponse(
            patch=self.patch[:half], files=[change], ignored=["x.log"], next_page_token="2"
        )

    async def get_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        return self._find(request.task_id)

    def _find(self, task_id: str) -> work_pb2.Task:
        for task in self.tasks.values():
            if task.id.startswith(task_id):
                return task
        raise NotFoundError(f"No task is called {task_id!r}; see `autovibe task list`.")

    async def list_tasks(self, request: Any) -> work_pb2.ListTasksResponse:
        self._take(request)
        wanted = [
            t for t in self.tasks.values() if not request.statuses or t.status in request.statuses
        ]
        page, token = page_of(wanted, request)
        return work_pb2.ListTasksResponse(tasks=page, next_page_token=token)

    async def get_task_result(self, request: Any) -> work_pb2.TaskResult:
        self._take(request)
        task = await self.get_task(work_pb2.GetTaskRequest(task_id=request.task_id))
        known = self.results.get(task.id)
        return known or work_pb2.TaskResult(task_id=task.id, status=task.status)

    async def pause_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        if request.task_id not in self.running:
            raise RefusedError(Code.FAILED_PRECONDITION, "TASK_NOT_RUNNING")
        self.stop.set()
        return self.tasks[request.task_id]

    async def apply_task(self, request: Any) -> work_pb2.ApplyTaskResponse:
        self._take(request)
        change = checkpoints_pb2.FileChange(path="a.py", change="modified")
        return work_pb2.ApplyTaskResponse(
            branch=request.branch or "autovibe/1",
            commit="c" * 40,
            files=[change],
            ignored=["x.log"],
        )

    async def stream_task_logs(self, request: Any) -> AsyncGenerator[work_pb2.ListTaskLogsResponse]:
        cursor = request.cursor
        while True:
            page = await self.list_task_logs(
                work_pb2.ListTaskLogsRequest(
                    task_id=request.task_id, cursor=cursor, page_size=200, level=request.level
                )
            )
            cursor = page.next_cursor
            page.ended = page.ended and not page.entries
            yield page
            if page.ended:
                return
            await asyncio.sleep(0)

    async def get_execution(self, request: Any) -> logs_pb2.ExecutionDetails:
        self._take(request)
        return logs_pb2.ExecutionDetails()

    async def list_task_logs(self, request: Any) -> work_pb2.ListTaskLogsResponse:
        self._take(request)
        if self.unavailable:
            self.unavailable -= 1
            raise UnavailableError("The server cannot be reached.")
        lines = self.logs.get(request.task_id, [])
        at = int(request.cursor or "0")
        page = lines[at : at + min(request.page_size, 500)]
        return work_pb2.ListTaskLogsResponse(
            entries=page, next_cursor=str(at + len(page)), ended=request.task_id in self.ended
        )

    async def set_budget(self, request: Any) -> metering_pb2.Budget:
        self._take(request)
        return metering_pb2.Budget(
            id=new_id(),
            resource_type=request.resource_type,
            budget_period=request.budget_period,
            allocated_amount="2",
            used_amount="3",
            available_amount="-1",
            unit="CAD",
        )

    async def list_running_machines(
        self, request: Any
    ) -> checkpoints_pb2.ListRunningMachinesResponse:
        self._take(request)
        return checkpoints_pb2.ListRunningMachinesResponse(machines=self.machines)

    async def list_approvals(self, request: Any) -> approvals_pb2.ListApprovalsResponse:
        self._take(request)
        return approvals_pb2.ListApprovalsResponse(approvals=self.approvals)

    async def get_parked_calls(self, request: Any) -> metering_pb2.ParkedCalls:
        self._take(request)
        return metering_pb2.ParkedCalls()

    async def get_egress(self, request: Any) -> projects_pb2.Egress:
        self._take(request)
        return self.egress

    async def set_egress(self, request: Any) -> projects_pb2.Egress:
        self._take(request)
        self.egress = request.egress
        return self.egress

    async def raise_budget(self, request: Any) -> metering_pb2.Budget:
        return await self.set_budget(request)

    async def list_budgets(self, request: Any) -> metering_pb2.ListBudgetsResponse:
        self._take(request)
        budget = metering_pb2.Budget(
            id=new_id(),
            project_id=next((p.id for p in self.projects.values()), ""),
            task_id=request.task_id,
            resource_type="money",
            budget_period="total",
            allocated_amount="5.000000",
            used_amount=self.budget_used,
            reserved_amount="0",
            available_amount="3.5",
            unit="CAD",
        )
        return metering_pb2.ListBudgetsResponse(budgets=[budget])

    async def get_usage(self, request: Any) -> metering_pb2.UsageReport:
        self._take(request)
        line = metering_pb2.UsageLine(
            resource_type="money", amount="0.0123", unit="CAD", cost_cad="0.0123", model="a-model"
        )
        return metering_pb2.UsageReport(
            lines=[line], cost_cad="0.0123", api_calls=1, uncertain_calls=1, rate=self._rate()
        )

    async def purge_machine(self, request: Any) -> machines_pb2.PurgeMachineResponse:
        self._take(request)
        return machines_pb2.PurgeMachineResponse(
            machine_id=request.machine_id, checkpoints=2, stored_bytes=2_000
        )

    async def list_machines(self, request: Any) -> machines_pb2.ListMachinesResponse:
        self._take(request)
        machine = machines_pb2.Machine(
            id="m-1", machine_type="shell", status="terminated", checkpoint_count=2
        )
        return machines_pb2.ListMachinesResponse(machines=[machine])

    async def delete_task(self, request: Any) -> work_pb2.Task:
        self._take(request)
        return self.tasks.pop(request.task_id)

    async def audit_usage(self, request: Any) -> usage_pb2.AuditUsageResponse:
        """Answer with one page for each of two projects, the second with what `off` says."""
        self._take(request)
        if not request.page_token:
            return usage_pb2.AuditUsageResponse(budgets=2, days=1, next_page_token="second")
        differences = [usage_pb2.UsageDifference(kind="used", message=one) for one in self.off]
        return usage_pb2.AuditUsageResponse(
            budgets=1, calls=1_000, repriced=900, differences=differences
        )

    async def rebuild_usage(self, request: Any) -> usage_pb2.RebuildUsageResponse:
        self._take(request)
        call = usage_pb2.RebuiltCall(
            reservation_id="c-1", project_name="calc", model="a-model", rows=2, source="log"
        )
        call.cost_cad = "0.25"
        return usage_pb2.RebuildUsageResponse(calls=[call])

    async def get_exchange_rate(self, request: Any) -> metering_pb2.ExchangeRate:
        self._take(request)
        return self._rate()

    def _rate(self) -> metering_pb2.ExchangeRate:
        rate = metering_pb2.ExchangeRate(currency="USD", rate_to_cad="1.38", stale=self.stale)
        rate.valid_from.FromSeconds(1_760_000_000)
        return rate


class _Holder:
    """What `open_embedded` yields."""

    def __init__(self, plane: FakePlane, services: Services) -> None:
        self.services = services
        self._plane = plane

    async def work_on(self, task_id: str) -> None:
        await self._plane.work_on(task_id)


def new_id() -> str:
    return str(uuid.uuid4())


def page_of(items: list[Any], request: Any) -> tuple[list[Any], str]:
    at = int(request.page_token or "0")
    page = items[at : at + request.page_size]
    return page, str(at + len(page)) if at + len(page) < len(items) else ""


# What may happen to a task


async def completes(plane: FakePlane, task: work_pb2.Task) -> None:
    plane.log(task, "state", status="spawning", isolation="sandbox")
    plane.log(task, "agent", f"I say {ESCAPE}", event="message")
    plane.log(
        task,
        "call",
        status="settled",
        model="a-model",
        cost_cad="0.012345",
        spent_cad="0.012345",
        budget_cad="5",
        input_tokens=1200,
        output_tokens=34,
        duration_ms=420,
    )
    plane.log(
        task,
        "checkpoint",
        checkpoint_id=new_id(),
        checkpoint_type="automatic",
        files_changed=1,
        changed_paths=[f"a{ESCAPE}.py"],
        file_count=4,
        stored_bytes=2048,
        consistency="exact",
        duration_ms=12,
        verified=True,
    )
    plane.log(task, "output", f"line {ESCAPE}")
    plane.log(task, "state", status="completed")
    plane.end(task, "completed")


def ends(status: str, reason: str) -> Agent:
    async def agent(plane: FakePlane, task: work_pb2.Task) -> None:
        plane.log(task, "state", status="working")
        plane.end(task, status, reason)

    return agent


async def waits(plane: FakePlane, task: work_pb2.Task) -> None:
    """Work until paused, and save a checkpoint then."""
    plane.log(task, "state", status="working")
    await plane.stop.wait()
    plane.log(task, "checkpoint", checkpoint_id=new_id(), checkpoint_type="final", verified=True)
    plane.end(task, "blocked", "INTERRUPTED", "The task was interrupted.")


async def waits_and_says_so(plane: FakePlane, task: work_pb2.Task) -> None:
    sys.stderr.write("working\n")
    await waits(plane, task)


async def finishes_when_paused(plane: FakePlane, task: work_pb2.Task) -> None:
    plane.log(task, "state", status="working")
    await plane.stop.wait()
    plane.end(task, "completed")


async def hangs(plane: FakePlane, task: work_pb2.Task) -> None:
    """Work for ever, whatever is asked."""
    plane.log(task, "state", status="working")
    await asyncio.Event().wait()


async def crashes(plane: FakePlane, task: work_pb2.Task) -> None:
    plane.log(task, "state", status="spawning")
    raise RuntimeError(f"a defect{ESCAPE}\nin two lines")


async def refuses(plane: FakePlane, task: work_pb2.Task) -> None:
    plane.log(task, "state", status="spawning")
    raise RefusedError(Code.FAILED_PRECONDITION, "NO_ISOLATION", "No isolation works here.")


SCENARIOS: Final[dict[str, Agent]] = {
    "completes": completes,
    "waits": waits,
    "waits_and_says_so": waits_and_says_so,
    "finishes_when_paused": finishes_when_paused,
    "hangs": hangs,
    "crashes": crashes,
    "refuses": refuses,
}

"""A task from its order to its result: what `run`, `demo`, `task resume` and forks share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from google.protobuf import json_format

from autovibe.cli.client.connection import Connection
from autovibe.cli.client.following import end_of_log, follow, poll_s
from autovibe.cli.client.results import get_result
from autovibe.cli.client.usage import rate_text
from autovibe.cli.client.waiting import Heard, hearing, waiting
from autovibe.cli.errors import InterruptedByUserError
from autovibe.cli.events import Details, Line, event_lines, text_of
from autovibe.cli.render import cad, plural, short
from autovibe.cli.signals import Interrupts
from autovibe.cli.view import View
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.text import printable
from autovibe.kernel.units import duration_text
from autovibe.v1 import approvals_pb2, checkpoints_pb2, metering_pb2, projects_pb2, work_pb2

Choice = Literal["exclude", "include", "abort"]
AskLeave: TypeAlias = Callable[
    [approvals_pb2.Approval], Awaitable[approvals_pb2.AnswerApprovalRequest | None]
]
"""Asks the person at the terminal; None leaves the question in the inbox."""
AskAboutSecrets: TypeAlias = Callable[[Sequence[checkpoints_pb2.SecretFinding]], Awaitable[Choice]]

_PAUSE_TRIES: Final = 50
_PAUSE_RETRY_S: Final = 0.2
_PATHS_SHOWN: Final = 10
_ASK_S: Final = 0.5
_WAITING: Final = "WAITING_FOR_APPROVAL"


@dataclass(frozen=True)
class RunOrder:
    """What a person ordered."""

    prompt: str
    directory: Path | None = None
    project: str = ""
    agent: str = "claude_code"
    model: str = ""
    budget: str = ""
    isolation: str = "auto"
    timeout_s: int = 0
    include_secrets: bool = False
    exclude: tuple[str, ...] = ()
    agent_args: tuple[str, ...] = ()
    trust_agent: bool = False
    after: tuple[str, ...] = ()
    parent: str = ""
    permission: str = ""
    priority: str = ""
    labels: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    worker_type: str = ""
    max_retries: int = 0


@dataclass(frozen=True)
class Started:
    """A task that was queued, and what is known of it from before.

    `cursor` is where its log ended then; `spent` and `budget` are in CAD, "" for none.
    """

    task: work_pb2.Task
    cursor: str = ""
    spent: str = "0"
    budget: str = ""


@dataclass
class Progress:
    """What is known of a running task, for the line at the bottom."""

    clock: Clock
    started: float = 0.0
    status: str = "queued"
    spent: str = "0"
    budget: str = ""
    checkpoints: int = 0
    calls: int = 0

    def take(self, entry: work_pb2.LogEntry) -> None:
        """Learn from a log line."""
        details = cast("Details", json_format.MessageToDict(entry.event.details))
        if entry.event.kind == "state":
            self.status = text_of(details, "status") or self.status
        elif entry.event.kind == "checkpoint":
            self.checkpoints += 1
        elif entry.event.kind == "call":
            self.calls += text_of(details, "status") in {"settled", "uncertain"}
            self.spent = text_of(details, "spent_cad") or self.spent
            self.budget = text_of(details, "budget_cad") or self.budget

    def text(self) -> str:
        """Return the line at the bottom."""
        of = f" of {cad(self.budget)}" if self.budget else ""
        return " · ".join(
            (
                self.status.replace("_", " "),
                duration_text(self.clock.monotonic() - self.started),
                plural(self.calls, "model call"),
                f"{cad(self.spent)}{of} CAD",
                plural(self.checkpoints, "checkpoint"),
            )
        )


@dataclass
class Run:
    """One run: who does it, where it is shown, what may stop it."""

    connection: Connection
    view: View
    interrupts: Interrupts
    ask_about_secrets: AskAboutSecrets | None = None
    ask_leave: AskLeave | None = None
    clock: Clock = field(default_factory=SystemClock)

    async def order(self, order: RunOrder) -> Started:
        """Import the directory and create the task; nothing works on it yet.

        That it can run is found out first, so that a refusal leaves nothing behind.

        Raises:
            InterruptedByUserError: the person gave up at the question about secrets.
            AutovibeError: what the services refuse.
        """
        async with waiting(self.view, "trying agent and isolation", clock=self.clock):
            await self.connection.services.work.check_task_context(
                work_pb2.CheckTaskContextRequest(
                    context=_context(order), permission_level=order.permission
                )
            )
        project = await self._project(order)
        imported = None
        if order.directory is not None:
            imported = await self._import(order, project)
        # From here on a signal pauses the task: it may be there already.
        self.interrupts.graceful()
        self.view.status("creating the task")
        task = await self.connection.services.work.create_task(
            _task_request(order, project, imported)
        )
        await self._announce(task, project.name)
        if task.block_reason == _WAITING and self.ask_leave is not None:
            await self._ask_open(task.id, set())
        return Started(task)

    async def fork(self, request: work_pb2.ForkCheckpointRequest) -> Started:
        """Create a task that goes on from a checkpoint.

        Raises:
            AutovibeError: what the services refuse.
        """
        self.view.status("creating the task")
        self.interrupts.graceful()
        task = await self.connection.services.work.fork_checkpoint(request)
        result = await get_result(self.connection, task.id)
        await self._announce(task, result.project_name)
        return Started(task)

    async def again(
        self, task_id: str, ask: Callable[[], Awaitable[work_pb2.Task]], label: str
    ) -> Started:
        """Queue a task that was stopped.

        Args:
            task_id: of the task.
            ask: resumes or retries it.
            label: what is done, in a word.

        Raises:
            AutovibeError: what the services refuse.
        """
        self.view.status(f"{label}: opening the task")
        before = await get_result(self.connection, task_id)
        cursor = await end_of_log(self.connection.services.work, before.task_id)
        # From here on a signal pauses the task: it may be queued already.
        self.interrupts.graceful()
        task = await ask()
        spent = before.cost_cad or "0"
        await self._announce(task, before.project_name, label=label, spent=spent)
        return Started(task, cursor, spent, before.budget_cad)

    async def finish(self, started: Started) -> work_pb2.TaskResult:
        """Follow a task until it has ended, doing it here when no server does, and sum it up.

        A first signal pauses it, and it is followed to its last checkpoint.
        """
        task = started.task
        try:
            if self.connection.embedded is None or not self.interrupts.stopping.is_set():
                await self._follow(started)
            else:
                await self._pause(task.id, tries=1)
        finally:
            self.view.close()
        return await get_result(self.connection, task.id)

    async def _project(self, order: RunOrder) -> projects_pb2.Project:
        self.view.status("opening the project")
        projects = self.connection.services.projects
        if order.directory is None:
            # A new one would have no files to start from.
            return await projects.get_project(projects_pb2.GetProjectRequest(project=order.project))
        answer = await projects.ensure_project(
            projects_pb2.EnsureProjectRequest(project=order.project, repo_path=str(order.directory))
        )
        if answer.created:
            self._say("project", f"{answer.project.name} was created")
        return answer.project

    async def _import(
        self, order: RunOrder, project: projects_pb2.Project
    ) -> checkpoints_pb2.ImportDirectoryResponse:
        checkpoints = self.connection.services.checkpoints
        directory = str(order.directory)
        include = order.include_secrets
        if not include:
            scan = checkpoints_pb2.ScanSecretsRequest(
                project=project.id, directory=directory, exclude=order.exclude
            )
            async with waiting(self.view, f"looking for secrets in {directory}", clock=self.clock):
                found = await checkpoints.scan_secrets(scan)
            if found.findings:
                include = await self._include(
                    found.findings, first=not project.initial_checkpoint_id
                )
        request = checkpoints_pb2.ImportDirectoryRequest(
            project=project.id,
            directory=directory,
            exclude=order.exclude,
            include_secrets=include,
        )
        heard = Heard(
            {"read": ("file", "read"), "verify": ("object", "read back")}, clock=self.clock
        )
        here = order.directory if self.connection.embedded is not None else None
        async with hearing(self.view, f"importing {directory}", heard, path=here):
            answer = await checkpoints.import_directory(request)
        checkpoint = answer.checkpoint
        how = "unchanged since" if answer.reused else "saved as"
        left_out = f", {len(answer.excluded):,} left out" if answer.excluded else ""
        dirty = ", with uncommitted changes" if answer.dirty else ""
        files = plural(checkpoint.manifest_file_count, "file")
        self._say("import", f"{files}{left_out}{dirty} · {how} checkpoint {short(checkpoint.id)}")
        return answer

    async def _include(
        self, findings: Sequence[checkpoints_pb2.SecretFinding], *, first: bool
    ) -> bool:
        """Ask once per directory, else leave out and say so (decision C6)."""
        if self.ask_about_secrets is not None and first:
            self.view.status("")
            choice = await self.ask_about_secrets(findings)
            if choice == "abort":
                raise InterruptedByUserError("Stopped before anything was imported.")
            return choice == "include"
        names = [item.path for item in findings[:_PATHS_SHOWN]]
        more = ", …" if len(findings) > len(names) else ""
        files = plural(
            len(findings), "file that looks like a secret", "files that look like secrets"
        )
        text = f"left out {files}: {', '.join(names)}{more} (--include-secrets takes them)"
        self._say("secrets", text, warn=True)
        return False

    async def _announce(
        self, task: work_pb2.Task, project_name: str, *, label: str = "task", spent: str = ""
    ) -> None:
        metering = self.connection.services.metering
        budgets = await metering.list_budgets(metering_pb2.ListBudgetsRequest(task_id=task.id))
        caps = [
            item.allocated_amount
            for item in budgets.budgets
            if item.resource_type == "money" and item.task_id
        ]
        budget = f"budget {cad(caps[0])} CAD" if caps else "no budget of its own"
        if spent:
            budget = f"{budget}, {cad(spent)} spent"
        rate = None
        try:
            rate = await metering.get_exchange_rate(
                metering_pb2.GetExchangeRateRequest(currency="USD")
            )
            terms = rate_text(rate)
        except AutovibeError as error:
            if error.reason != "NO_EXCHANGE_RATE":
                raise
            terms = "no USD rate"
        context = task.context
        agent = f"{context.agent} {context.model}".strip()
        parts = [
            short(task.id),
            f"project {project_name}",
            agent,
            f"isolation {context.isolation or 'auto'}",
            budget,
            terms,
        ]
        self._say(label, " · ".join(parts), warn=rate is not None and rate.stale)

    async def _follow(self, started: Started) -> None:
        task_id = started.task.id
        done = asyncio.Event()
        embedded = self.connection.embedded
        work: asyncio.Task[None] | None = None
        if embedded is not None:
            work = asyncio.create_task(embedded.work_on(task_id), name="work")
            work.add_done_callback(lambda _: done.set())
        pausing = asyncio.create_task(self._pause_on_signal(task_id, done), name="pause")
        asking = asyncio.create_task(self._ask_in_place(task_id), name="ask-leave")
        progress = Progress(
            self.clock, self.clock.monotonic(), spent=started.spent, budget=started.budget
        )

        def show(entry: work_pb2.LogEntry) -> None:
            progress.take(entry)
            for line in event_lines(entry):
                self.view.show(line)

        try:
            await follow(
                self.connection.services.work,
                task_id,
                show,
                cursor=started.cursor,
                poll_s=poll_s(self.connection),
                tick=lambda: self.view.status(progress.text()),
                done=done,
            )
            if work is not None:
                await work
        finally:
            await _end(pausing)
            await _end(asking)
            if work is not None:
                await _end(work)

    async def _ask_in_place(self, task_id: str) -> None:
        """Ask the person who watches whatever the task asks, until it has ended."""
        seen: set[str] = set()
        while self.ask_leave is not None:
            await self._ask_open(task_id, seen)
            await asyncio.sleep(_ASK_S)

    async def _ask_open(self, task_id: str, seen: set[str]) -> None:
        """Ask what is open and has not been asked; somebody else may answer it first."""
        assert self.ask_leave is not None
        approvals = self.connection.services.approvals
        answer = await approvals.list_approvals(approvals_pb2.ListApprovalsRequest(task_id=task_id))
        for one in answer.approvals:
            if one.id in seen:
                continue
            seen.add(one.id)
            self.view.status("")
            given = await self.ask_leave(one)
            if given is None:
                continue
            try:
                await approvals.answer_approval(given)
            except AutovibeError as error:
                self._say("approval", error.message, warn=True)

    async def _pause_on_signal(self, task_id: str, done: asyncio.Event) -> None:
        await self.interrupts.stopping.wait()
        self._say("stopping", "saving a checkpoint… (a second Ctrl-C ends at once)", warn=True)
        try:
            if await self._pause(task_id, tries=_PAUSE_TRIES):
                return
            why = f"task {short(task_id)} is not worked on here"
        except AutovibeError as error:
            why = f"task {short(task_id)} could not be stopped: {error.message}"
        self._say("stopping", why, warn=True)
        done.set()

    async def _pause(self, task_id: str, *, tries: int) -> bool:
        """Pause the task; it may not have begun yet, so a refusal is tried again."""
        for _ in range(tries):
            try:
                await self.connection.services.work.pause_task(
                    work_pb2.PauseTaskRequest(task_id=task_id)
                )
            except AutovibeError as error:
                if error.reason != "TASK_NOT_RUNNING":
                    raise
                await asyncio.sleep(_PAUSE_RETRY_S)
            else:
                return True
        return False

    def _say(self, label: str, text: str, *, warn: bool = False) -> None:
        self.view.show(Line(label, printable(text, one_line=True), "warn" if warn else "plain"))


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for it; its own error has been seen or is of no more use."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _context(order: RunOrder) -> work_pb2.TaskContext:
    return work_pb2.TaskContext(
        agent=order.agent,
        model=order.model,
        isolation=order.isolation,
        timeout_s=order.timeout_s,
        agent_args=order.agent_args,
        trust_agent=order.trust_agent,
        capabilities=order.capabilities,
        worker_type=order.worker_type,
        max_retries=order.max_retries,
    )


def _task_request(
    order: RunOrder,
    project: projects_pb2.Project,
    imported: checkpoints_pb2.ImportDirectoryResponse | None,
) -> work_pb2.CreateTaskRequest:
    context = _context(order)
    if imported is not None:
        context.repo_path = str(order.directory)
        context.head_commit = imported.head_commit
        context.dirty = imported.dirty
    request = work_pb2.CreateTaskRequest(
        project=project.id,
        description=order.prompt,
        priority=order.priority,
        permission_level=order.permission,
        parent_task_id=order.parent,
        after_task_ids=order.after,
        context=context,
        budget=order.budget,
        base_checkpoint_id=imported.checkpoint.id if imported else "",
        start=True,
    )
    if order.labels:
        labels = dict(label.split("=", 1) for label in order.labels)
        request.metadata.update({"labels": labels})
    return request

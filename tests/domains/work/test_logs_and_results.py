from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from plane import Plane, make_repository, run_git, write_files
from sqlalchemy import text

from autovibe.domains.work.errors import (
    NothingToApplyError,
    TaskNotFoundError,
    TaskNotRunningError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import work_pb2


@pytest.fixture
async def repository(plane: Plane, tmp_path: Path) -> Path:
    """Give a project with an imported repository, and a worker."""
    await plane.project()
    await plane.worker()
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n", ".gitignore": "*.o\n"})
    await plane.load(repository)
    return repository


async def _page(
    plane: Plane, task_id: str, cursor: str, size: int
) -> work_pb2.ListTaskLogsResponse:
    return await plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=task_id, cursor=cursor, page_size=size)
    )


@dataclass
class _Follower:
    """Follows a log as the command line does: by the cursor of the last answer."""

    plane: Plane
    task_id: str
    size: int
    cursor: str = ""
    seen: list[str] = field(default_factory=list)

    async def look(self) -> bool:
        """Read until nothing new is there; return whether the log has ended."""
        while True:
            page = await _page(self.plane, self.task_id, self.cursor, self.size)
            self.seen += [entry.message for entry in page.entries]
            self.cursor = page.next_cursor
            if not page.entries or page.ended:
                return page.ended


async def test_a_log_is_followed_over_two_executions_without_gap_or_repeat(
    plane: Plane, repository: Path
):
    task = await plane.task()
    async with plane.db.write() as tx:
        await tx.session.execute(text("UPDATE work_orders SET max_retries = 1"))
    followers = [_Follower(plane, task.id, size) for size in (1, 2, 3, 200)]

    async def all_look() -> set[bool]:
        return {await follower.look() for follower in followers}

    assert await all_look() == {False}
    said: list[str] = []
    first = await plane.claimed()
    for lines in (["1.1"], ["1.2", "1.3", "1.4"], ["1.5 \\u0000 ü \U0001f600"]):
        said += lines
        await plane.say(first, *lines)
        assert await all_look() == {False}
        assert [follower.seen for follower in followers] == [said] * 4
    await plane.finish(first, "failed")
    await plane.say(first, "1.6")
    said.append("1.6")
    assert await all_look() == {False}

    plane.clock.advance(minutes=1)
    second = await plane.claimed()
    await plane.say(second, "2.1", "2.2", "2.3")
    said += ["2.1", "2.2", "2.3"]
    assert await all_look() == {False}
    await plane.finish(second)
    await plane.say(second, "2.4")
    said.append("2.4")
    late = _Follower(plane, task.id, 4)
    assert await late.look() is True
    assert await all_look() == {True}
    assert [follower.seen for follower in (*followers, late)] == [said] * 5


async def test_a_batch_that_comes_again_is_written_once(plane: Plane, repository: Path):
    task = await plane.task()
    order = await plane.claimed()
    await plane.say(order, "one", "two")
    plane.seq.clear()
    await plane.say(order, "one", "two", "three")
    plane.seq.clear()
    await plane.say(order, "one")
    page = await _page(plane, task.id, "", 0)
    assert [(entry.seq, entry.message) for entry in page.entries] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    assert {entry.level for entry in page.entries} == {"INFO"}
    assert {entry.event.kind for entry in page.entries} == {"output"}


async def test_a_cursor_of_somebody_else_is_refused(plane: Plane, repository: Path):
    task = await plane.task()
    for cursor in ("x", "1", ":", "1:", "-1:2", "1:2:3", "1:" + "9" * 30, "٣:1"):
        with pytest.raises(InvalidArgumentError):
            await _page(plane, task.id, cursor, 10)
    assert (await _page(plane, task.id, "7:3", 10)).entries == []
    with pytest.raises(TaskNotFoundError):
        await _page(plane, str(uuid.uuid4()), "", 10)


async def _result(plane: Plane, task_id: str) -> work_pb2.TaskResult:
    return await plane.services.work.get_task_result(work_pb2.GetTaskResultRequest(task_id=task_id))


async def test_the_result_of_a_task_is_told_at_every_stage(
    plane: Plane, repository: Path, tmp_path: Path
):
    task = await plane.task()
    before = await _result(plane, task.id)
    assert (before.status, before.cost_cad, before.api_calls, before.budget_cad) == (
        "queued",
        "0.00",
        0,
        "5.00",
    )
    assert before.execution_id == ""

    order = await plane.claimed()
    machine = await plane.machine(task.project_id)
    await plane.services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id, lease_generation=1, machine_id=machine.id
        )
    )
    running = await _result(plane, task.id)
    assert (running.status, running.execution_id, running.machine_id) == (
        "in_progress",
        order.execution.id,
        machine.id,
    )
    assert not running.HasField("error")

    workspace = tmp_path / "workspace"
    shutil.copytree(repository, workspace, symlinks=True)
    write_files(workspace, {"a.txt": "two\n", "x.o": "ignored", ".git/hooks/evil": "x"})
    base = (await plane.load(repository)).checkpoint
    final = await plane.result_of(base, workspace, creating_machine_id=machine.id)
    await plane.finish(
        order,
        result_checkpoint_id=final.id,
        metrics=work_pb2.ExecutionMetrics(summary="done it", duration_s=2.5),
    )
    result = await _result(plane, task.id)
    assert {change.path: change.change for change in result.files_changed} == {
        "a.txt": "modified",
        "x.o": "added",
    }
    assert (result.status, result.verified, result.checkpoint_count, result.duration_s) == (
        "completed",
        True,
        1,
        2.5,
    )
    assert (result.base_checkpoint_id, result.result_checkpoint_id) == (base.id, final.id)
    assert result.summary == "done it"
    assert not result.HasField("error")


async def test_the_result_of_a_failure_says_why(plane: Plane, repository: Path):
    task = await plane.task()
    order = await plane.claimed()
    metrics = work_pb2.ExecutionMetrics(stop_reason="AGENT_FAILED", message="it said no")
    await plane.finish(order, "failed", metrics=metrics)
    result = await _result(plane, task.id)
    assert (result.error.reason, result.error.message) == ("AGENT_FAILED", "it said no")
    assert (result.status, result.verified, list(result.files_changed)) == ("failed", False, [])


@dataclass
class _Running:
    """An execution that ends when it is asked to."""

    plane: Plane
    order: work_pb2.ClaimedOrder
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await self.interrupted.wait()
        metrics = work_pb2.ExecutionMetrics(stop_reason="INTERRUPTED")
        await self.plane.finish(self.order, "paused", metrics=metrics)
        self.ended.set()


async def _pause(plane: Plane, task_id: str) -> work_pb2.Task:
    return await plane.services.work.pause_task(work_pb2.PauseTaskRequest(task_id=task_id))


async def test_a_queued_task_is_taken_out_of_the_queue_by_a_pause(plane: Plane, repository: Path):
    task = await plane.task()
    paused = await _pause(plane, task.id)
    assert (paused.status, paused.block_reason) == ("blocked", "INTERRUPTED")
    assert await plane.claim() is None
    again = await _pause(plane, task.id[:8])
    assert (again.status, again.block_reason) == ("blocked", "INTERRUPTED")


async def test_a_running_task_is_paused_by_the_process_that_runs_it_only(
    plane: Plane, repository: Path
):
    task = await plane.task()
    order = await plane.claimed()
    with pytest.raises(TaskNotRunningError):
        await _pause(plane, task.id)
    assert (await plane.see(task.id)).status == "in_progress"
    running = _Running(plane, order)
    plane.control.running[task.id] = running
    work = asyncio.create_task(running.run())
    paused = await _pause(plane, task.id)
    assert (paused.status, paused.block_reason) == ("blocked", "INTERRUPTED")
    await work


async def test_a_pause_and_a_claim_at_once_never_both_succeed(plane: Plane, repository: Path):
    for _ in range(4):
        task = await plane.task()
        paused, order = await asyncio.gather(
            _pause(plane, task.id), plane.claim(task_id=task.id), return_exceptions=True
        )
        now = await plane.see(task.id)
        if isinstance(order, work_pb2.ClaimedOrder):
            assert isinstance(paused, TaskNotRunningError)
            assert now.status == "in_progress"
            await plane.finish(order)
        else:
            assert order is None
            assert isinstance(paused, work_pb2.Task)
            assert now.status == "blocked"


async def test_a_finished_task_stays_as_it_is_when_it_is_paused(plane: Plane, repository: Path):
    task = await plane.task()
    await plane.finish(await plane.claimed())
    assert (await _pause(plane, task.id)).status == "completed"
    with pytest.raises(TaskNotFoundError):
        await _pause(plane, str(uuid.uuid4()))


async def test_the_applied_branch_is_noted_on_the_task(
    plane: Plane, repository: Path, tmp_path: Path
):
    task = await plane.task(title="Say two")
    apply = work_pb2.ApplyTaskRequest(task_id=task.id)
    with pytest.raises(NothingToApplyError):
        await plane.services.work.apply_task(apply)
    workspace = tmp_path / "workspace"
    shutil.copytree(repository, workspace)
    write_files(workspace, {"a.txt": "two\n", "x.o": "ignored"})
    base = (await plane.load(repository)).checkpoint
    final = await plane.result_of(base, workspace)
    await plane.finish(await plane.claimed(), result_checkpoint_id=final.id)

    applied = await plane.services.work.apply_task(apply)
    branch = f"autovibe/{task.id[:8]}"
    assert applied.branch == branch
    assert applied.commit == run_git(repository, "rev-parse", branch)
    assert applied.parent_commit == run_git(repository, "rev-parse", "main")
    assert [(file.path, file.change) for file in applied.files] == [("a.txt", "modified")]
    assert list(applied.ignored) == ["x.o"]
    seen = await plane.see(task.id)
    assert (seen.branch_name, seen.metadata["applied_commit"]) == (branch, applied.commit)
    assert run_git(repository, "log", "-1", "--format=%s", branch) == "Say two"

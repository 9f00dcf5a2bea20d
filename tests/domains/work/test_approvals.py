"""What waits for a person, who may answer, and what follows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane

from autovibe.domains.work.errors import (
    ApprovalClosedError,
    ApprovalGateOpenError,
    ApprovalNeededError,
    ApprovalNotFoundError,
    LeaseLostError,
    ParentNotAllowedError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.testing import factories
from autovibe.v1 import approvals_pb2, logs_pb2, work_pb2

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)

CLAUDE = {"agent": "claude_code", "agent_args": [], "isolation": "process"}


@pytest.fixture
async def ready(plane: Plane) -> Plane:
    """A project with a checkpoint that tasks can begin at, and a worker."""
    async with plane.db.write() as tx:
        project = await factories.add_project(tx, name="website")
        genesis = await factories.add_checkpoint(tx, project.id)
        project.initial_checkpoint_id = project.current_checkpoint_id = genesis.id
    await plane.worker(slots=5)
    return plane


async def supervised(plane: Plane, level: str = "supervised", **fields: Any) -> work_pb2.Task:
    return await plane.task(permission_level=level, context=CLAUDE, **fields)


async def ask(
    plane: Plane, order: work_pb2.ClaimedOrder, command: str = "make", **fields: Any
) -> approvals_pb2.AskApprovalResponse:
    given: dict[str, Any] = {
        "execution_id": order.execution.id,
        "lease_generation": order.lease_generation,
        "kind": "tool_use",
        "tool": "Bash",
        "cwd": "/workspace",
        "tool_use_id": "toolu_1",
        **fields,
    }
    request = approvals_pb2.AskApprovalRequest(**given)
    if given["tool"] == "Bash" and given["kind"] == "tool_use":
        request.input.update({"command": command})
    return await plane.services.approvals.ask_approval(request)


async def answer(
    plane: Plane, approval_id: str, choice: str = "allow", **fields: Any
) -> approvals_pb2.AnswerApprovalResponse:
    return await plane.services.approvals.answer_approval(
        approvals_pb2.AnswerApprovalRequest(approval_id=approval_id, choice=choice, **fields)
    )


async def inbox(plane: Plane, **fields: Any) -> list[approvals_pb2.Approval]:
    answer = await plane.services.approvals.list_approvals(
        approvals_pb2.ListApprovalsRequest(**fields)
    )
    return list(answer.approvals)


async def freed(plane: Plane, order: work_pb2.ClaimedOrder) -> None:
    """Let the machine of an order go, as one that has waited too long."""
    metrics = work_pb2.ExecutionMetrics(stop_reason="WAITING_FOR_APPROVAL")
    await plane.finish(order, "paused", metrics=metrics)
    await plane.services.approvals.release_approvals(
        approvals_pb2.ReleaseApprovalsRequest(execution_id=order.execution.id)
    )


async def test_a_question_waits_with_all_that_is_asked_until_somebody_answers(
    ready: Plane,
) -> None:
    await supervised(ready, title="the title")
    order = await ready.claimed()
    asked = await ask(ready, order, "make all")
    assert asked.verdict == "wait"
    (one,) = await inbox(ready)
    assert (one.kind, one.status, one.title) == ("tool_use", "open", "Bash: make all")
    assert (one.task_title, one.project_name) == ("the title", "website")
    assert dict(one.details.input) == {"command": "make all"}
    assert one.deadline_at.seconds - one.created_at.seconds == 3600
    waiting = asyncio.create_task(
        ready.services.approvals.wait_for_approval(
            approvals_pb2.WaitForApprovalRequest(approval_id=one.id, wait_s=30)
        )
    )
    done = await answer(ready, one.id[:8])
    assert (done.approval.status, done.approval.answer.by) == ("answered", "system:tests")
    assert (await waiting).decided
    assert (await ask(ready, order, "make all")).verdict == "allow"
    assert await inbox(ready) == []
    with pytest.raises(ApprovalClosedError):
        await answer(ready, one.id, "deny")
    with pytest.raises(ApprovalNotFoundError):
        await answer(ready, "00000000", "deny")
    topics = await ready.rows("SELECT topic FROM outbox_events WHERE topic LIKE 'approvals.%'")
    assert sorted(topics) == [("approvals.answered",), ("approvals.asked",)]
    trail = await ready.rows("SELECT operation FROM audit_log WHERE operation LIKE '%Approval'")
    service = "autovibe.v1.ApprovalService"
    assert {name for (name,) in trail} == {f"{service}/AskApproval", f"{service}/AnswerApproval"}


async def test_an_answer_counts_once_unless_it_is_for_all_that_is_the_same(ready: Plane) -> None:
    await supervised(ready)
    order = await ready.claimed()
    first = await ask(ready, order)
    second = await ask(ready, order, tool_use_id="toolu_2")
    other = await ask(ready, order, "make clean", tool_use_id="toolu_3")
    assert len({first.approval_id, second.approval_id, other.approval_id}) == 3
    done = await answer(ready, first.approval_id, "deny", text="not now", identical=True)
    assert list(done.also_answered_ids) == [second.approval_id]
    for use in ("toolu_1", "toolu_2", "toolu_9"):
        told = await ask(ready, order, tool_use_id=use)
        assert (told.verdict, told.message) == ("deny", "not now")
    assert (await ask(ready, order, "make clean", tool_use_id="toolu_3")).verdict == "wait"
    await answer(ready, other.approval_id)
    assert (await ask(ready, order, "make clean", tool_use_id="toolu_3")).verdict == "allow"
    assert (await ask(ready, order, "make clean", tool_use_id="toolu_4")).verdict == "wait"


async def test_the_level_and_the_rules_of_the_project_decide_what_they_can(ready: Plane) -> None:
    rules = approvals_pb2.PermissionPolicy(default_effect="ask")
    rules.rules.add(effect="deny", tool="Bash", command="git push *")
    rules.rules.add(effect="allow", tool="Write", path="docs/**")
    await ready.services.approvals.set_permission_policy(
        approvals_pb2.SetPermissionPolicyRequest(project="website", policy=rules)
    )
    await supervised(ready)
    order = await ready.claimed()
    denied = await ask(ready, order, "ls && git push")
    assert (denied.verdict, denied.approval_id) == ("deny", "")
    assert "git push *" in denied.message
    assert (await ask(ready, order, tool="Write", paths=["docs/a"])).verdict == "allow"
    assert (await ask(ready, order, tool="Write", paths=["docs/a", "/x"])).verdict == "wait"
    await ready.task(context=CLAUDE)
    autonomous = await ready.claimed()
    assert (await ask(ready, autonomous, "git push")).verdict == "allow"


async def test_nobody_answers_and_that_is_a_no_but_for_a_question_with_a_default(
    ready: Plane, tmp_path: Path
) -> None:
    await supervised(ready)
    order = await ready.claimed()
    tool = await ask(ready, order)
    question = await ask(
        ready, order, kind="question", tool="", text="Which?", default_answer="blue"
    )
    late = await ask(ready, order, "make late", tool_use_id="toolu_5")
    ready.clock.advance(seconds=3601)
    with pytest.raises(ApprovalClosedError):  # the deadline counts although no job has run yet
        await answer(ready, late.approval_id)
    runner = scheduler_of(ready, tmp_path).runner
    assert (await run_job(runner, "expire-approvals", dry=True)).affected_rows == 2
    assert (await run_job(runner, "expire-approvals")).affected_rows == 2
    expired = await inbox(ready, statuses=["expired"])
    assert {one.id for one in expired} == {tool.approval_id, question.approval_id, late.approval_id}
    told = await ask(ready, order)
    assert (told.verdict, told.message) == ("deny", "Nobody answered in time.")
    told = await ask(ready, order, kind="question", tool="", text="Which?", default_answer="blue")
    assert (told.verdict, told.message) == ("allow", "blue")


async def test_an_older_lease_cannot_ask_and_a_restarted_task_takes_its_question_over(
    ready: Plane,
) -> None:
    task = await supervised(ready)
    first = await ready.claimed()
    asked = await ask(ready, first)
    dead = work_pb2.ExecutionMetrics(stop_reason="CONTROL_PLANE_DIED")
    await ready.finish(first, "paused", metrics=dead)
    await ready.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    second = await ready.claimed()
    with pytest.raises(LeaseLostError):
        await ask(ready, first)
    again = await ask(ready, second, tool_use_id="toolu_7")
    assert (again.verdict, again.approval_id) == ("wait", asked.approval_id)
    (one,) = await inbox(ready)
    assert one.execution_id == second.execution.id


async def test_a_freed_task_goes_on_by_itself_and_its_answer_counts_once(ready: Plane) -> None:
    task = await supervised(ready)
    order = await ready.claimed()
    first, second = await ask(ready, order), await ask(ready, order, "make b", tool_use_id="t2")
    await freed(ready, order)
    waiting = await ready.see(task.id)
    assert (waiting.status, waiting.block_reason) == ("blocked", "WAITING_FOR_APPROVAL")
    result = await ready.services.work.get_task_result(
        work_pb2.GetTaskResultRequest(task_id=task.id)
    )
    assert result.error.reason == "WAITING_FOR_APPROVAL"
    with pytest.raises(ApprovalNeededError):
        await ready.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    assert (await answer(ready, first.approval_id)).task_status == "blocked"
    assert (await answer(ready, second.approval_id, "deny")).task_status == "queued"
    order = await ready.claimed()
    assert (await ask(ready, order, tool_use_id="n1")).verdict == "allow"
    assert (await ask(ready, order, "make b", tool_use_id="n2")).verdict == "deny"
    assert (await ask(ready, order, tool_use_id="n3")).verdict == "wait"


async def test_an_answer_that_comes_while_the_machine_is_freed_is_not_lost(ready: Plane) -> None:
    task = await supervised(ready)
    order = await ready.claimed()
    asked = await ask(ready, order)
    await answer(ready, asked.approval_id)
    await freed(ready, order)
    assert (await ready.see(task.id)).status == "queued"


async def test_what_is_recorded_of_a_call_names_the_request_that_decided_it(
    ready: Plane,
) -> None:
    await supervised(ready)
    order = await ready.claimed()
    reports = [
        logs_pb2.ToolCallReport(tool_use_id=use, source=source, tool_name="Bash", status="running")
        for use, source in (("toolu_1", "agent"), ("toolu_1", "gateway"), ("toolu_2", "agent"))
    ]
    await ready.services.logs.record_agent_work(
        logs_pb2.RecordAgentWorkRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            tool_calls=reports,
        )
    )
    asked = await ask(ready, order)
    await answer(ready, asked.approval_id)
    await ask(ready, order)
    rows = await ready.rows("SELECT metadata FROM tool_executions")
    found = [json.loads(row) if isinstance(row, str) else row for (row,) in rows]
    assert sorted((one["tool_use_id"], one.get("approval_id", "")) for one in found) == [
        ("toolu_1", asked.approval_id),
        ("toolu_1", asked.approval_id),
        ("toolu_2", ""),
    ]


async def test_a_task_whose_machine_was_freed_by_a_process_that_died_then_goes_on(
    ready: Plane, tmp_path: Path
) -> None:
    task = await supervised(ready)
    order = await ready.claimed()
    await answer(ready, (await ask(ready, order)).approval_id)
    metrics = work_pb2.ExecutionMetrics(stop_reason="WAITING_FOR_APPROVAL")
    await ready.finish(order, "paused", metrics=metrics)
    assert (await ready.see(task.id)).status == "blocked"
    await run_job(scheduler_of(ready, tmp_path).runner, "expire-approvals")
    assert (await ready.see(task.id)).status == "queued"


async def test_what_an_ended_task_asked_for_is_withdrawn(ready: Plane) -> None:
    await supervised(ready)
    order = await ready.claimed()
    asked = await ask(ready, order)
    await ready.finish(order, "failed")
    request = approvals_pb2.ReleaseApprovalsRequest(execution_id=order.execution.id)
    assert (await ready.services.approvals.release_approvals(request)).withdrawn == 1
    cancelled = await supervised(ready, "human_required")
    await ready.services.work.cancel_task(work_pb2.CancelTaskRequest(task_id=cancelled.id))
    assert await inbox(ready) == []
    with pytest.raises(ApprovalClosedError):
        await answer(ready, asked.approval_id)


@pytest.mark.req("S3-28")
async def test_a_task_that_needs_a_person_begins_when_one_allows_it(
    ready: Plane, tmp_path: Path
) -> None:
    allowed, denied, late = [await supervised(ready, "human_required") for _ in range(3)]
    after = await supervised(ready, "human_required", after_task_ids=[allowed.id])
    assert (allowed.status, allowed.block_reason) == ("blocked", "WAITING_FOR_APPROVAL")
    assert await ready.claim() is None
    asked = {one.task_id: one.id for one in await inbox(ready, kinds=["start"])}
    assert (await answer(ready, asked[allowed.id])).task_status == "queued"
    assert (await answer(ready, asked[denied.id], "deny")).task_status == "cancelled"
    assert (await answer(ready, asked[after.id])).task_status == "blocked"
    assert (await ready.see(after.id)).block_reason == "WAITING_FOR_DEPENDENCY"
    await ready.finish(await ready.claimed())
    assert (await ready.claimed()).task.id == after.id  # a person has allowed that already
    ready.clock.advance(seconds=3601)
    await run_job(scheduler_of(ready, tmp_path).runner, "expire-approvals")
    assert (await ready.see(late.id)).block_reason == "APPROVAL_EXPIRED"
    again = await ready.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=late.id))
    assert again.block_reason == "WAITING_FOR_APPROVAL"
    assert [one.task_id for one in await inbox(ready)] == [late.id]


async def test_a_result_is_applied_only_with_leave_for_this_very_result(ready: Plane) -> None:
    task = await supervised(ready)
    order = await ready.claimed()
    await ready.finish(order, result_checkpoint_id=order.payload.base_checkpoint_id)
    apply = work_pb2.ApplyTaskRequest(task_id=task.id)
    with pytest.raises(ApprovalNeededError):
        await ready.services.work.apply_task(apply)
    request = approvals_pb2.RequestApplyRequest(task_id=task.id)
    asked = await ready.services.approvals.request_apply(request)
    assert (await ready.services.approvals.request_apply(request)).id == asked.id
    await answer(ready, asked.id, "deny", text="too large")
    with pytest.raises(ApprovalNeededError, match="too large"):
        await ready.services.work.apply_task(apply)


async def test_a_part_has_at_most_the_leave_of_the_whole_and_an_open_gate_none(
    ready: Plane,
) -> None:
    whole = await supervised(ready)
    assert (await ready.task(parent_task_id=whole.id, context=CLAUDE)).permission_level == (
        "supervised"
    )
    with pytest.raises(ParentNotAllowedError):
        await supervised(ready, "autonomous", parent_task_id=whole.id)
    with pytest.raises(ApprovalGateOpenError):
        await ready.task(permission_level="supervised")


async def test_a_question_wants_a_text_and_leave_a_yes_or_no(ready: Plane) -> None:
    await supervised(ready)
    order = await ready.claimed()
    question = await ask(ready, order, kind="question", tool="", text="Which?", options=["red"])
    with pytest.raises(InvalidArgumentError):
        await answer(ready, question.approval_id)
    done = await answer(ready, question.approval_id, "", text="red")
    assert done.approval.answer.choice == "red"
    tool = await ask(ready, order)
    with pytest.raises(InvalidArgumentError):
        await answer(ready, tool.approval_id, "")
    cancelled = await ready.services.approvals.cancel_approval(
        approvals_pb2.CancelApprovalRequest(approval_id=tool.approval_id)
    )
    assert cancelled.status == "cancelled"
    assert (await ask(ready, order)).verdict == "deny"

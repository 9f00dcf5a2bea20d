"""The part of a walk in which an agent asks, and a person answers."""

from __future__ import annotations

import contextlib

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import approvals_pb2, work_pb2

NOBODY = "00000000-0000-4000-8000-000000000000"


async def ask_question(
    services: Services, order: work_pb2.ClaimedOrder, text: str
) -> approvals_pb2.AskApprovalResponse:
    """Ask a question for the agent of an order."""
    return await services.approvals.ask_approval(
        approvals_pb2.AskApprovalRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            kind="question",
            text=text,
            options=["red ✂", "blue"],
            default_answer="blue",
        )
    )


async def approvals(services: Services, order: work_pb2.ClaimedOrder) -> None:
    """Ask, look, answer and withdraw while an agent works."""
    desk = services.approvals
    policy = approvals_pb2.PermissionPolicy(default_effect="ask")
    policy.rules.add(effect="deny", tool="Bash", command="git push *")
    policy.rules.add(effect="allow", tool="Write", path="docs/**")
    for stated in (policy, approvals_pb2.PermissionPolicy(inherited=True)):
        await desk.set_permission_policy(
            approvals_pb2.SetPermissionPolicyRequest(project="website", policy=stated)
        )
        await desk.get_permission_policy(
            approvals_pb2.GetPermissionPolicyRequest(project="website")
        )
    first = await ask_question(services, order, "Which colour, ü?")
    second = await ask_question(services, order, "Which size?")
    await desk.list_approvals(
        approvals_pb2.ListApprovalsRequest(project="website", kinds=["question"], page_size=1)
    )
    await desk.get_approval(approvals_pb2.GetApprovalRequest(approval_id=first.approval_id))
    await desk.answer_approval(
        approvals_pb2.AnswerApprovalRequest(approval_id=first.approval_id, text="red ✂")
    )
    await desk.wait_for_approval(
        approvals_pb2.WaitForApprovalRequest(approval_id=first.approval_id)
    )
    await ask_question(services, order, "Which colour, ü?")
    await desk.cancel_approval(approvals_pb2.CancelApprovalRequest(approval_id=second.approval_id))
    await desk.list_approvals(
        approvals_pb2.ListApprovalsRequest(
            task_id=order.task.id, statuses=["answered", "cancelled"]
        )
    )
    await desk.release_approvals(
        approvals_pb2.ReleaseApprovalsRequest(execution_id=order.execution.id)
    )
    for refused in (
        desk.request_apply(approvals_pb2.RequestApplyRequest(task_id=order.task.id)),
        desk.answer_approval(
            approvals_pb2.AnswerApprovalRequest(approval_id=first.approval_id, text="again")
        ),
        desk.get_approval(approvals_pb2.GetApprovalRequest(approval_id=NOBODY)),
        desk.set_permission_policy(
            approvals_pb2.SetPermissionPolicyRequest(
                project="website",
                policy=approvals_pb2.PermissionPolicy(
                    rules=[approvals_pb2.PermissionRule(effect="ask", tool="Edit", command="x")]
                ),
            )
        ),
    ):
        with contextlib.suppress(AutovibeError):
            await refused


async def ask_to_apply(services: Services, task_id: str) -> None:
    """Ask for leave to apply a result, and withdraw it."""
    asked = await services.approvals.request_apply(
        approvals_pb2.RequestApplyRequest(task_id=task_id)
    )
    await services.approvals.cancel_approval(
        approvals_pb2.CancelApprovalRequest(approval_id=asked.id)
    )

"""The service of the inbox; its rules are in the modules beside it."""

from __future__ import annotations

import uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.domains.projects import get_project, remember_in_metadata, resolve_project_id
from autovibe.domains.work.answering import answer, cancel, release
from autovibe.domains.work.approvals import approval_message, get_approval
from autovibe.domains.work.asking import WaitForApproval, ask
from autovibe.domains.work.leave import Leave
from autovibe.domains.work.models import ApprovalStatus
from autovibe.domains.work.permission_policy import KEY, kept_policy, stated_policy
from autovibe.domains.work.repository import approvals as rows
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.v1 import approvals_pb2


class ApprovalService:
    """Implements autovibe.v1.ApprovalService."""

    def __init__(self, bells: Bells, leave: Leave) -> None:
        """Wake who waits by bells; `leave` says until when answers are waited for."""
        self._leave = leave
        self.wait_for_approval = WaitForApproval(bells)

    async def list_approvals(
        self, tx: ReadTx, ctx: CallContext, request: approvals_pb2.ListApprovalsRequest
    ) -> approvals_pb2.ListApprovalsResponse:
        """Return one page of requests, the oldest first.

        Raises:
            ProjectNotFoundError: there is no such project.
            TaskNotFoundError: there is no such task.
        """
        size = page_size(request.page_size)
        found = await rows.list_page(
            tx,
            statuses=list(request.statuses) or [ApprovalStatus.OPEN],
            kinds=list(request.kinds),
            project_id=await resolve_project_id(tx, request.project) if request.project else None,
            task_id=(await get_task(tx, request.task_id)).id if request.task_id else None,
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = found[size - 1] if len(found) > size else None
        return approvals_pb2.ListApprovalsResponse(
            approvals=[await approval_message(tx, one) for one in found[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def get_approval(
        self, tx: ReadTx, ctx: CallContext, request: approvals_pb2.GetApprovalRequest
    ) -> approvals_pb2.Approval:
        """Return one request.

        Raises:
            ApprovalNotFoundError: there is none.
        """
        return await approval_message(tx, await get_approval(tx, request.approval_id))

    async def answer_approval(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.AnswerApprovalRequest
    ) -> approvals_pb2.AnswerApprovalResponse | AutovibeError:
        """Answer a request.

        Raises:
            ApprovalNotFoundError: there is none.
            ApprovalClosedError: it is open no more.
            InvalidArgumentError: the answer does not fit the question.
        """
        return await answer(tx, ctx, request)

    async def cancel_approval(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.CancelApprovalRequest
    ) -> approvals_pb2.Approval:
        """Withdraw a request.

        Raises:
            ApprovalNotFoundError: there is none.
            ApprovalClosedError: it is open no more.
        """
        found = await cancel(tx, ctx, request.approval_id)
        await tx.session.flush()  # the answer shows its times
        return await approval_message(tx, found)

    async def request_apply(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.RequestApplyRequest
    ) -> approvals_pb2.Approval:
        """Ask for leave to apply a result.

        Raises:
            TaskNotFoundError: there is no such task.
            NothingToApplyError: it has no result yet.
        """
        task = await get_task(tx, request.task_id)
        return await approval_message(tx, await self._leave.ask_to_apply(tx, ctx, task))

    async def get_permission_policy(
        self, tx: ReadTx, ctx: CallContext, request: approvals_pb2.GetPermissionPolicyRequest
    ) -> approvals_pb2.PermissionPolicy:
        """Return the rules of a project.

        Raises:
            ProjectNotFoundError: there is none.
        """
        return stated_policy((await get_project(tx, request.project)).metadata_)

    async def set_permission_policy(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.SetPermissionPolicyRequest
    ) -> approvals_pb2.PermissionPolicy:
        """State the rules of a project.

        Raises:
            ProjectNotFoundError: there is none.
            InvalidArgumentError: a rule makes no sense.
        """
        project = await get_project(tx, request.project)
        kept = kept_policy(request.policy)
        await remember_in_metadata(tx, project.id, **{KEY: kept})
        return stated_policy({KEY: kept})

    async def ask_approval(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.AskApprovalRequest
    ) -> approvals_pb2.AskApprovalResponse:
        """Ask for a machine.

        Raises:
            LeaseLostError: who asks does not hold the task's order any more.
        """
        return await ask(tx, ctx, request, self._leave.deadline_s)

    async def release_approvals(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.ReleaseApprovalsRequest
    ) -> approvals_pb2.ReleaseApprovalsResponse:
        """Note that an execution has ended, which may have asked something."""
        withdrawn = await release(tx, ctx, uuid.UUID(request.execution_id))
        return approvals_pb2.ReleaseApprovalsResponse(withdrawn=withdrawn)

"""Instances, people and tokens: one method per rpc."""

from __future__ import annotations

import uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import browsers, logins, repository, tokens, users, verification
from autovibe.domains.identity.errors import InstanceNotFoundError
from autovibe.domains.identity.messages import instance_message, user_message
from autovibe.domains.identity.models import Instance
from autovibe.kernel.context import CallContext
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.people_settings import PeopleSettings
from autovibe.v1 import browsers_pb2, identity_pb2


class IdentityService:
    """Implements autovibe.v1.IdentityService."""

    def __init__(self, settings: PeopleSettings | None = None) -> None:
        """Take what logins are like; the long operations are attributes."""
        settings = settings or PeopleSettings()
        self._settings = settings
        self.login = logins.Login(settings)
        self.change_password = logins.ChangePassword(settings)
        self.set_password = logins.SetPassword(settings)
        self.create_user = users.CreateUser(settings)

    async def register_instance(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.RegisterInstanceRequest
    ) -> identity_pb2.Instance:
        """Record that a control-plane process has started; a repeat records it anew."""
        now = ctx.clock.now()
        instance = await repository.find_instance(tx, uuid.UUID(request.id))
        if instance is None:
            instance = Instance(id=uuid.UUID(request.id), started_at=now)
            tx.session.add(instance)
        instance.host = request.host
        instance.boot_id = request.boot_id
        instance.pid = request.pid
        instance.heartbeat_at = now
        await tx.session.flush()  # the row's defaults are part of the answer
        return instance_message(instance)

    async def heartbeat_instance(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.HeartbeatInstanceRequest
    ) -> identity_pb2.Instance:
        """Record that an instance lives.

        Raises:
            InstanceNotFoundError: it is not registered, or was taken for dead.
        """
        instance = await repository.beat(tx, uuid.UUID(request.id), ctx.clock.now())
        if instance is None:
            raise InstanceNotFoundError(
                f"There is no instance {request.id}; start autovibe again.", instance_id=request.id
            )
        return instance_message(instance)

    async def remove_instance(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.RemoveInstanceRequest
    ) -> identity_pb2.RemoveInstanceResponse:
        """Forget an instance that has ended in order."""
        del ctx
        await repository.remove_instance(tx, uuid.UUID(request.id))
        return identity_pb2.RemoveInstanceResponse()

    async def list_instances(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.ListInstancesRequest
    ) -> identity_pb2.ListInstancesResponse:
        """Return one page of instances, the oldest first."""
        del ctx
        size = page_size(request.page_size)
        rows = await repository.list_instances(tx, decode_place(request.page_token), size + 1)
        last = rows[size - 1] if len(rows) > size else None
        return identity_pb2.ListInstancesResponse(
            instances=[instance_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.started_at, last.id) if last else "",
        )

    async def list_users(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.ListUsersRequest
    ) -> identity_pb2.ListUsersResponse:
        """Return one page of users."""
        return await users.list_users(tx, ctx, request)

    async def get_user(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.GetUserRequest
    ) -> identity_pb2.User:
        """Return one user by id or name; who is no admin sees themselves only.

        Raises:
            UserNotFoundError: there is none that the caller may see.
        """
        return user_message(await users.visible_user(tx, ctx, request.user_id))

    async def update_user(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.UpdateUserRequest
    ) -> identity_pb2.User:
        """Change a user; see `users.update_user`."""
        return await users.update_user(tx, ctx, request)

    async def delete_user(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.DeleteUserRequest
    ) -> identity_pb2.DeleteUserResponse:
        """Delete a user; see `users.delete_user`."""
        return await users.delete_user(tx, ctx, request)

    async def who_am_i(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.WhoAmIRequest
    ) -> identity_pb2.WhoAmIResponse:
        """Return the caller's user and token, and what they may do."""
        return await tokens.who_am_i(tx, ctx, request)

    async def logout(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.LogoutRequest
    ) -> identity_pb2.LogoutResponse:
        """Revoke the token of this call."""
        return await logins.log_out(tx, ctx, request)

    async def create_browser_link(
        self, tx: WriteTx, ctx: CallContext, request: browsers_pb2.CreateBrowserLinkRequest
    ) -> browsers_pb2.BrowserLink:
        """Make a link that opens the server in a browser as the caller."""
        return await browsers.create_link(tx, ctx, request)

    async def open_browser_session(
        self, tx: WriteTx, ctx: CallContext, request: browsers_pb2.OpenBrowserSessionRequest
    ) -> browsers_pb2.BrowserSession:
        """Open the session of a browser that came with a link.

        Raises:
            UnauthenticatedError: the link was used, is too old, or none of ours.
        """
        return await browsers.open_session(tx, ctx, request, self._settings)

    async def request_email_verification(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.RequestEmailVerificationRequest
    ) -> identity_pb2.RequestEmailVerificationResponse:
        """Write the token that proves one's address to the log.

        Raises:
            NoAccountError: the caller's token is nobody's.
        """
        return await users.request_email_verification(tx, ctx, request)

    async def verify_email(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.VerifyEmailRequest
    ) -> identity_pb2.User:
        """Mark an address as verified; see `verification.verify_email`."""
        return await verification.verify_email(tx, ctx, request)

    async def create_token(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.CreateTokenRequest
    ) -> identity_pb2.CreateTokenResponse:
        """Make a token for calls; see `tokens.create_token`."""
        return await tokens.create_token(tx, ctx, request)

    async def list_tokens(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.ListTokensRequest
    ) -> identity_pb2.ListTokensResponse:
        """Return one page of tokens; see `tokens.list_tokens`."""
        return await tokens.list_tokens(tx, ctx, request)

    async def revoke_token(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.RevokeTokenRequest
    ) -> identity_pb2.RevokeTokenResponse:
        """Revoke a token; see `tokens.revoke_token`."""
        return await tokens.revoke_token(tx, ctx, request)

    async def issue_token(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.IssueTokenRequest
    ) -> identity_pb2.IssueTokenResponse:
        """Make a token for a process of this home; see `tokens.issue_token`."""
        return await tokens.issue_token(tx, ctx, request)

    async def authenticate_token(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.AuthenticateTokenRequest
    ) -> identity_pb2.AuthenticateTokenResponse:
        """Return who a token belongs to.

        Raises:
            UnauthenticatedError: it is unknown, revoked or expired, or its user disabled.
        """
        return await tokens.authenticate_token(tx, ctx, request)

    async def note_token_use(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.NoteTokenUseRequest
    ) -> identity_pb2.NoteTokenUseResponse:
        """Record that a token was used just now."""
        await repository.note_use(tx, uuid.UUID(request.token_id), ctx.clock.now())
        return identity_pb2.NoteTokenUseResponse()

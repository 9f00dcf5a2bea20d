"""The rules of instances and tokens."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterable
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import InstanceNotFoundError, TokenNotFoundError
from autovibe.domains.identity.messages import instance_message, token_owner_message
from autovibe.domains.identity.models import ApiToken, Instance
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError, UnauthenticatedError
from autovibe.kernel.ids import new_id
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import identity_pb2

TOKEN_PREFIX: Final = "avt_"  # noqa: S105 - says what the secret is for, so that scanners find it
_TOKEN_BYTES: Final = 32
_SCOPE: Final = re.compile(r"\*|[a-z][a-z_]*(\.[a-z][a-z_]*)?")


class IdentityService:
    """Implements autovibe.v1.IdentityService."""

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

    async def issue_token(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.IssueTokenRequest
    ) -> identity_pb2.IssueTokenResponse:
        """Make a token. Only its hash is kept, so that nobody can show the secret again.

        Raises:
            InvalidArgumentError: a scope is malformed, or the token would have expired already.
        """
        scopes = _checked_scopes(request.scopes)
        expires_at = None
        if request.HasField("expires_at"):
            expires_at = from_timestamp(request.expires_at)
            if expires_at <= ctx.clock.now():
                raise InvalidArgumentError(
                    "The token would have expired already; give a later time.", field="expires_at"
                )
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        token = ApiToken(
            id=new_id(),
            name=request.name,
            token_hash=_hash(secret),
            scopes=scopes,
            expires_at=expires_at,
        )
        tx.session.add(token)
        return identity_pb2.IssueTokenResponse(token_id=str(token.id), token=secret)

    async def revoke_token(
        self, tx: WriteTx, ctx: CallContext, request: identity_pb2.RevokeTokenRequest
    ) -> identity_pb2.RevokeTokenResponse:
        """Revoke a token; the time of the first revocation stays.

        Raises:
            TokenNotFoundError: there is none.
        """
        token = await repository.find_token(tx, uuid.UUID(request.token_id))
        if token is None:
            raise TokenNotFoundError(
                f"There is no token {request.token_id}; check its id.", token_id=request.token_id
            )
        token.revoked_at = token.revoked_at or ctx.clock.now()
        return identity_pb2.RevokeTokenResponse()

    async def authenticate_token(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.AuthenticateTokenRequest
    ) -> identity_pb2.AuthenticateTokenResponse:
        """Return who a token belongs to.

        Raises:
            UnauthenticatedError: it is unknown, revoked or expired; which of them is not said.
        """
        token = await repository.find_token_by_hash(tx, _hash(request.token))
        now = ctx.clock.now()
        if (
            token is None
            or token.revoked_at is not None
            or (token.expires_at is not None and token.expires_at <= now)
        ):
            raise UnauthenticatedError(
                "The token is unknown, revoked or expired; set AUTOVIBE_TOKEN to a valid one."
            )
        return token_owner_message(token)


def _hash(token: str) -> str:
    # 256 random bits cannot be guessed from their hash: salt and stretching would add nothing.
    return hashlib.sha256(token.encode()).hexdigest()


def _checked_scopes(scopes: Iterable[str]) -> list[str]:
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise InvalidArgumentError(
                f"{scope!r} is not a scope; write one as tasks.read, or * for all.", field="scopes"
            )
    return sorted(set(scopes))

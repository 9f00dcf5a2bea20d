"""From rows to messages."""

from __future__ import annotations

from autovibe.domains.etags import etag_of
from autovibe.domains.identity.models import ApiToken, Instance, ProjectMember, User
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import identity_pb2, projects_pb2


def instance_message(instance: Instance) -> identity_pb2.Instance:
    """Return the message of an instance."""
    return identity_pb2.Instance(
        id=str(instance.id),
        host=instance.host,
        boot_id=instance.boot_id,
        pid=instance.pid,
        started_at=timestamp(instance.started_at),
        heartbeat_at=timestamp(instance.heartbeat_at),
    )


def user_message(user: User) -> identity_pb2.User:
    """Return the message of a user; the hash of the password never leaves the domain."""
    message = identity_pb2.User(
        id=str(user.id),
        username=user.username,
        email=user.email,
        full_name=user.full_name or "",
        role=user.role,
        is_active=user.is_active,
        is_verified=user.is_verified,
        is_service_account=user.is_service_account,
        settings=struct(user.settings),
        metadata=struct(user.metadata_),
        created_at=timestamp(user.created_at),
        updated_at=timestamp(user.updated_at),
    )
    if user.last_login_at is not None:
        message.last_login_at.FromDatetime(user.last_login_at)
    message.etag = etag_of(message)
    return message


def token_message(token: ApiToken) -> identity_pb2.ApiToken:
    """Return the message of a token; its hash never leaves the domain."""
    return identity_pb2.ApiToken(
        id=str(token.id),
        name=token.name,
        user_id=id_text(token.user_id),
        machine_id=id_text(token.machine_id),
        worker_id=id_text(token.worker_id),
        scopes=token.scopes,
        kind=token.kind,
        expires_at=timestamp(token.expires_at),
        last_used_at=timestamp(token.last_used_at),
        revoked_at=timestamp(token.revoked_at),
        created_at=timestamp(token.created_at),
        updated_at=timestamp(token.updated_at),
    )


def token_owner_message(
    token: ApiToken, user: User | None, *, note_use: bool
) -> identity_pb2.AuthenticateTokenResponse:
    """Return who a token belongs to, and whether its use is to be noted."""
    return identity_pb2.AuthenticateTokenResponse(
        token_id=str(token.id),
        name=token.name,
        scopes=token.scopes,
        user_id="" if user is None else str(user.id),
        role="" if user is None else user.role,
        note_use=note_use,
    )


def member_message(member: ProjectMember, username: str) -> projects_pb2.ProjectMember:
    """Return the message of a user's part in a project."""
    return projects_pb2.ProjectMember(
        id=str(member.id),
        project_id=str(member.project_id),
        user_id=str(member.user_id),
        username=username,
        role=member.role,
        created_at=timestamp(member.created_at),
        updated_at=timestamp(member.updated_at),
    )

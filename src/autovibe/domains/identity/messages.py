"""From rows to messages."""

from __future__ import annotations

from autovibe.domains.identity.models import ApiToken, Instance
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import identity_pb2


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


def token_owner_message(token: ApiToken) -> identity_pb2.AuthenticateTokenResponse:
    """Return who a token belongs to; its hash never leaves the domain."""
    return identity_pb2.AuthenticateTokenResponse(
        token_id=str(token.id), name=token.name, scopes=token.scopes
    )

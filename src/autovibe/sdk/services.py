"""What a client holds: one object per service, local or remote."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from google.protobuf.message import Message

from autovibe.sdk.contract import Method, methods, streams
from autovibe.v1 import services

Call = Callable[[Message], Awaitable[Message]]
Stream = Callable[[Message], AsyncGenerator[Message]]

_ATTRIBUTES: Final = {
    "autovibe.v1.IdentityService": "identity",
    "autovibe.v1.ProjectService": "projects",
    "autovibe.v1.MachineService": "machines",
    "autovibe.v1.CheckpointService": "checkpoints",
    "autovibe.v1.MeteringService": "metering",
    "autovibe.v1.WorkService": "work",
    "autovibe.v1.QueueService": "queue",
    "autovibe.v1.MaintenanceService": "maintenance",
    "autovibe.v1.AuditService": "audit",
    "autovibe.v1.ApprovalService": "approvals",
    "autovibe.v1.TransferService": "transfer",
    "autovibe.v1.AgentService": "agent",
    "autovibe.v1.ChatService": "chat",
    "autovibe.v1.DocumentService": "documents",
    "autovibe.v1.LogService": "logs",
}


@dataclass(frozen=True)
class Services:
    """Every service of a control plane. It is the same in process and over a network."""

    identity: services.IdentityService
    projects: services.ProjectService
    machines: services.MachineService
    checkpoints: services.CheckpointService
    metering: services.MeteringService
    work: services.WorkService
    queue: services.QueueService
    maintenance: services.MaintenanceService
    audit: services.AuditService
    approvals: services.ApprovalService
    transfer: services.TransferService
    agent: services.AgentService
    chat: services.ChatService
    documents: services.DocumentService
    logs: services.LogService


def build_services(
    call_of: Callable[[Method], Call], stream_of: Callable[[Method], Stream] | None = None
) -> Services:
    """Return services whose every method is what `call_of` gives for its rpc.

    Args:
        call_of: for the rpcs with one answer.
        stream_of: for those whose answer is a stream; without it there are none.
    """
    twins: dict[str, Any] = {name: SimpleNamespace() for name in _ATTRIBUTES.values()}
    for method in methods().values():
        setattr(twins[_ATTRIBUTES[method.service]], method.attribute, call_of(method))
    if stream_of is not None:
        for method in streams().values():
            setattr(twins[_ATTRIBUTES[method.service]], method.attribute, stream_of(method))
    return Services(**twins)

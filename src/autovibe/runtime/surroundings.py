"""What every execution of one process works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autovibe.domains.machines.agent import AgentAdapter
from autovibe.domains.machines.driver import Limits, MachineDriver
from autovibe.domains.metering.gateway import Gateways
from autovibe.kernel.approval_settings import ApprovalSettings
from autovibe.kernel.breaker_settings import BreakerSettings
from autovibe.kernel.checkpoint_settings import CheckpointSettings
from autovibe.kernel.clock import Clock
from autovibe.kernel.log_settings import LogSettings
from autovibe.kernel.redaction import Redactor
from autovibe.store import CheckpointStore
from autovibe.v1 import services


@dataclass(frozen=True)
class Surroundings:
    """What every execution of this process shares.

    `count_missed` hears how many changes no event had told (see `Checkpointer`).
    """

    work: services.WorkService
    machines: services.MachineService
    checkpoints: services.CheckpointService
    metering: services.MeteringService
    approvals: services.ApprovalService
    chat: services.ChatService
    logs: services.LogService
    documents: services.DocumentService
    store: CheckpointStore
    adapters: Mapping[str, AgentAdapter]
    drivers: Mapping[str, MachineDriver]
    gateways: Gateways
    clock: Clock
    instance_id: str
    machines_path: Path
    limits: Limits
    checkpoint_settings: CheckpointSettings = field(default_factory=CheckpointSettings)
    approval_settings: ApprovalSettings = field(default_factory=ApprovalSettings)
    breaker_settings: BreakerSettings = field(default_factory=BreakerSettings)
    log_settings: LogSettings = field(default_factory=LogSettings)
    redactor: Redactor = field(default_factory=Redactor)
    count_missed: Callable[[int], None] = lambda _: None

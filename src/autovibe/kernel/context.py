"""Who calls, when, and under which request: what every operation is told."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import PermissionDeniedError
from autovibe.kernel.ids import new_id
from autovibe.kernel.permissions import ADMIN, may_somewhere

ALL_SCOPES: Final = frozenset({"*"})


@dataclass(frozen=True)
class MachineRef:
    """Which machine calls, for which attempt at which task, under which lease (decision D9)."""

    machine_id: uuid.UUID
    execution_id: uuid.UUID
    task_id: uuid.UUID
    project_id: uuid.UUID
    lease_generation: int


@dataclass(frozen=True)
class Actor:
    """Who calls. `scopes` are permission names; `*` stands for every permission of the role.

    Whoever has no role is limited by scopes alone: our own processes, and the owner of this home.
    """

    type: Literal["user", "machine", "system", "nobody"]
    id: str
    scopes: frozenset[str]
    role: str | None = None
    """Of the user: admin, developer or viewer."""
    user_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None
    machine: MachineRef | None = None
    """Set for a machine that calls on its own listener; it sees what its task is about."""

    def may(self, permission: str) -> bool:
        """Return whether this actor holds a permission; for a project its members' roles count."""
        if "*" not in self.scopes and permission not in self.scopes:
            return False
        return self.role is None or may_somewhere(self.role, permission)

    @property
    def sees_all(self) -> bool:
        """Whether this actor sees every project, and not only those that they belong to."""
        return self.role is None or self.role == ADMIN


@dataclass(frozen=True)
class CallContext:
    """One call of one operation. Services take the time from `clock` and nowhere else."""

    actor: Actor
    clock: Clock
    instance_id: uuid.UUID
    request_id: str = field(default_factory=lambda: str(new_id()))
    address: str = ""
    """Where the call came from; empty inside a process."""
    idempotency_key: str = ""
    """A repeat of a change with the same key gets the answer of the first and changes nothing."""

    def calling_machine(self) -> MachineRef:
        """Return which machine calls.

        Raises:
            PermissionDeniedError: no machine does.
        """
        if self.actor.machine is None:
            raise PermissionDeniedError(
                "Only a machine may call this, on its own listener.", permission="machine"
            )
        return self.actor.machine

    def next_request(self) -> CallContext:
        """Return the same context with a fresh request id."""
        return replace(self, request_id=str(new_id()))

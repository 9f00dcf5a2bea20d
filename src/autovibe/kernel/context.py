"""Who calls, when, and under which request: what every operation is told."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from autovibe.kernel.clock import Clock
from autovibe.kernel.ids import new_id
from autovibe.kernel.permissions import ADMIN, may_somewhere

ALL_SCOPES: Final = frozenset({"*"})


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

    def next_request(self) -> CallContext:
        """Return the same context with a fresh request id."""
        return replace(self, request_id=str(new_id()))

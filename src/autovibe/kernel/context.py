"""Who calls, when, and under which request: what every operation is told."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from autovibe.kernel.clock import Clock
from autovibe.kernel.ids import new_id

ALL_SCOPES: Final = frozenset({"*"})


@dataclass(frozen=True)
class Actor:
    """Who calls. `scopes` are permission names; `*` stands for every permission."""

    type: Literal["user", "machine", "system"]
    id: str
    scopes: frozenset[str]

    def may(self, permission: str) -> bool:
        """Return whether this actor holds a permission."""
        return "*" in self.scopes or permission in self.scopes


@dataclass(frozen=True)
class CallContext:
    """One call of one operation. Services take the time from `clock` and nowhere else."""

    actor: Actor
    clock: Clock
    instance_id: uuid.UUID
    request_id: str = field(default_factory=lambda: str(new_id()))

    def next_request(self) -> CallContext:
        """Return the same context with a fresh request id."""
        return replace(self, request_id=str(new_id()))

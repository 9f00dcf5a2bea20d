"""Calls of any rpc, with a record of what each answered.

The record of a walk is the same whatever twin it goes through; ids, times and addresses differ
from one walk to the next, so it has them under names: the first id that is met is `id 1`, and so
on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from machine_at_work import AtWork
from served import call

from autovibe.app.compose import ControlPlane
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protojson import to_json
from autovibe.sdk.contract import Method
from autovibe.sdk.services import Call, Services, build_services
from autovibe.v1 import options_pb2

_NAMED: Final = {
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|Z|\+00:00)?",
    "token": r"avt_[A-Za-z0-9_-]+",
    "hash": r"\b[0-9a-f]{64}\b",
    "commit": r"\b[0-9a-f]{40}\b",
    "snapshot": r"snapshot [0-9a-f]{12}\b",
    "day": r"\b\d{4}-\d\d-\d\d\b",
}
_ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_SHORT_ID: Final = re.compile(r"\b[0-9a-f]{8}\b")
_BRANCH: Final = re.compile(r"autovibe/[0-9a-f]{8}")
# Hashes of trees hold times, so what the store keeps of them has not always the same size.
_LEFT_OUT: Final = {
    "stored_bytes",
    "stored_bytes_before",
    "stored_bytes_after",
    "held_bytes",
    "compression_ratio",
    "heartbeat_at",
    "pid",
    "bell",
    # Who calls, and with what: the local twin has no token.
    "actor_id",
    "actor_type",
    "last_used_at",
    "token_id",
    "token_name",
    "sender_name",
    "answered_by",
    "decided_by",
    "duration_seconds",
    "by",
    # Of a store, and of trees that hold times.
    "store_id",
    "ids",
    "etag",  # it tells of ids and times
}
_OPAQUE: Final = {"next_page_token", "page_token"}


@dataclass
class Walk:
    """Calls go to `people` or `internal` by their audience; every answer is noted."""

    people: Services
    internal: Services
    plane: ControlPlane
    directory: Path
    record: list[tuple[str, Any]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    answered: list[tuple[Method, Message, Message]] = field(default_factory=list)
    """What was asked and answered, as it was."""
    machine: AtWork | None = None
    """The machine in whose name operations for machines are called, as its listener does it."""

    @property
    def services(self) -> Services:
        """The services that note what they answer."""
        return build_services(self._call_of)

    def _call_of(self, method: Method) -> Call:
        is_for_people = method.operation.audience == options_pb2.AUDIENCE_PEOPLE
        twin = self.people if is_for_people else self.internal
        is_for_machines = method.operation.audience == options_pb2.AUDIENCE_MACHINE

        async def noted(request: Message, /) -> Message:
            try:
                if is_for_machines:
                    assert self.machine is not None, "operations for machines need one at work"
                    answer = await self.machine.call(self.internal, method, request)
                else:
                    answer = await call(twin, method, request)
            except AutovibeError as error:
                outcome = [error.code.value, error.reason, error.message, error.params]
                self.record.append((method.name, self._named(outcome)))
                raise
            self.record.append((method.name, self._named(to_json(answer))))
            self.answered.append((method, request, answer))
            return answer

        return noted

    def _named(self, value: Any) -> Any:
        text = json.dumps(_without(value)).replace(str(self.directory), "<directory>")
        for name, pattern in _NAMED.items():
            text = re.sub(pattern, f"<{name}>", text)
        text = _BRANCH.sub("<branch>", text)
        return json.loads(_SHORT_ID.sub("<short id>", _ID.sub(self._name_of, text)))

    def _name_of(self, found: re.Match[str]) -> str:
        return self.names.setdefault(found[0], f"<id {len(self.names) + 1}>")


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: bool(part) if name in _OPAQUE else _without(part)
            for name, part in value.items()
            if name not in _LEFT_OUT
        }
    return [_without(part) for part in value] if isinstance(value, list) else value

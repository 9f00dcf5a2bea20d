"""Routes: what an order asks of its worker, as one text that an index can be searched by.

A filter on capabilities makes a claim walk over all orders ahead that its worker cannot do: 118
claims a second with 20,000 of them. Orders with the same needs share a route instead; a claim looks
at the few routes that have orders, and reads only those that its worker can take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from autovibe.domains.work.models import CapabilityLevel, TaskType
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import work_pb2

ANY: Final = "*"
PARKED: Final = "-"
"""The route of a pending order that nobody may claim: its task waits for something."""
MOST_CAPABILITIES: Final = 15
"""So that the longest route fits into its column."""

_LEVELS: Final = {level: rank for rank, level in enumerate(CapabilityLevel, start=1)}
_CAPABILITY: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.+#/-]{0,99})(?::([a-z]+))?")
_KNOWN_ROUTES: Final = 10_000


@dataclass(frozen=True)
class Capability:
    """Something that a worker can do, and how well."""

    name: str
    level: CapabilityLevel

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.name}:{self.level}"


def parse_capability(text: str, default: CapabilityLevel) -> Capability:
    """Return what `python:expert` or `python` says.

    Raises:
        InvalidArgumentError: it is neither.
    """
    found = _CAPABILITY.fullmatch(text)
    level = found.group(2) if found is not None else None
    if found is None or (level is not None and level not in set(CapabilityLevel)):
        levels = ", ".join(CapabilityLevel)
        raise InvalidArgumentError(
            f"{text[:120]!r} is no capability; write NAME or NAME:LEVEL with one of {levels}.",
            field="capabilities",
        )
    return Capability(found.group(1), CapabilityLevel(level or default))


def parse_needs(texts: Iterable[str]) -> list[Capability]:
    """Return what an order needs, by name; without a level any will do.

    Raises:
        InvalidArgumentError: one is malformed, named twice, or there are too many.
    """
    needs: dict[str, Capability] = {}
    for text in texts:
        need = parse_capability(text, CapabilityLevel.BEGINNER)
        if need.name in needs:
            raise InvalidArgumentError(
                f"The capability {need.name} is named twice; name it once.", field="capabilities"
            )
        needs[need.name] = need
    if len(needs) > MOST_CAPABILITIES:
        raise InvalidArgumentError(
            f"An order may need {MOST_CAPABILITIES} capabilities at most; name fewer.",
            field="capabilities",
        )
    return [needs[name] for name in sorted(needs)]


def route_of(context: work_pb2.TaskContext) -> str:
    """Return the route of an order that is to be run so.

    Raises:
        InvalidArgumentError: a capability is malformed.
    """
    needs = ",".join(
        f"{need.name}:{_LEVELS[need.level]}" for need in parse_needs(context.capabilities)
    )
    parts = (context.worker_type, context.agent, context.isolation)
    return "|".join([*(part or ANY for part in parts), needs])


@dataclass(frozen=True)
class Abilities:
    """What a worker can take. Where nothing is named it can take anything of that kind.

    `machine_types` are the agents that it has, `isolations` its machine drivers.
    """

    worker_type: TaskType | str
    machine_types: frozenset[str] = frozenset()
    isolations: frozenset[str] = frozenset()
    capabilities: Mapping[str, CapabilityLevel] = field(default_factory=dict[str, CapabilityLevel])

    def can_take(self, route: str) -> bool:
        """Return whether a worker with these abilities may do the orders of a route."""
        if route == PARKED:
            return False
        worker_type, machine_type, isolation, needs = _parts(route)
        return (
            worker_type in {ANY, self.worker_type}
            and _fits(machine_type, self.machine_types)
            and _fits(isolation, self.isolations)
            and all(self._rank(name) >= rank for name, rank in needs)
        )

    def _rank(self, name: str) -> int:
        level = self.capabilities.get(name)
        return 0 if level is None else _LEVELS[level]


def _fits(wanted: str, offered: frozenset[str]) -> bool:
    return wanted == ANY or not offered or wanted in offered


@lru_cache(_KNOWN_ROUTES)
def _parts(route: str) -> tuple[str, str, str, tuple[tuple[str, int], ...]]:
    worker_type, machine_type, isolation, needs = route.split("|", 3)
    pairs = (need.rpartition(":") for need in needs.split(",") if need)
    return worker_type, machine_type, isolation, tuple((name, int(rank)) for name, _, rank in pairs)

"""Which hosts the machines of a project may reach: kept in its metadata (decision C14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from autovibe.kernel.egress import HostRule, parse_rules
from autovibe.v1 import projects_pb2

KEY: Final = "egress_allow"


def stated_egress(metadata: Mapping[str, Any], default: Sequence[HostRule]) -> projects_pb2.Egress:
    """Return a project's own list, or the default when it has none."""
    own: object = metadata.get(KEY)
    if isinstance(own, list):
        texts = [str(item) for item in cast("list[object]", own)]
        return projects_pb2.Egress(allow=texts)
    return projects_pb2.Egress(allow=[str(rule) for rule in default], inherited=True)


def kept_egress(egress: projects_pb2.Egress) -> list[str] | None:
    """Return a list as it is kept, `None` for one that is to be the default.

    Raises:
        InvalidArgumentError: a host is malformed or too wide.
    """
    return None if egress.inherited else _texts(parse_rules(egress.allow, "egress.allow"))


def _texts(rules: Iterable[HostRule]) -> list[str]:
    return [str(rule) for rule in rules]

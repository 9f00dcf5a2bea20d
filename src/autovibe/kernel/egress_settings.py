"""Settings of the machines' way into the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.egress import HostRule, Network, parse_networks, parse_rules


@dataclass(frozen=True)
class EgressSettings:
    """What machines may reach beside the gateway: nothing, unless it is written."""

    allow: tuple[HostRule, ...] = ()
    """Hosts for projects that have no list of their own."""
    private: tuple[Network, ...] = ()
    """Addresses that are not public and that hosts may lead to all the same."""


EGRESS_KEYS: Final = frozenset({"allow", "private"})


def read_egress_settings(env: Mapping[str, str], table: Mapping[str, object]) -> EgressSettings:
    """Return the settings of `AUTOVIBE_EGRESS_*` over those of the table `[egress]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_EGRESS_", table)
    return EgressSettings(
        allow=parse_rules(source.texts("allow"), "egress.allow"),
        private=parse_networks(source.texts("private"), "egress.private"),
    )

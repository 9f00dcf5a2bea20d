"""Settings of the machines' way into the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from autovibe.kernel.database_settings import Source
from autovibe.kernel.egress import HostRule, Network, parse_networks, parse_rules
from autovibe.kernel.errors import InvalidArgumentError


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
        allow=parse_rules(_texts(source, "allow"), "egress.allow"),
        private=parse_networks(_texts(source, "private"), "egress.private"),
    )


def _texts(source: Source, name: str) -> list[str]:
    """Return the texts of a list; in a variable they stand between commas or spaces."""
    given, where = source.value(name)
    if isinstance(given, str) and where.startswith(source.prefix):
        return given.replace(",", " ").split()
    items = [] if given is None else cast("list[object]", given)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):  # pyright: ignore[reportUnnecessaryIsInstance]  # what a person wrote
        raise InvalidArgumentError(f"{where} must be a list of texts in quotes.", name=name)
    return [str(item) for item in items]

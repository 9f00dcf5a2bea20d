"""Settings of people: how passwords are hashed, how long sessions live, what failures cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError

_COSTS: Final = range(4, 17)


@dataclass(frozen=True)
class PeopleSettings:
    """What logins are like."""

    bcrypt_cost: int = 12
    """Twice the time for each one more; 12 takes about a quarter of a second."""
    session_s: int = 12 * 3600
    """How long a login lasts."""
    failures_per_account: int = 5
    """After so many failed logins in a row an account has to wait, twice as long each time."""
    failures_per_address: int = 30
    """The same for an address, whatever accounts it tried."""


PEOPLE_KEYS: Final = frozenset(
    {"bcrypt_cost", "session_s", "failures_per_account", "failures_per_address"}
)


def read_people_settings(env: Mapping[str, str], table: Mapping[str, object]) -> PeopleSettings:
    """Return the settings of `AUTOVIBE_PEOPLE_*` over those of the table `[people]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_PEOPLE_", table)
    own = PeopleSettings()
    cost = source.number("bcrypt_cost", int, own.bcrypt_cost)
    if cost not in _COSTS:
        raise InvalidArgumentError(
            f"bcrypt_cost is {cost}; give {_COSTS[0]} to {_COSTS[-1]}.", name="bcrypt_cost"
        )
    return PeopleSettings(
        bcrypt_cost=cost,
        session_s=source.number("session_s", int, own.session_s),
        failures_per_account=source.number("failures_per_account", int, own.failures_per_account),
        failures_per_address=source.number("failures_per_address", int, own.failures_per_address),
    )

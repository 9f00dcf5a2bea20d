"""Failed logins cost time: per account and per address, counted in the database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import LoginThrottledError
from autovibe.kernel.context import CallContext
from autovibe.kernel.people_settings import PeopleSettings

_LONGEST: Final = timedelta(minutes=15)
_FORGOTTEN: Final = timedelta(days=1)
_MOST_DOUBLINGS: Final = 10
_ACCOUNT: Final = "account:"


def account_key(username: str) -> str:
    """Return the key of an account, whether there is one or not."""
    return f"{_ACCOUNT}{username}"


def keys_of(ctx: CallContext, username: str, settings: PeopleSettings) -> Mapping[str, int]:
    """Return what a login counts for, each with the failures that cost nothing."""
    keys = {account_key(username): settings.failures_per_account}
    if ctx.address:
        keys[f"address:{ctx.address}"] = settings.failures_per_address
    return keys


async def check_not_blocked(tx: ReadTx, ctx: CallContext, keys: Mapping[str, int]) -> None:
    """Refuse a login too soon after others that failed.

    Raises:
        LoginThrottledError: with the seconds to wait.
    """
    error = await blocked(tx, ctx, keys)
    if error is not None:
        raise error


async def blocked(
    tx: ReadTx, ctx: CallContext, keys: Mapping[str, int]
) -> LoginThrottledError | None:
    """Return the refusal of a login too soon after others that failed; None if it may be tried."""
    now = ctx.clock.now()
    until = await repository.blocked_until(tx, keys, now)
    if until is None:
        return None
    wait_s = max(1, math.ceil((until - now).total_seconds()))
    return LoginThrottledError(
        f"Too many logins have failed; try again in {wait_s} seconds.", retry_after_s=wait_s
    )


async def note_failure(tx: WriteTx, ctx: CallContext, keys: Mapping[str, int]) -> None:
    """Count a failed login, and block the next one for longer each time."""
    now = ctx.clock.now()
    await repository.forget_old_failures(tx, now - _FORGOTTEN)
    for key in sorted(keys):
        row = await repository.lock_throttle(tx, key, now)
        row.failures += 1
        row.last_failed_at = now
        row.blocked_until = _blocked_until(row.failures - keys[key], now)


def _blocked_until(above: int, now: datetime) -> datetime | None:
    if above < 0:
        return None
    return now + min(timedelta(seconds=2 ** min(above, _MOST_DOUBLINGS)), _LONGEST)

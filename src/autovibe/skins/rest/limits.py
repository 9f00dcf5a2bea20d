"""Rate limits: so many requests of one caller, and not at once."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, Code

_MOST_CALLERS: Final = 10_000
_BURST_S: Final = 10


class RateLimitedError(AutovibeError):
    """The caller has sent more requests than the server takes of one."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"


@dataclass
class RateLimit:
    """A bucket per caller that holds ten seconds' worth, and fills steadily.

    It is kept in this process: a server that starts again begins with full buckets.
    """

    per_minute: int
    clock: Clock
    _buckets: OrderedDict[str, tuple[float, float]] = field(
        default_factory=OrderedDict[str, tuple[float, float]]
    )

    def take(self, caller: str) -> None:
        """Count one request of a caller.

        Raises:
            RateLimitedError: with the seconds to wait.
        """
        rate = self.per_minute / 60
        most = max(1.0, rate * _BURST_S)
        now = self.clock.monotonic()
        left, at = self._buckets.pop(caller, (most, now))
        left = min(most, left + (now - at) * rate)
        is_refused = left < 1
        self._buckets[caller] = (left if is_refused else left - 1, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        if is_refused:
            wait_s = max(1, math.ceil((1 - left) / rate))
            raise RateLimitedError(
                f"Too many requests; send the next one in {wait_s} seconds.", retry_after_s=wait_s
            )

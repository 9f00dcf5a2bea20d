"""Which refs a prune keeps."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from autovibe.kernel.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autovibe.store.refs import Ref

_PERIODS: Final = {
    "hourly": "%Y-%m-%d %H",
    "daily": "%Y-%m-%d",
    "weekly": "%G-%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}


@dataclass(frozen=True, slots=True)
class KeepRules:
    """What to keep in each namespace; a ref that any rule wants stays.

    Attributes:
        last: the newest so many.
        within: all that are not older.
        hourly: the newest of each of the last so many hours that have one; likewise the others.
        names: globs of full names that always stay.
        prefix: only refs whose name begins so are looked at; all others stay.
    """

    last: int = 0
    within: timedelta | None = None
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    names: tuple[str, ...] = ()
    prefix: str = ""

    def removed(self, refs: Iterable[Ref], now: datetime) -> list[str]:
        """Return the names of the refs that no rule wants, sorted.

        Raises:
            InvalidArgumentError: the rules want nothing at all.
        """
        counts = (self.last, *(getattr(self, period) for period in _PERIODS))
        if any(count < 0 for count in counts):
            msg = "A keep rule counts from 1; leave it out to keep none by it."
            raise InvalidArgumentError(msg, what="keep")
        if not (any(counts) or self.within or self.names):
            msg = "These rules keep nothing: give at least one, such as --keep-last 10."
            raise InvalidArgumentError(msg, what="keep")
        groups: dict[str, list[Ref]] = {}
        for ref in refs:
            if ref.name.startswith(self.prefix):
                groups.setdefault(ref.name.rpartition("/")[0], []).append(ref)
        removed: list[str] = []
        for group in groups.values():
            group.sort(key=lambda ref: (-ref.at_ns, ref.name))
            kept = self._kept(group, now)
            removed += [ref.name for ref in group if ref.name not in kept]
        return sorted(removed)

    def _kept(self, group: list[Ref], now: datetime) -> set[str]:
        """Return the names to keep of one namespace, which is sorted from the newest on."""
        kept = {ref.name for ref in group[: self.last]}
        kept |= {ref.name for ref in group if any(fnmatch.fnmatch(ref.name, n) for n in self.names)}
        if self.within is not None:
            oldest = now - self.within
            kept |= {ref.name for ref in group if _time(ref) >= oldest}
        for period, form in _PERIODS.items():
            newest: dict[str, str] = {}
            for ref in group:
                newest.setdefault(_time(ref).strftime(form), ref.name)
            kept |= set(list(newest.values())[: getattr(self, period)])
        return kept


def _time(ref: Ref) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ref.at_ns // 1_000)

"""Status transitions as an ordered list of small rules: the first rule that fits decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule: from any of `sources` to any of `targets`; `allowed` or not, and why."""

    sources: Collection[str]
    targets: Collection[str]
    why: str
    allowed: bool = True

    def fits(self, current: str, target: str) -> bool:
        """Return whether this rule speaks about the pair."""
        return current in self.sources and target in self.targets


@dataclass(frozen=True)
class Verdict:
    """What the rules say about one pair."""

    allowed: bool
    why: str


def decide(rules: Sequence[Rule], current: str, target: str) -> Verdict:
    """Return the verdict of the first rule that fits; what no rule mentions is refused."""
    for rule in rules:
        if rule.fits(current, target):
            return Verdict(rule.allowed, rule.why)
    return Verdict(allowed=False, why=f"nothing leads from {current} to {target}")

"""Which status a machine may go to from which."""

from __future__ import annotations

from typing import Final

from autovibe.domains.machines.errors import InvalidMachineTransitionError
from autovibe.kernel.transitions import Rule, decide

_LIVE: Final = ("active", "working", "checkpointing")

MACHINE_RULES: Final = (
    Rule(
        ("terminated",),
        ("spawning", *_LIVE, "error", "terminated"),
        "a terminated machine is final",
        allowed=False,
    ),
    Rule(("spawning",), ("active",), "the machine answers"),
    Rule(("active",), ("working",), "its agent was started"),
    Rule(("working",), ("active",), "its agent has ended"),
    Rule(("active", "working"), ("checkpointing",), "a manual or final checkpoint is made"),
    Rule(("checkpointing",), ("active", "working"), "the checkpoint is made"),
    Rule(("spawning", *_LIVE), ("error",), "something broke"),
    Rule(("error",), ("spawning",), "it is started again"),
    Rule(("spawning", *_LIVE, "error"), ("terminated",), "it was ended"),
)


def check_transition(current: str, target: str) -> None:
    """Refuse a change of status that no rule allows.

    Raises:
        InvalidMachineTransitionError: the pair is not allowed.
    """
    verdict = decide(MACHINE_RULES, current, target)
    if not verdict.allowed:
        raise InvalidMachineTransitionError(
            f"The machine is {current} and cannot become {target}: {verdict.why}.",
            current=current,
            target=target,
        )

"""Why an execution ended: an ordered list of small rules, the first that fits decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from autovibe.domains.machines.agent import AgentOutcome
from autovibe.domains.machines.driver import Exit

Outcome = Literal["completed", "failed", "timeout", "paused"]


@dataclass(frozen=True)
class Facts:
    """What is known when the machine has stopped.

    `refusal` is the ledger's reason and message of a call that it refused last. `exhaustion` says
    which sampled budget was used up, if the machine was stopped for that, `breaker` why nothing
    comes of it. `passed_by` is a tool that was used without leave. Text that the agent printed is
    no fact: success is its own final event, the ledger and the exit together.
    """

    agent: AgentOutcome
    exit: Exit
    interrupted: bool = False
    timed_out_after_s: int | None = None
    refusal: tuple[str, str] | None = None
    exhaustion: str | None = None
    breaker: str | None = None
    waits_for_person: bool = False
    passed_by: str | None = None
    lease_lost: bool = False
    checkpoint_error: str | None = None


@dataclass(frozen=True)
class Ending:
    """How the execution ends."""

    outcome: Outcome
    reason: str
    message: str


_MONEY_REASONS: Final = frozenset({"BUDGET_EXHAUSTED", "BUDGET_HELD", "NO_BUDGET"})

Rule = Callable[[Facts], Ending | None]


def _lease_lost(facts: Facts) -> Ending | None:
    if not facts.lease_lost:
        return None
    return Ending("failed", "LEASE_LOST", "The order passed to another worker; nothing was kept.")


def _interrupted(facts: Facts) -> Ending | None:
    if not facts.interrupted:
        return None
    return Ending("paused", "INTERRUPTED", "The task was interrupted.")


def _passed_by(facts: Facts) -> Ending | None:
    if facts.passed_by is None:
        return None
    return Ending(
        "failed",
        "UNGATED_TOOL",
        f"The agent used {facts.passed_by} without asking, although the task is supervised; its "
        "machine was stopped. Look at what it did with `autovibe task diff`, and report this.",
    )


def _waits_for_person(facts: Facts) -> Ending | None:
    if not facts.waits_for_person:
        return None
    return Ending(
        "paused",
        "WAITING_FOR_APPROVAL",
        "It waits for a person; see `autovibe inbox`. It goes on by itself after the answer where "
        "a server runs (`autovibe up`), else with `autovibe task resume`.",
    )


def _timed_out(facts: Facts) -> Ending | None:
    if facts.timed_out_after_s is None:
        return None
    return Ending(
        "timeout",
        "TASK_TIMED_OUT",
        f"The task ran longer than its limit of {facts.timed_out_after_s} seconds; "
        "give it more with --timeout.",
    )


def _checkpoint_failed(facts: Facts) -> Ending | None:
    if facts.checkpoint_error is None:
        return None
    return Ending("failed", "CHECKPOINT_FAILED", facts.checkpoint_error)


def _exhausted(facts: Facts) -> Ending | None:
    if facts.exhaustion is None:
        return None
    return Ending("paused", "BUDGET_EXHAUSTED", facts.exhaustion)


def _breaker_open(facts: Facts) -> Ending | None:
    if facts.breaker is None:
        return None
    return Ending("paused", "BREAKER_OPEN", facts.breaker)


def _refused(facts: Facts) -> Ending | None:
    """End by the refusal of the last call.

    Where money was missing, the agent's own account counts for nothing: some end with status 0 and
    no word of an error whatever they were answered.
    """
    if facts.refusal is None:
        return None
    reason, message = facts.refusal
    if reason in _MONEY_REASONS:
        return Ending("paused", reason, message)
    if facts.agent.finished and not facts.agent.is_error:
        return None
    return Ending("failed", reason, message)


def _over_limit(facts: Facts) -> Ending | None:
    if facts.exit.limit is None:
        return None
    return Ending(
        "failed",
        "MACHINE_LIMIT",
        f"The machine was ended because it went over its {facts.exit.limit} limit; "
        "raise it under [limits] in config.toml.",
    )


def _succeeded(facts: Facts) -> Ending | None:
    if facts.agent.finished and not facts.agent.is_error and facts.exit.code == 0:
        return Ending("completed", "COMPLETED", "")
    return None


def _agent_failed(facts: Facts) -> Ending | None:
    if not facts.agent.message and not facts.agent.finished:
        return Ending(
            "failed",
            "AGENT_ENDED_EARLY",
            f"The agent ended with status {facts.exit.code} before it said that it was done; "
            "see `autovibe logs`.",
        )
    detail = facts.agent.message or f"exit status {facts.exit.code}"
    return Ending("failed", "AGENT_FAILED", f"The agent reported a failure: {detail}")


RULES: Final[tuple[Rule, ...]] = (
    _lease_lost,
    _passed_by,
    _waits_for_person,
    _interrupted,
    _timed_out,
    _checkpoint_failed,
    _exhausted,
    _breaker_open,
    _refused,
    _over_limit,
    _succeeded,
    _agent_failed,
)


def decide_ending(facts: Facts) -> Ending:
    """Return the ending of the first rule that fits; the last one always does."""
    for rule in RULES:
        ending = rule(facts)
        if ending is not None:
            return ending
    raise AssertionError("the last rule fits everything")

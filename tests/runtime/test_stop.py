from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from autovibe.domains.machines.agent import AgentOutcome
from autovibe.domains.machines.driver import Exit
from autovibe.runtime.stop import Ending, Facts, decide_ending

DONE = AgentOutcome(finished=True, is_error=False, message="all is well")
FAILED = AgentOutcome(finished=True, is_error=True, message="I could not", status=500)
SILENT = AgentOutcome(finished=False, is_error=True, message="")

# In the order of the rules: what makes each of them fit, and what it says then.
CONDITIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "lease lost": ({"lease_lost": True}, "failed", "LEASE_LOST"),
    "passed by": ({"passed_by": "Bash"}, "failed", "UNGATED_TOOL"),
    "waits for a person": ({"waits_for_person": True}, "paused", "WAITING_FOR_APPROVAL"),
    "interrupted": ({"interrupted": True}, "paused", "INTERRUPTED"),
    "timed out": ({"timed_out_after_s": 60}, "timeout", "TASK_TIMED_OUT"),
    "checkpoint failed": ({"checkpoint_error": "disk full"}, "failed", "CHECKPOINT_FAILED"),
    "exhausted": ({"exhaustion": "no time left"}, "paused", "BUDGET_EXHAUSTED"),
    "breaker open": ({"breaker": "nothing comes of it"}, "paused", "BREAKER_OPEN"),
    "refused": (
        {"refusal": ("BUDGET_EXHAUSTED", "no money left"), "agent": FAILED},
        "paused",
        "BUDGET_EXHAUSTED",
    ),
    "over a limit": ({"exit": Exit(137, limit="memory")}, "failed", "MACHINE_LIMIT"),
    "succeeded": ({"agent": DONE, "exit": Exit(0)}, "completed", "COMPLETED"),
    "failed": ({"agent": FAILED, "exit": Exit(1)}, "failed", "AGENT_FAILED"),
}
NOTHING = Facts(agent=SILENT, exit=Exit(1))
PAIRS = list(itertools.combinations(CONDITIONS, 2))


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_rule_by_itself_gives_its_ending(name: str):
    facts, outcome, reason = CONDITIONS[name]
    ending = decide_ending(replace(NOTHING, **facts))
    assert (ending.outcome, ending.reason) == (outcome, reason)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_rules_that_fit_the_earlier_decides(first: str, second: str):
    facts, outcome, reason = CONDITIONS[first]
    both = {**CONDITIONS[second][0], **facts}
    ending = decide_ending(replace(NOTHING, **both))
    assert (ending.outcome, ending.reason) == (outcome, reason)


def test_success_needs_the_agents_own_last_word_and_its_exit_status():
    def reason(agent: AgentOutcome, code: int, **facts: Any) -> str:
        return decide_ending(Facts(agent=agent, exit=Exit(code), **facts)).reason

    assert reason(DONE, 0) == "COMPLETED"
    assert reason(DONE, 1) == "AGENT_FAILED"
    assert reason(replace(SILENT, is_error=False), 0) == "AGENT_ENDED_EARLY"
    assert reason(replace(DONE, is_error=True), 0) == "AGENT_FAILED"
    # What it prints is no fact: a message alone makes no success.
    assert (
        reason(AgentOutcome(finished=False, is_error=False, message="done!"), 0) == "AGENT_FAILED"
    )


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("BUDGET_EXHAUSTED", "paused"),
        ("BUDGET_HELD", "paused"),
        ("NO_BUDGET", "paused"),
        ("NO_PRICE", "failed"),
        ("PROVIDER_TOOL_REFUSED", "failed"),
    ],
)
def test_a_refusal_pauses_when_more_money_would_help(reason: str, outcome: str):
    refused = replace(NOTHING, refusal=(reason, "why"))
    assert decide_ending(refused) == Ending(outcome, reason, "why")
    # Some agents end with status 0 whatever was answered: money that is missing still pauses.
    ended = decide_ending(replace(refused, agent=DONE, exit=Exit(0)))
    assert ended.outcome == ("paused" if outcome == "paused" else "completed")


def test_every_message_says_something_a_person_can_use():
    for facts, outcome, _ in CONDITIONS.values():
        ending = decide_ending(replace(NOTHING, **facts))
        assert bool(ending.message) == (outcome != "completed")
    assert "60 seconds" in decide_ending(replace(NOTHING, timed_out_after_s=60)).message
    assert "status 137" in decide_ending(replace(NOTHING, exit=Exit(137))).message
    assert "memory" in decide_ending(replace(NOTHING, exit=Exit(137, "memory"))).message
    failure = decide_ending(Facts(agent=replace(FAILED, message=""), exit=Exit(3)))
    assert "exit status 3" in failure.message

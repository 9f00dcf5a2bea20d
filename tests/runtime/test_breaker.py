from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest

from autovibe.domains.machines.agent import AgentEvent
from autovibe.kernel.breaker_settings import BreakerSettings, read_breaker_settings
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.runtime.breaker import Breaker
from autovibe.runtime.stop import Ending

SETTINGS = BreakerSettings(attempts=3, spend_cad=Decimal(2), same_errors=4)
USES = count()
FAILED = Ending("failed", "AGENT_FAILED", "It could not.")


def call(breaker: Breaker, cost: str, status: str = "settled") -> None:
    breaker.line("call", {"status": status, "cost_cad": cost})


def change(breaker: Breaker, files: int = 1) -> None:
    breaker.line("checkpoint", {"files_changed": files})


def use(breaker: Breaker, text: str, *, tool: str = "Bash", failed: bool = True) -> None:
    """Use a tool once."""
    use_id = f"t{next(USES)}"
    breaker.saw(AgentEvent("command", "make", use_id, {"tool": tool}))
    breaker.saw(AgentEvent("tool_result", text, use_id, {"is_error": failed}))


def test_spending_without_a_change_opens_it():
    breaker = Breaker(SETTINGS)
    call(breaker, "1.50")
    call(breaker, "9.00", "refused")
    call(breaker, "9.00", "released")
    assert not breaker.due.is_set()
    call(breaker, "0.50", "uncertain")
    assert breaker.due.is_set()
    assert breaker.confirm()
    assert "2.00 CAD were spent without a change" in breaker.message
    assert "autovibe task resume" in breaker.message


def test_a_change_of_a_file_starts_the_count_anew():
    breaker = Breaker(SETTINGS)
    call(breaker, "1.90")
    change(breaker, files=0)
    assert (breaker.changed, breaker.cost_cad) == (False, Decimal("1.90"))
    change(breaker)
    assert (breaker.changed, breaker.cost_cad) == (True, Decimal(0))
    call(breaker, "1.90")
    assert not breaker.due.is_set()


def test_a_change_that_only_the_last_look_finds_keeps_it_closed():
    breaker = Breaker(SETTINGS)
    call(breaker, "2.50")
    assert breaker.due.is_set()
    change(breaker)
    assert not breaker.due.is_set()
    assert not breaker.confirm()
    assert breaker.message == ""


def test_what_earlier_attempts_have_cost_counts():
    breaker = Breaker(SETTINGS, attempts=1, cost_cad=Decimal("1.99"))
    assert not breaker.due.is_set()
    call(breaker, "0.01")
    assert breaker.confirm()


def test_the_same_error_of_a_tool_opens_it_whatever_numbers_are_in_it():
    breaker = Breaker(SETTINGS)
    for number in range(4):
        assert not breaker.due.is_set()
        use(breaker, f"line {number}:  no  such file ({number * 0.1:.2f}s)")
        use(breaker, "fine", failed=False)
    assert breaker.confirm()
    assert "The same error of Bash came 4 times" in breaker.message


def told(breaker: Breaker, text: str, use_id: str = "") -> None:
    """Settle a call whose request told of a failed tool."""
    error = {"tool_use_id": use_id, "tool": "shell", "text": text}
    details: dict[str, object] = {"status": "settled", "cost_cad": "0.01", "tool_errors": [error]}
    breaker.line("call", details)


def test_errors_that_only_the_gateway_saw_open_it():
    breaker = Breaker(SETTINGS)
    for number in range(4):
        assert not breaker.due.is_set()
        told(breaker, f"Exit code: 2 after {number} s", f"call_{number}")
    assert breaker.confirm()
    assert "The same error of shell came 4 times" in breaker.message


def test_an_error_that_agent_and_gateway_tell_of_counts_once():
    breaker = Breaker(SETTINGS)
    for number in range(3):
        breaker.saw(AgentEvent("command", "make", f"t-{number}", {"tool": "shell"}))
        breaker.saw(AgentEvent("tool_result", "no such file", f"t-{number}", {"is_error": True}))
        told(breaker, "no such file", f"t-{number}")
    assert not breaker.due.is_set()
    told(breaker, "no such file")
    assert breaker.confirm()


def test_another_error_or_another_tool_or_a_change_is_not_the_same():
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        use(breaker, "no such file")
    use(breaker, "permission denied")
    for _ in range(3):
        use(breaker, "no such file")
    use(breaker, "no such file", tool="Read")
    assert not breaker.due.is_set()
    for _ in range(2):
        use(breaker, "no such file", tool="Read")
    change(breaker)
    use(breaker, "no such file", tool="Read")
    assert not breaker.due.is_set()


def test_an_error_that_no_change_helps_opens_it_in_the_end():
    breaker = Breaker(SETTINGS)
    for _ in range(11):
        use(breaker, "1 test failed")
        change(breaker)
    assert not breaker.confirm()
    use(breaker, "1 test failed")
    assert breaker.confirm()
    assert "12 times" in breaker.message


def test_failed_attempts_in_a_row_that_changed_nothing_open_it():
    assert Breaker(SETTINGS, attempts=1).judge_attempt(FAILED) == FAILED
    paused = Breaker(SETTINGS, attempts=2).judge_attempt(FAILED)
    assert (paused.outcome, paused.reason) == ("paused", "BREAKER_OPEN")
    assert "3 attempts in a row" in paused.message
    assert "It could not." in paused.message
    late = Ending("timeout", "TASK_TIMED_OUT", "Too long.")
    assert Breaker(SETTINGS, attempts=2).judge_attempt(late).reason == "BREAKER_OPEN"


@pytest.mark.parametrize(
    "ending",
    [
        Ending("completed", "COMPLETED", ""),
        Ending("paused", "BUDGET_EXHAUSTED", "No money."),
        Ending("failed", "CHECKPOINT_FAILED", "The disk is full."),
    ],
)
def test_other_endings_are_left_alone(ending: Ending):
    assert Breaker(SETTINGS, attempts=9).judge_attempt(ending) == ending


def test_an_attempt_that_changed_something_counts_for_nothing():
    breaker = Breaker(SETTINGS, attempts=9)
    change(breaker)
    assert breaker.judge_attempt(FAILED) == FAILED


def test_each_rule_can_be_turned_off():
    breaker = Breaker(BreakerSettings(0, Decimal(0), 0), attempts=99, cost_cad=Decimal(99))
    call(breaker, "50")
    for _ in range(99):
        use(breaker, "no")
    assert not breaker.due.is_set()
    assert breaker.judge_attempt(FAILED) == FAILED


def test_settings_are_read_from_table_and_variables():
    assert read_breaker_settings({}, {}) == BreakerSettings()
    table = {"attempts": 5, "spend_cad": 0.1, "same_errors": 0}
    read = read_breaker_settings({"AUTOVIBE_BREAKER_ATTEMPTS": "2"}, table)
    assert read == BreakerSettings(2, Decimal("0.1"), 0)
    for bad in ({"attempts": -1}, {"spend_cad": True}, {"spend_cad": "much"}):
        with pytest.raises(InvalidArgumentError):
            read_breaker_settings({}, bad)

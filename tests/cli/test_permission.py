"""What people read of what is asked, and the rules that they write."""

from __future__ import annotations

import pytest

from autovibe.cli.client.approval_text import approval_lines
from autovibe.cli.client.project_policy import policy_lines, read_policy
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import agents_pb2, approvals_pb2, work_pb2

RULES = """
[[rule]]
effect = "allow"
tool = "Bash"
command = ["pytest *", "git status"]

[[rule]]
effect = "deny"
tool = ["Edit", "Write"]
path = ".github/**"
"""


def test_what_is_asked_is_shown_whole_and_no_terminal_obeys_it() -> None:
    command = "echo safe\n" + "x" * 5_000 + "\x1b[2K\u202egpj.exe; rm -rf /"
    approval = approvals_pb2.Approval(
        id="1a2b3c4d-0000-4000-8000-000000000000",
        kind="tool_use",
        status="open",
        default_answer="deny",
        details=agents_pb2.ApprovalDetails(tool="Bash", input=struct({"command": command})),
    )
    text = "\n".join(approval_lines(approval))
    assert text.startswith("1a2b3c4d  asks to use a tool")
    assert "x" * 5_000 in text
    assert "rm -rf /" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "then: deny" in text


def test_rules_are_read_from_toml_and_written_back_the_same() -> None:
    stated = read_policy(RULES, "rules.toml")
    assert [(one.effect, one.tool, one.command, one.path) for one in stated.rules] == [
        ("allow", "Bash", "pytest *", ""),
        ("allow", "Bash", "git status", ""),
        ("deny", "Edit", "", ".github/**"),
        ("deny", "Write", "", ".github/**"),
    ]
    assert read_policy("\n".join(policy_lines(stated)), "again") == stated


@pytest.mark.parametrize(
    "text",
    [
        "x", 'default = "maybe"', "other = 1", "rule = 1", "rule = [1]",
        '[[rule]]\neffect = "allow"', '[[rule]]\neffect = "let"\ntool = "Bash"',
        '[[rule]]\neffect = "allow"\ntool = 5', '[[rule]]\neffect = "allow"\ntool = "x"\nat = "y"',
        '[[rule]]\neffect = "allow"\ntool = "x"\npath = []',
    ],
)  # fmt: skip
def test_a_file_that_says_nothing_clear_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"rules\.toml"):
        read_policy(text, "rules.toml")


def test_the_inbox_has_tasks_that_were_stopped_and_not_those_that_go_on(cli, plane) -> None:
    def blocked(number: int, reason: str) -> work_pb2.Task:
        task = work_pb2.Task(
            id=f"{number}" * 8 + "-0000-4000-8000-000000000000",
            title=f"Task \x1b[2J{number}",
            status="blocked",
            block_reason=reason,
        )
        plane.tasks[task.id] = task
        return task

    assert "Nothing waits for you." in cli("inbox").err + cli("inbox").out
    blocked(1, "BUDGET_EXHAUSTED")
    blocked(2, "WAITING_FOR_DEPENDENCY")
    blocked(3, "WAITING_FOR_APPROVAL")
    blocked(4, "INTERRUPTED")
    shown = cli("inbox").out
    assert "11111111  was stopped: BUDGET_EXHAUSTED" in shown
    assert "autovibe task resume 11111111 --budget AMOUNT" in shown
    assert "autovibe task resume 44444444\n" in shown
    assert "\x1b" not in shown
    assert "22222222" not in shown
    assert "33333333" not in shown
    document = cli("inbox", "--json").document()
    assert [one["id"][:1] for one in document["stopped_tasks"]] == ["1", "4"]
    assert len(cli("inbox", "--task", "4444", "--json").document()["stopped_tasks"]) == 1

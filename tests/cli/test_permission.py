"""What people read of what is asked, and the rules that they write."""

from __future__ import annotations

import pytest

from autovibe.cli.client.approval_text import approval_lines
from autovibe.cli.client.project_policy import policy_lines, read_policy
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import struct
from autovibe.v1 import agents_pb2, approvals_pb2

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

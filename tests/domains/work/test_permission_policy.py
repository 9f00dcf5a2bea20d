"""Which calls of tools the rules allow, deny, or leave to a person."""

from __future__ import annotations

import pytest

from autovibe.domains.work.permission_policy import (
    ToolCall,
    decide,
    kept_policy,
    packaged_policy,
    stated_policy,
)
from autovibe.domains.work.shell_line import read_shell_line
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import approvals_pb2


def policy(
    *rules: tuple[str, str, str, str], default: str = "ask"
) -> approvals_pb2.PermissionPolicy:
    found = approvals_pb2.PermissionPolicy(default_effect=default)
    for effect, tool, command, path in rules:
        found.rules.add(effect=effect, tool=tool, command=command, path=path)
    return found


def effect(rules: approvals_pb2.PermissionPolicy, command: str) -> str:
    return decide(rules, ToolCall("Bash", command)).effect


@pytest.mark.parametrize(
    ("line", "commands", "writes"),
    [
        ("a && b; c | d || e", [["a"], ["b"], ["c"], ["d"], ["e"]], []),
        ("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]], []),
        ("a >x 2>&1 2>/dev/null >>'y z'", [["a"]], ["x", "y z"]),
        ("a &>x; b 2>y", [["a"], ["b"]], ["x", "y"]),
        ("a # b; c\nd", [["a"], ["d"]], []),
        ("a & b\nc", [["a"], ["b"], ["c"]], []),
        ("echo a\\\nb", [["echo", "ab"]], []),
        ('echo $HOME "$X"', [["echo", "$HOME", "$X"]], []),
        ("cat <x", [["cat"]], []),
        ("", [], []),
    ],
)
def test_a_plain_line_is_read_command_by_command(
    line: str, commands: list[list[str]], writes: list[str]
) -> None:
    read = read_shell_line(line)
    assert (read.commands, read.writes, read.doubts) == (commands, writes, [])


@pytest.mark.parametrize(
    "line",
    [
        "echo $(rm x)", "echo `rm x`", 'echo "$(rm x)"', "(rm x)", "if true; then rm x; fi",
        "X=1 rm x", "cat <<E\nrm\nE", "cat <(rm x)", "cat > >(rm x)", "f() { rm x; }",
        "echo $((x[$(rm x)]))", "echo 'a", 'echo "a', "a >", "! rm x", "echo \x1b[2J",
        "while a; do b", "echo ${x@P}",
        "$'rm' x", "case a in b) c;; esac",
    ],
)  # fmt: skip
def test_a_line_that_is_not_plain_is_asked_about(line: str) -> None:
    assert read_shell_line(line).doubts
    assert (
        effect(policy(("allow", "Bash", "echo *", ""), ("allow", "Bash", "cat *", "")), line)
        == "ask"
    )


@pytest.mark.parametrize(
    "line", ["git push", "/usr/bin/git push x", "ls; git push", "ls $(git push)"]
)
def test_a_denied_command_is_denied_wherever_it_can_be_seen(line: str) -> None:
    rules = policy(("allow", "Bash", "", ""), ("deny", "Bash", "git push *", ""))
    assert effect(rules, line) == "deny"


def test_deny_wins_over_ask_and_ask_over_allow() -> None:
    rules = policy(
        ("allow", "Bash", "git *", ""), ("ask", "Bash", "git commit *", ""),
        ("deny", "Bash", "git commit --amend *", ""),
    )  # fmt: skip
    assert effect(rules, "git log -3") == "allow"
    assert effect(rules, "git commit -m x") == "ask"
    assert effect(rules, "git commit --amend -m x") == "deny"
    assert effect(rules, "git log && git commit -m x") == "ask"
    assert effect(rules, "make") == "ask"
    assert effect(policy(default="deny"), "make") == "deny"


def test_a_pattern_is_compared_word_by_word() -> None:
    rules = policy(("allow", "Bash", "git status", ""), ("allow", "Bash", "pytest *", ""))
    assert effect(rules, "git status") == "allow"
    assert effect(rules, "git status -s") == "ask"
    assert effect(rules, "'git status'") == "ask"
    assert effect(rules, "./pytest x") == "ask"
    assert effect(rules, "pytest") == effect(rules, "pytest -q tests") == "allow"


def test_a_line_that_writes_a_file_is_not_allowed_by_its_command_alone() -> None:
    rules = policy(("allow", "Bash", "echo *", ""), ("allow", "Write", "", "docs/**"))
    assert effect(rules, "echo x > docs/a") == "ask"  # where a link leads is not known
    assert effect(rules, "echo x 2>/dev/null") == "allow"
    denied = policy(("allow", "Bash", "", ""), ("deny", "Write", "", ".github/**"))
    assert effect(denied, "echo x > .github/workflows/ci.yml") == "deny"


@pytest.mark.parametrize(
    ("pattern", "paths", "expected"),
    [
        ("docs/**", ["docs/a/b.md"], "allow"),
        ("docs/*", ["docs/a/b.md"], "ask"),
        ("**/*.md", ["a.md"], "allow"),
        ("**", ["."], "allow"),
        ("**", ["/etc/passwd"], "ask"),
        ("docs/**", ["docs/link", "/etc/passwd"], "ask"),
        ("docs/**", ["docs/link", "src/a.py"], "ask"),
        ("/etc/*", ["/etc/passwd"], "allow"),
        ("docs/**", [], "ask"),
    ],
)
def test_a_path_is_allowed_only_as_written_and_as_it_really_is(
    pattern: str, paths: list[str], expected: str
) -> None:
    rules = policy(("allow", "Write", "", pattern))
    assert decide(rules, ToolCall("Write", paths=paths)).effect == expected


def test_a_denied_path_is_denied_through_a_link_too() -> None:
    rules = policy(("allow", "Write", "", "**"), ("deny", "Write", "", ".github/**"))
    assert decide(rules, ToolCall("Write", paths=["a", ".github/b"])).effect == "deny"


def test_the_packaged_rules_let_read_and_ask_about_the_rest() -> None:
    rules = packaged_policy()
    for line in ("ls -la", "cat a | grep b | wc -l", "cd x && pwd"):
        assert effect(rules, line) == "allow"
    for line in (
        "rm x",
        "git status",
        "find . -delete",
        "python3 x.py",
        "echo x > y",
        "cat $(rm x)",
    ):
        assert effect(rules, line) == "ask"
    assert decide(rules, ToolCall("Read", paths=["a.py"])).effect == "allow"
    assert decide(rules, ToolCall("Read", paths=["/root/.ssh/id"])).effect == "ask"
    for tool in ("Edit", "Write", "WebFetch", "Agent", "mcp__other__tool"):
        assert decide(rules, ToolCall(tool, paths=["a"])).effect == "ask"


def test_rules_that_make_no_sense_are_refused_and_others_come_back_as_they_were() -> None:
    stated = policy(("deny", "Bash", "git push *", ""), ("allow", "mcp__x__*", "", ""))
    assert stated_policy({"permission_policy": kept_policy(stated)}) == stated
    assert stated_policy({}) == packaged_policy()
    assert kept_policy(approvals_pb2.PermissionPolicy(inherited=True)) is None
    for rule in (("deny", "Edit", "x", ""), ("deny", "Bash", "x", "y"), ("deny", "Bash", " ", "")):
        with pytest.raises(InvalidArgumentError):
            kept_policy(policy(rule))

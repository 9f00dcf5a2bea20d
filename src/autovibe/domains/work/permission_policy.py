"""What tools may do without asking: the rules of a project, and how they are read.

A rule that denies wins over one that asks, and that over one that allows; what no rule is about
gets the default. A shell line is judged command by command, and is allowed only if each command
and each file that it writes is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from google.protobuf import json_format

from autovibe.domains.work.shell_line import read_shell_line
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import approvals_pb2

KEY: Final = "permission_policy"
"""Where a project's metadata has its rules: a file in the repository would be the agent's own."""
SHELL_TOOL: Final = "Bash"
_WRITING_TOOL: Final = "Write"
ALLOW: Final = "allow"
ASK: Final = "ask"
DENY: Final = "deny"
_STRENGTH: Final = {ALLOW: 0, ASK: 1, DENY: 2}

_READING_TOOLS: Final = ("Glob", "Grep", "LS", "NotebookRead", "Read")
_HARMLESS_TOOLS: Final = ("ListAgents", "TodoRead", "TodoWrite", "ToolSearch", "mcp__autovibe__*")
# Programs that only read, whatever their arguments. Not git, whose own configuration can name
# programs to run, nor find, sort or rg, which have options that run or write something.
_READING_PROGRAMS: Final = (
    "basename", "cat", "cd", "cmp", "cut", "date", "diff", "dirname", "du", "echo", "false",
    "grep", "head", "ls", "nl", "pwd", "realpath", "sha256sum", "stat", "tail", "tr", "true",
    "uname", "wc", "which",
)  # fmt: skip


@dataclass(frozen=True)
class ToolCall:
    """A call to be judged.

    `paths` are those that it names: relative ones to the workspace, absolute ones outside; each as
    written and, where links lead elsewhere, also as it really is.
    """

    tool: str
    command: str = ""
    paths: Sequence[str] = ()


@dataclass(frozen=True)
class Decision:
    """allow, ask or deny, and why, in words for people."""

    effect: str
    why: str


@dataclass(frozen=True)
class _Part:
    """One thing that a call does: run a command, or touch paths."""

    tools: tuple[str, ...]
    words: Sequence[str] | None = None
    paths: Sequence[str] = ()
    only_seen: bool = False
    """What was seen may not be all: a rule with a pattern can forbid it, and cannot allow it."""


def packaged_policy() -> approvals_pb2.PermissionPolicy:
    """Return the rules of a project that has none of its own: what only reads is allowed."""
    policy = approvals_pb2.PermissionPolicy(default_effect=ASK, inherited=True)
    for tool in _READING_TOOLS:
        policy.rules.add(effect=ALLOW, tool=tool, path="**")
    for tool in _HARMLESS_TOOLS:
        policy.rules.add(effect=ALLOW, tool=tool)
    for program in _READING_PROGRAMS:
        policy.rules.add(effect=ALLOW, tool=SHELL_TOOL, command=f"{program} *")
    return policy


def stated_policy(metadata: Mapping[str, Any]) -> approvals_pb2.PermissionPolicy:
    """Return the rules of a project."""
    own = metadata.get(KEY)
    if not own:
        return packaged_policy()
    return json_format.ParseDict(own, approvals_pb2.PermissionPolicy(), ignore_unknown_fields=True)


def kept_policy(policy: approvals_pb2.PermissionPolicy) -> dict[str, Any] | None:
    """Return rules as they are kept, `None` for those that come with autovibe.

    Raises:
        InvalidArgumentError: a rule makes no sense.
    """
    if policy.inherited:
        return None
    for number, rule in enumerate(policy.rules, 1):
        if rule.command and not fnmatchcase(SHELL_TOOL, rule.tool):
            raise InvalidArgumentError(
                f"Rule {number} names a command, which only the tool {SHELL_TOOL} has; take "
                "command out, or set tool.",
                field="policy.rules",
            )
        if rule.command and rule.path:
            raise InvalidArgumentError(
                f"Rule {number} names a command and a path; make two rules of it.",
                field="policy.rules",
            )
        if rule.command and not rule.command.split():
            raise InvalidArgumentError(
                f"The command of rule {number} is blank; take it out.", field="policy.rules"
            )
    kept = json_format.MessageToDict(policy, preserving_proto_field_name=True)
    return {"default_effect": ASK, **kept}


def decide(policy: approvals_pb2.PermissionPolicy, call: ToolCall) -> Decision:
    """Return what the rules say of a call."""
    parts, doubts = _parts(call)
    decisions = [_judge(policy, part) for part in parts]
    if doubts:
        decisions.append(_judge_doubt(policy, doubts))
    return max(decisions, key=lambda one: _STRENGTH[one.effect])


def _parts(call: ToolCall) -> tuple[list[_Part], list[str]]:
    if call.tool != SHELL_TOOL:
        return [_Part((call.tool,), paths=call.paths)], []
    line = read_shell_line(call.command)
    parts = [_Part((SHELL_TOOL,), words=words) for words in line.commands]
    parts += [
        _Part((_WRITING_TOOL, SHELL_TOOL), paths=[path], only_seen=True) for path in line.writes
    ]
    doubts = list(line.doubts)
    if line.writes and line.changes_directory:
        doubts.append("it writes a file after it changed the directory")
    return parts or [_Part((SHELL_TOOL,), words=())], doubts


def _judge(policy: approvals_pb2.PermissionPolicy, part: _Part) -> Decision:
    matching = [rule for rule in policy.rules if _matches(rule, part)]
    if not matching:
        return Decision(policy.default_effect or ASK, f"no rule is about {_named(part)}")
    strongest = max(matching, key=lambda rule: _STRENGTH[rule.effect])
    return Decision(strongest.effect, rule_text(strongest))


def _judge_doubt(policy: approvals_pb2.PermissionPolicy, doubts: Iterable[str]) -> Decision:
    """Judge a line of which not everything can be seen: as if the worst stood in it."""
    why = "the line is not plain: " + ", ".join(doubts)
    rules = [rule for rule in policy.rules if fnmatchcase(SHELL_TOOL, rule.tool)]
    restricted = any(rule.effect != ALLOW for rule in rules)
    whole = any(rule.effect == ALLOW and not (rule.command or rule.path) for rule in rules)
    is_free = whole or (policy.default_effect == ALLOW)
    return Decision(ALLOW if is_free and not restricted else ASK, why)


def _matches(rule: approvals_pb2.PermissionRule, part: _Part) -> bool:
    if not any(fnmatchcase(tool, rule.tool) for tool in part.tools):
        return False
    allows = rule.effect == ALLOW
    if rule.command:
        return part.words is not None and _fits_words(rule.command, part.words, exact=allows)
    if rule.path:
        if part.only_seen and allows:
            return False
        fits = [_path_pattern(rule.path).fullmatch(path) is not None for path in part.paths]
        return bool(fits) and (all(fits) if allows else any(fits))
    # A rule about a whole tool that writes says nothing yet of what a shell line may run.
    return SHELL_TOOL not in part.tools or fnmatchcase(SHELL_TOOL, rule.tool)


def _fits_words(pattern: str, words: Sequence[str], *, exact: bool) -> bool:
    """Return whether a command fits a pattern, word by word; a last `*` is for all that follows.

    Args:
        pattern: words with `*`, `?` and `[...]`.
        words: of the command.
        exact: the program is called by this very name; else also by a path that ends in it.
    """
    wanted = pattern.split()
    open_end = wanted[-1] == "*"
    fixed = wanted[:-1] if open_end else wanted
    if len(words) < len(fixed) or (len(words) > len(fixed) and not open_end):
        return False
    given = list(words[: len(fixed)])
    if all(fnmatchcase(word, one) for word, one in zip(given, fixed, strict=True)):
        return True
    if exact or not given:
        return False
    given[0] = given[0].rpartition("/")[2]
    return all(fnmatchcase(word, one) for word, one in zip(given, fixed, strict=True))


@lru_cache(maxsize=1024)
def _path_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern of paths: `**` crosses directories, `*` does not.

    A relative pattern fits nothing outside the workspace.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:[^/]+/)*" if out else "(?!/)(?:[^/]+/)*")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*" if out else "(?!/).*")
            at += 2
        else:
            char = pattern[at]
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)))
            at += 1
    return re.compile("".join(out), re.DOTALL)


def rule_text(rule: approvals_pb2.PermissionRule) -> str:
    """Return a rule in words for people."""
    about = rule.command or rule.path
    return f"the rule to {rule.effect} {rule.tool}{f' {about}' if about else ''}"


def _named(part: _Part) -> str:
    if part.words:
        return f"the command {part.words[0]}"
    return f"{part.tools[0]} {', '.join(part.paths)}".strip()

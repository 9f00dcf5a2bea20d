"""What waits for a person, as people read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from google.protobuf import json_format

from autovibe.cli.render import moment, short
from autovibe.kernel.text import printable
from autovibe.v1 import approvals_pb2, work_pb2

_LABEL: Final = 11
_NEED_BUDGET: Final = frozenset({"BUDGET_EXHAUSTED", "BUDGET_HELD", "NO_BUDGET"})
_ASKS: Final = {
    "start": "to begin a task",
    "tool_use": "to use a tool",
    "question": "a question",
    "apply": "to apply a result",
    "budget": "for more budget",
}


def approval_lines(one: approvals_pb2.Approval) -> list[str]:
    """Return a request in lines for people, with all that is asked and nothing cut."""
    lines = [f"{short(one.id)}  asks {_ASKS.get(one.kind, one.kind)}"]
    if one.status != "open":
        lines[0] += f" · {one.status} {_answered(one)}".rstrip()
    pairs = [
        ("task", f"{short(one.task_id)} {one.task_title}"),
        ("project", one.project_name),
        *_asked(one),
        ("since", f"{moment(one.created_at)} UTC"),
    ]
    if one.status == "open":
        default = one.default_answer or "no answer"
        pairs.append(("until", f"{moment(one.deadline_at)} UTC, then: {default}"))
    return lines + _labelled(pairs)


def stopped_lines(task: work_pb2.Task) -> list[str]:
    """Return what a person has to know of a task that was stopped and waits for a word."""
    needs_budget = task.block_reason in _NEED_BUDGET
    more = " --budget AMOUNT" if needs_budget else ""
    return [
        f"{short(task.id)}  was stopped: {task.block_reason}",
        *_labelled(
            [
                ("task", printable(task.title, one_line=True)),
                ("since", f"{moment(task.updated_at)} UTC"),
                ("go on", f"autovibe task resume {short(task.id)}{more}"),
            ]
        ),
    ]


def _labelled(pairs: Sequence[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for label, text in pairs:
        rows = text.splitlines() if text else []
        lines += [f"  {label if not at else '':<{_LABEL}}{row}" for at, row in enumerate(rows)]
    return lines


def _asked(one: approvals_pb2.Approval) -> list[tuple[str, str]]:
    details = one.details
    asked: list[tuple[str, str]] = []
    if details.tool:
        asked.append(("tool", details.tool))
    given = json_format.MessageToDict(details.input)
    asked += [(name, _value(value)) for name, value in given.items()]
    if details.cwd:
        asked.append(("in", details.cwd))
    if details.text:
        asked.append(("why" if one.kind == "tool_use" else "text", _escaped(details.text)))
    if details.amount:
        asked.append(("amount", f"{details.amount} {details.unit}".strip()))
    if one.kind == "question" and one.options:
        asked.append(("options", _escaped(", ".join(one.options))))
    return asked


def _value(value: object) -> str:
    return _escaped(value) if isinstance(value, str) else json.dumps(value)


def _escaped(text: str) -> str:
    """Escape everything but line ends, each of which begins a line of ours."""
    return "\n".join(printable(line, one_line=True) for line in text.split("\n"))


def _answered(one: approvals_pb2.Approval) -> str:
    given = one.answer
    told = " ".join(part for part in (given.choice, given.text) if part)
    by = f"by {given.by}" if given.by else ""
    return f"{by}: {told}" if told else by

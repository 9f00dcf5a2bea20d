"""The lines of a task's log as people see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from google.protobuf import json_format

from autovibe.cli.output import one_line
from autovibe.cli.render import cad, plural, short, size
from autovibe.kernel.units import duration_text
from autovibe.v1 import work_pb2

Tone = Literal["plain", "dim", "good", "warn", "bad", "strong"]
Details = Mapping[str, object]

LABEL_WIDTH: Final = 12
_MOST_LINES: Final = 12
_MOST_DIM_LINES: Final = 5


@dataclass(frozen=True)
class Line:
    """One line for people: what it is about, its text (printable already), how it is to look."""

    label: str
    text: str
    tone: Tone = "plain"

    def plain(self) -> str:
        """Return the line without any colour."""
        return f"{self.label:<{LABEL_WIDTH}}{self.text}".rstrip()


def event_lines(entry: work_pb2.LogEntry, *, whole: bool = False) -> list[Line]:
    """Return a log line as lines for people, control characters escaped (decision C13).

    Args:
        entry: the line as it was logged.
        whole: show all of it, however long; else it is cut, with a line that says so.
    """
    details = cast("Details", json_format.MessageToDict(entry.event.details))
    writer = _WRITERS.get(entry.event.kind, _notice)
    head = writer(entry, details)
    lines = head.text.splitlines() or [""]
    most_lines = _MOST_DIM_LINES if head.tone == "dim" else _MOST_LINES
    hidden = 0 if whole else max(0, len(lines) - most_lines)
    lines = lines[: len(lines) - hidden]
    shown = [
        Line(head.label if not number else "", one_line(text), head.tone)
        for number, text in enumerate(lines)
    ]
    if hidden:
        shown.append(Line("", f"… {plural(hidden, 'more line')} (autovibe logs)", "dim"))
    return shown


def _state(entry: work_pb2.LogEntry, details: Details) -> Line:
    status = text_of(details, "status")
    model, reason = text_of(details, "model"), text_of(details, "reason")
    parts = [
        entry.message or text_of(details, "message") or status.replace("_", " "),
        f"model {model}" if model else "",
        _limits(details.get("enforced")),
        # That a completed task was COMPLETED is no news.
        reason if reason.lower() != status else "",
    ]
    return Line("machine", _joined(parts), _STATE_TONES.get(status, "strong"))


_STATE_TONES: Final[Mapping[str, Tone]] = {
    "completed": "good",
    "failed": "bad",
    "timed_out": "bad",
    "paused": "warn",
}


def _limits(enforced: object) -> str:
    """Return which limits hold, and who enforces them."""
    if isinstance(enforced, dict):
        pairs = cast("dict[str, object]", enforced).items()
        shown = [f"{name} {how}" for name, how in pairs]
    elif isinstance(enforced, list):
        shown = [str(item).replace(":", "") for item in cast("list[object]", enforced)]
    else:
        return ""
    return f"limits: {', '.join(shown)}" if shown else ""


def _joined(parts: Sequence[str]) -> str:
    return " · ".join(part for part in parts if part)


def _call(entry: work_pb2.LogEntry, details: Details) -> Line:
    status = text_of(details, "status")
    parts = [text_of(details, "model") or "model"]
    if status != "settled":
        parts.append(status)
    cost = text_of(details, "cost_cad")
    if cost and status not in {"refused", "released"}:
        budget = text_of(details, "budget_cad")
        of = f" of {cad(budget)}" if budget else ""
        parts.append(f"{cad(cost)} CAD (spent {cad(text_of(details, 'spent_cad') or '0')}{of})")
    if tokens := _tokens(details):
        parts.append(tokens)
    if (duration := number_of(details, "duration_ms")) > 0:
        parts.append(duration_text(duration / 1000))
    if (held := number_of(details, "held_back_ms")) > 0:
        parts.append(f"{held:.0f} ms held back for the checkpoint")
    if clamped := number_of(details, "clamped_max_tokens"):
        parts.append(f"answer limited to {clamped:,.0f} tokens by the budget")
    if reason := text_of(details, "reason"):
        parts.append(reason)
    if message := text_of(details, "message") or (entry.message if status == "refused" else ""):
        parts.append(message)
    tone: Tone = "bad" if status == "refused" else "warn" if status == "uncertain" else "plain"
    return Line("call", _joined(parts), tone)


def _tokens(details: Details) -> str:
    given, cached = number_of(details, "input_tokens"), number_of(details, "cache_read_tokens")
    made = number_of(details, "output_tokens")
    if not (given or cached or made):
        return ""
    from_cache = f" + {cached:,.0f} cached" if cached else ""
    return f"{given:,.0f}{from_cache} in, {made:,.0f} out"


def _checkpoint(entry: work_pb2.LogEntry, details: Details) -> Line:
    del entry
    changed = int(number_of(details, "files_changed"))
    paths = details.get("changed_paths")
    names = [str(path) for path in cast("list[object]", paths)] if isinstance(paths, list) else []
    files = "nothing changed"
    if changed:
        more = ", …" if changed > len(names) else ""
        listed = f" ({', '.join(names)}{more})" if names else ""
        files = f"{plural(changed, 'file')} changed{listed}"
    consistency = text_of(details, "consistency")
    verified = bool(details.get("verified"))
    parts = [
        short(text_of(details, "checkpoint_id")),
        text_of(details, "checkpoint_type"),
        files,
        f"{plural(int(number_of(details, 'file_count')), 'file')} in all",
        f"+{size(number_of(details, 'stored_bytes'))}",
        "verified" if verified else "NOT verified",
        "" if consistency == "exact" else consistency.replace("_", " "),
        f"{number_of(details, 'duration_ms'):.0f} ms",
    ]
    return Line("checkpoint", _joined(parts), "good" if verified else "bad")


def _approval(entry: work_pb2.LogEntry, details: Details) -> Line:
    tones: dict[str, Tone] = {"waiting": "warn", "allowed": "good", "denied": "bad"}
    return Line("approval", entry.message, tones.get(text_of(details, "status"), "plain"))


_AGENT: Final[Mapping[str, tuple[str, Tone]]] = {
    "message": ("says", "strong"),
    "reasoning": ("thinks", "dim"),
    "command": ("runs", "plain"),
    "file_edit": ("edits", "plain"),
    "tool": ("uses", "plain"),
    "tool_result": ("gets", "dim"),
    "usage": ("used", "dim"),
    "error": ("fails", "bad"),
    "retry": ("retries", "warn"),
    "notice": ("agent", "dim"),
}


def _agent(entry: work_pb2.LogEntry, details: Details) -> Line:
    label, tone = _AGENT.get(text_of(details, "event"), ("agent", "plain"))
    return Line(label, entry.message, tone)


def _output(entry: work_pb2.LogEntry, details: Details) -> Line:
    del details
    return Line("output", entry.message, "dim")


def _notice(entry: work_pb2.LogEntry, details: Details) -> Line:
    del details
    tones: dict[str, Tone] = {"WARNING": "warn", "ERROR": "bad", "CRITICAL": "bad"}
    return Line("note", entry.message, tones.get(entry.level, "plain"))


_WRITERS: Final[Mapping[str, Callable[[work_pb2.LogEntry, Details], Line]]] = {
    "state": _state,
    "call": _call,
    "checkpoint": _checkpoint,
    "approval": _approval,
    "agent": _agent,
    "output": _output,
    "notice": _notice,
}


def text_of(details: Details, name: str) -> str:
    """Return a detail as text, "" when it is missing."""
    value = details.get(name)
    return "" if value is None else str(value)


def number_of(details: Details, name: str) -> float:
    """Return a detail as a number, 0 when it is missing or none."""
    value = details.get(name)
    return value if isinstance(value, float) else 0.0

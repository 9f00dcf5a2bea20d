"""Read the event stream of Claude Code (`--output-format stream-json`)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from autovibe.agents.json_shape import (
    JsonObject,
    as_array,
    as_object,
    as_objects,
    as_text,
    as_whole,
)
from autovibe.domains.machines.agent import AgentEvent, AgentOutcome, EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TEXT: Final = 64 * 1024
"""Characters kept of one event; its end is cut, and says so."""
_MAX_GARBAGE: Final = 500
_EDIT_TOOLS: Final = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
_SYNTHETIC_MODEL: Final = "<synthetic>"
_SIGNAL_BASE: Final = 128


class ClaudeOutputReader:
    """Reads one run. Its output comes out of a machine: any line may be forged or garbage."""

    def __init__(self) -> None:
        """Start before the first line."""
        self._result: JsonObject | None = None
        self._session_id: str | None = None
        self.heard: list[str] = []
        self.turns_ended = 0

    def feed(self, line: bytes) -> Sequence[AgentEvent]:
        """Take one line and return what it tells; garbage becomes a `notice`."""
        if not line.strip():
            return ()
        try:
            message = as_object(json.loads(line, parse_constant=_no_constant, parse_float=_finite))
            return self._events(message) if message else (_garbage(line),)
        except (ValueError, RecursionError):
            return (_garbage(line),)

    def _events(self, message: JsonObject) -> Sequence[AgentEvent]:
        kind = as_text(message.get("type"))
        self._session_id = as_text(message.get("session_id")) or self._session_id
        if kind == "assistant":
            return _assistant_events(message)
        if kind == "user":
            return _result_events(message)
        if kind == "system":
            return _system_events(message)
        if kind == "result":
            # With background sub-agents there are several, and one for each turn that a message
            # began; the last one is about the whole run.
            self._result = message
            self.turns_ended += 1
            return _end_events(message)
        if kind == "command_lifecycle" and message.get("state") == "started":
            self.heard.append(as_text(message.get("command_uuid")))
        return ()

    def outcome(self, exit_code: int) -> AgentOutcome:
        """Return the agent's account: finished only with a clean final event and exit status 0.

        The final event says `"subtype": "success"` for a failed model call too, with `is_error`.
        """
        if self._result is None:
            message = f"Claude Code ended without saying that it is done ({_exit_text(exit_code)})."
            return AgentOutcome(
                finished=False, is_error=True, message=message, session_id=self._session_id
            )
        result = self._result
        subtype = as_text(result.get("subtype"))
        failed = result.get("is_error") is not False or subtype != "success"
        errors = [as_text(error) for error in as_array(result.get("errors"))]
        account = [as_text(result.get("result")), *errors]
        message = _bounded("; ".join(text for text in account if text))
        if failed:
            message = (
                message or as_text(result.get("terminal_reason")) or subtype or "unknown error"
            )
        elif exit_code != 0:
            message = f"Claude Code said that it is done, but it failed ({_exit_text(exit_code)})."
        return AgentOutcome(
            finished=not failed and exit_code == 0,
            is_error=failed or exit_code != 0,
            message=_clean_text(message),
            status=as_whole(result.get("api_error_status")),
            session_id=self._session_id,
            turns=as_whole(result.get("num_turns")),
        )


def _no_constant(name: str) -> object:
    """Refuse NaN and the infinities, which no database takes as JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(name)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _exit_text(code: int) -> str:
    signal = code - _SIGNAL_BASE
    return f"signal {signal}" if 0 < signal < 65 else f"exit status {code}"


def _clean_text(text: str) -> str:
    """Replace what no database stores as text: NUL and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _clean_text(value)
    fields, items = as_object(value), as_array(value)
    if fields:
        return {_clean_text(key): _clean(item) for key, item in fields.items()}
    return [_clean(item) for item in items] if items else value


def _bounded(text: str, limit: int = MAX_TEXT) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def _event(kind: EventKind, text: str, *, call: str | None = None, **details: object) -> AgentEvent:
    cleaned = {key: _clean(value) for key, value in details.items() if value is not None}
    return AgentEvent(kind, _clean_text(_bounded(text)), call and _clean_text(call), cleaned)


def _garbage(line: bytes) -> AgentEvent:
    text = line[: 4 * _MAX_GARBAGE].decode("utf-8", "replace").rstrip("\r\n")
    return _event("notice", _bounded(text, _MAX_GARBAGE), bytes=len(line), unparsed=True)


def _parent(message: JsonObject) -> str | None:
    return as_text(message.get("parent_tool_use_id")) or None


def _assistant_events(message: JsonObject) -> list[AgentEvent]:
    body = as_object(message.get("message"))
    synthetic = body.get("model") == _SYNTHETIC_MODEL
    parent = _parent(message)
    found: list[AgentEvent] = []
    for block in as_objects(body.get("content")):
        kind = block.get("type")
        if kind == "text" and as_text(block.get("text")):
            said: EventKind = "notice" if synthetic else "message"
            found.append(_event(said, as_text(block.get("text")), parent=parent))
        elif kind == "thinking" and as_text(block.get("thinking")):
            found.append(_event("reasoning", as_text(block.get("thinking")), parent=parent))
        elif kind == "tool_use":
            found.append(_tool_event(block, parent))
    return found


def _tool_event(block: JsonObject, parent: str | None) -> AgentEvent:
    tool = as_text(block.get("name")) or "unknown"
    call = as_text(block.get("id")) or None
    given = as_object(block.get("input"))
    written = json.dumps(given)
    kept = given if len(written) <= MAX_TEXT else {"omitted_characters": len(written)}
    path = as_text(given.get("file_path")) or as_text(given.get("notebook_path"))
    if tool == "Bash":
        kind, text = "command", as_text(given.get("command"))
    elif tool in _EDIT_TOOLS:
        kind, text = "file_edit", path
    else:
        kind, text = "tool", f"{tool} {path or written}"
    return _event(kind, text, call=call, tool=tool, input=kept, path=path or None, parent=parent)


def _result_events(message: JsonObject) -> list[AgentEvent]:
    found: list[AgentEvent] = []
    for block in as_objects(as_object(message.get("message")).get("content")):
        if block.get("type") != "tool_result":
            continue
        content = block.get("content")
        texts = [as_text(part.get("text")) for part in as_objects(content)]
        text = as_text(content) or "\n".join(text for text in texts if text)
        call = as_text(block.get("tool_use_id")) or None
        failed = block.get("is_error") is True
        found.append(
            _event("tool_result", text, call=call, is_error=failed, parent=_parent(message))
        )
    return found


def _system_events(message: JsonObject) -> list[AgentEvent]:
    subtype = message.get("subtype")
    if subtype == "api_retry":
        return [_retry_event(message)]
    if subtype == "permission_denied":
        tool = as_text(message.get("tool_name")) or "a tool"
        return [_event("notice", f"The use of {tool} was denied.", tool=tool)]
    return []


def _end_events(message: JsonObject) -> list[AgentEvent]:
    """Return what the last event of a run tells: what it used, and why it failed if it did."""
    usage = as_object(message.get("usage"))
    given, made = as_whole(usage.get("input_tokens")), as_whole(usage.get("output_tokens"))
    cached = as_whole(usage.get("cache_read_input_tokens"))
    found: list[AgentEvent] = []
    if given is not None or made is not None:
        text = f"{given or 0:,} tokens in, {cached or 0:,} cached, {made or 0:,} out"
        found.append(
            _event("usage", text, input_tokens=given, output_tokens=made, cache_read_tokens=cached)
        )
    if message.get("is_error") is True:
        text = as_text(message.get("result")) or as_text(message.get("subtype")) or "unknown error"
        found.append(_event("error", text, status=as_whole(message.get("api_error_status"))))
    return found


def _retry_event(message: JsonObject) -> AgentEvent:
    attempt, most = as_whole(message.get("attempt")), as_whole(message.get("max_retries"))
    status, delay = as_whole(message.get("error_status")), message.get("retry_delay_ms")
    delay_s = delay / 1000 if isinstance(delay, int | float) and abs(delay) < 1e9 else None
    error = as_text(message.get("error"))
    reason = " ".join(str(part) for part in (status, error) if part) or "no answer"
    wait = "" if delay_s is None else f" in {delay_s:.1f} s"
    text = f"A model call failed ({reason}); try {attempt} of {most} follows{wait}."
    return _event("retry", text, attempt=attempt, max_retries=most, status=status, delay_s=delay_s)

"""Which tools failed, as the newest results in a request tell: the same for every agent program.

Only the Messages and the Gemini API have a mark for an error. The others send what the tool has
written, and programs put an exit code or the word Error into it: that is read here, and no more, so
that a result which merely speaks of errors is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, cast

from autovibe.domains.metering import ToolError
from autovibe.gateway.dialect import Json
from autovibe.gateway.policy import as_json, objects

_NOTHING: Final[Json] = {}
_LONGEST: Final = 500
_LOOKED_AT: Final = 20_000
_EXIT: Final = re.compile(
    r"^\W{0,4}(?:process )?exit(?:ed with)?[ _](?:code|status)\W{1,4}(-?\d+)",
    re.IGNORECASE | re.MULTILINE,
)
_ERROR: Final = re.compile(
    r"\s*(?:error\b|<tool_use_error>|failed to |fatal: |traceback \(most recent call last)",
    re.IGNORECASE,
)


def messages_errors(messages: object) -> tuple[ToolError, ...]:
    """Return the results that the newest messages of the Messages API mark as errors."""
    results: list[Json] = []
    names: dict[str, str] = {}
    for message in reversed(objects(messages)):
        blocks = objects(message.get("content"))
        if message.get("role") == "assistant":
            names = _names((block.get("id"), block.get("name")) for block in blocks)
            break
        results[:0] = [block for block in blocks if block.get("type") == "tool_result"]
    return tuple(
        _error(result.get("tool_use_id"), names, text_of(result.get("content")))
        for result in results
        if result.get("is_error") is True
    )


def chat_errors(messages: object) -> tuple[ToolError, ...]:
    """Return the results in the newest messages of Chat Completions that tell of an error."""
    results: list[Json] = []
    names: dict[str, str] = {}
    for message in reversed(objects(messages)):
        if message.get("role") == "assistant":
            calls = objects(message.get("tool_calls"))
            names = _names(
                (one.get("id"), as_json(one.get("function")).get("name")) for one in calls
            )
            break
        if message.get("role") == "tool":
            results.insert(0, message)
    return tuple(
        _error(one.get("tool_call_id"), names, text)
        for one in results
        if tells_of_error(text := text_of(one.get("content")))
    )


def responses_errors(items: object, outputs: Collection[str]) -> tuple[ToolError, ...]:
    """Return the results at the end of the input of Responses that tell of an error.

    Args:
        items: the input.
        outputs: the types of items that are results.
    """
    given = objects(items)
    first = len(given)
    while first and given[first - 1].get("type") in outputs:
        first -= 1
    wanted = {item.get("call_id") for item in given[first:]}
    called = (item for item in given[:first] if item.get("call_id") in wanted)
    names = _names((item.get("call_id"), item.get("name")) for item in called)
    return tuple(
        _error(item.get("call_id"), names, text)
        for item in given[first:]
        if tells_of_error(text := text_of(item.get("output")))
    )


def gemini_errors(results: Iterable[Json]) -> tuple[ToolError, ...]:
    """Return the function responses of the Gemini API that are errors, or tell of one."""
    found: list[ToolError] = []
    for result in results:
        response = as_json(result.get("response"))
        error = response.get("error")
        text = text_of(error or response.get("output"))
        if error or tells_of_error(text):
            name = str(result.get("name") or "")
            found.append(_error(result.get("id"), {str(result.get("id")): name}, text))
    return tuple(found)


def tells_of_error(text: str) -> bool:
    """Return whether what a tool has written is about its own failure."""
    looked_at = text[:_LOOKED_AT]
    if looked_at.startswith("{"):
        try:
            told: Json = as_json(json.loads(text))
        except (ValueError, RecursionError):
            told = _NOTHING
        code = as_json(told.get("metadata")).get("exit_code", told.get("exit_code"))
        if isinstance(code, int):
            return code != 0
    found = _EXIT.search(looked_at)
    return int(found[1]) != 0 if found else _ERROR.match(looked_at) is not None


def text_of(content: object) -> str:
    """Return the text of a result: a text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return json.dumps(cast("Json", content), sort_keys=True)
    texts = (part.get("text") for part in objects(content))
    return "\n".join(text for text in texts if isinstance(text, str))


def _names(pairs: Iterable[tuple[object, object]]) -> dict[str, str]:
    return {str(key): name for key, name in pairs if isinstance(name, str)}


def _error(call_id: object, names: Mapping[str, str], text: str) -> ToolError:
    known = call_id if isinstance(call_id, str) else ""
    return ToolError(known, names.get(str(call_id), "") or "a tool", text[:_LONGEST])

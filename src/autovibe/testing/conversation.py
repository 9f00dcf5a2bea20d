"""A request to the model server, and where in its script the conversation stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from autovibe.agents.json_shape import JsonObject, as_array, as_object, as_objects, as_text
from autovibe.testing.scripts import Script, Text, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOOL_ID: Final = re.compile(r"^toolu_t(\d{1,9})b\d")
_CWD_LINE: Final = re.compile(r"(?:[Ww]orking directory|\bcwd)[^\n:]{0,40}:[ \t]*(/[^\n<\"]*)")
_REMINDER: Final = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_BYTES_PER_TOKEN: Final = 4


def tool_use_id(turn: int, block: int, unique: str) -> str:
    """Return the id of a tool call; the turn is part of it, so that the next request tells it."""
    return f"toolu_t{turn:04d}b{block}{unique}"


@dataclass(frozen=True)
class ModelRequest:
    """One request in the Anthropic Messages dialect.

    `size_bytes` is the length of the body as it came; `default_cwd` stands in when the request
    says nothing about the agent's working directory.
    """

    body: JsonObject
    headers: Mapping[str, str]
    size_bytes: int
    default_cwd: str = "/workspace"

    @property
    def model(self) -> str:
        """The model asked for."""
        return as_text(self.body.get("model"))

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int:
        """The most output tokens that may be billed."""
        value = self.body.get("max_tokens")
        return value if isinstance(value, int) else 0

    @cached_property
    def messages(self) -> list[JsonObject]:
        """The conversation so far, without messages that some models get with the role `system`."""
        every = as_objects(self.body.get("messages"))
        return [message for message in every if message.get("role") != "system"]

    @property
    def estimated_tokens(self) -> int:
        """The input tokens of this request, as `count_tokens` gives them: never above its bytes."""
        return max(1, self.size_bytes // _BYTES_PER_TOKEN)

    @cached_property
    def cwd(self) -> str:
        """The agent's working directory, from what it says of its environment."""
        for text in self._texts():
            found = _CWD_LINE.search(text)
            if found:
                return found[1].strip().rstrip("/") or "/"
        return self.default_cwd

    @cached_property
    def prompt(self) -> str:
        """The first thing that the user wrote, without what the agent put around it."""
        for message in self.messages:
            if message.get("role") == "user":
                for text in reversed(list(_block_texts(message.get("content")))):
                    bare = _REMINDER.sub("", text).strip()
                    if bare:
                        return bare
        return ""

    @property
    def tools(self) -> frozenset[str] | None:
        """The names of the offered tools; `None` when the request does not speak of tools."""
        if "tools" not in self.body:
            return None
        return frozenset(as_text(tool.get("name")) for tool in as_objects(self.body["tools"]))

    def _texts(self) -> Iterator[str]:
        yield from _block_texts(self.body.get("system"))
        for message in as_objects(self.body.get("messages")):
            if message.get("role") != "assistant":
                yield from _block_texts(message.get("content"))

    def fill(self, value: object) -> object:
        """Return plain data with `{{cwd}}` and `{{prompt}}` in its strings replaced."""
        if isinstance(value, str):
            return value.replace("{{cwd}}", self.cwd).replace("{{prompt}}", self.prompt)
        fields, items = as_object(value), as_array(value)
        if fields:
            return {key: self.fill(item) for key, item in fields.items()}
        return [self.fill(item) for item in items] if items else value


def _block_texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in as_objects(content):
        if block.get("type") == "text":
            yield as_text(block.get("text"))


def position(script: Script, request: ModelRequest) -> int:
    """Return the index of the turn that answers this request; it may be past the end.

    A tool call of ours names its turn. A message without one counts when the script has a turn
    without tools there, which leaves out what agents add themselves ("API Error: ...").
    """
    index = 0
    for message in request.messages:
        if message.get("role") != "assistant":
            continue
        blocks = as_objects(message.get("content"))
        calls = [as_text(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
        turns = [int(found[1]) for found in map(_TOOL_ID.match, calls) if found]
        if turns:
            index = max(turns) + 1
        elif calls or (index < len(script.turns) and not script.turns[index].calls_tools):
            index += 1
    return index


def turn_for(script: Script, index: int, request: ModelRequest) -> Turn:
    """Return the turn at `index`, or a text that says why there is none."""
    if index >= len(script.turns):
        return Turn((Text("The script has ended; nothing is left to do."),))
    turn = script.turns[index]
    wanted = {block.name for block in turn.blocks if block.type == "tool_use"}
    offered = request.tools
    if offered is not None and not wanted <= offered:
        missing = ", ".join(sorted(wanted - offered))
        return Turn((Text(f"The script needs tools that this request does not offer: {missing}."),))
    return turn


def validate(request: ModelRequest) -> str | None:
    """Return what the real provider would refuse about a request, or `None`."""
    body = request.body
    if not request.model:
        return "model: Field required"
    if not isinstance(body.get("max_tokens"), int) or request.max_tokens < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    if not request.messages:
        return "messages: at least one message is required"
    return _unanswered_call(request.messages)


def validate_count(request: ModelRequest) -> str | None:
    """Return what the real provider would refuse about a request to count tokens, or `None`."""
    if not request.model:
        return "model: Field required"
    return None if request.messages else "messages: at least one message is required"


def _unanswered_call(messages: list[JsonObject]) -> str | None:
    """Find a tool call without a result in the next message, or a result without its call."""
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        blocks = as_objects(message.get("content"))
        results = {as_text(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"}
        if open_calls - results:
            missing = ", ".join(sorted(open_calls - results))
            return (
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {missing}"
            )
        if results - open_calls:
            extra = ", ".join(sorted(results - open_calls))
            return f"messages.{number}: unexpected `tool_use_id` found in `tool_result`: {extra}"
        is_answer = message.get("role") == "assistant"
        uses = (as_text(b.get("id")) for b in blocks if b.get("type") == "tool_use" and is_answer)
        open_calls = set(uses)
    return f"messages: tool calls without results: {sorted(open_calls)}" if open_calls else None


def conversation_key(request: ModelRequest, index: int) -> str:
    """Return what retries of one turn have in common, in a resumed session too.

    Agents name their session in `metadata.user_id`; others are told apart by their prompt.
    """
    user = as_text(as_object(request.body.get("metadata")).get("user_id"))
    return json.dumps([index, user, request.prompt])

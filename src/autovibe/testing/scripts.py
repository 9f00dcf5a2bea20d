"""Scripts: what the scripted model server answers, as plain data.

A script is a list of turns. Which turn answers a request is read from the conversation in that
request (`conversation.py`), so a script needs no memory: retries, resumed sessions and several
agents at once get the right turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from autovibe.kernel.errors import InvalidArgumentError

_STRICT: Final = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_Count: TypeAlias = Annotated[int, Field(ge=0)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0)]
ToolInput: TypeAlias = Callable[[Any], Mapping[str, object]]
"""Takes a `conversation.ModelRequest`, which cannot be named here: it is made of scripts."""


@dataclass(frozen=True, config=_STRICT)
class Usage:
    """What one answer costs, in tokens.

    `input_tokens` of `None` is a quarter of the request's bytes, as `count_tokens` says too. The
    two kinds of cache creation are those for five minutes and for one hour.
    """

    input_tokens: _Count | None = None
    output_tokens: _Count = 80
    cache_creation_input_tokens: _Count = 0
    cache_creation_1h_input_tokens: _Count = 0
    cache_read_input_tokens: _Count = 0
    service_tier: str = "standard"
    reasoning_tokens: _Count = 0


@dataclass(frozen=True, config=_STRICT)
class Fault:
    """How the server misbehaves at one turn.

    Events are the server-sent events of a streamed answer, counted from its `message_start`.
    """

    status: Annotated[int, Field(ge=400, le=599)] | None = None
    """Answer with this HTTP status instead; nothing is billed."""
    error_type: str = "api_error"
    message: str = "The script asks for this failure."
    body: dict[str, Any] | None = None
    """The whole error body, in place of the one made of `error_type` and `message`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers added to the answer, for example `retry-after`."""
    cut_after_events: _Count | None = None
    """Drop the connection after so many events."""
    hang_after_events: _Count | None = None
    """Send so many events and then nothing more; 0 sends not even the headers."""
    first_byte_delay_s: _Seconds = 0
    event_delay_s: _Seconds = 0
    billed_output_tokens: _Count | None = None
    """Bill this many output tokens, whatever `max_tokens` allows."""
    reported_usage: dict[str, Any] | None = None
    """Fields put over the usage that is reported, but not over what is billed."""
    no_usage: bool = False
    """Report no usage at all."""
    times: Annotated[int, Field(ge=1)] | None = None
    """Only for the first so many requests of this turn of a conversation; `None` is for all."""


@dataclass(frozen=True, config=_STRICT)
class Text:
    """A block of text. `{{cwd}}` and `{{prompt}}` in it are filled in from the request."""

    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, config=_STRICT)
class Thinking:
    """A block of reasoning."""

    thinking: str
    type: Literal["thinking"] = "thinking"


@dataclass(frozen=True, config=_STRICT)
class ToolUse:
    """A call of a tool of the agent.

    `input` is plain data, in whose strings `{{cwd}}` and `{{prompt}}` are filled in from the
    request, or a function of the request.
    """

    name: str
    input: dict[str, Any] | ToolInput = Field(default_factory=dict)
    type: Literal["tool_use"] = "tool_use"


Block: TypeAlias = Annotated[Text | Thinking | ToolUse, Field(discriminator="type")]


@dataclass(frozen=True, config=_STRICT)
class Turn:
    """One answer of the model."""

    blocks: tuple[Block, ...]
    usage: Usage = Field(default_factory=Usage)
    fault: Fault | None = None
    stop_reason: str | None = None
    """`None` is `tool_use` when a tool is called, else `end_turn`."""

    @property
    def calls_tools(self) -> bool:
        """Whether a tool is called, so that the agent will come back with its result."""
        return any(isinstance(block, ToolUse) for block in self.blocks)


@dataclass(frozen=True, config=_STRICT)
class Script:
    """A conversation, from the model's side. After the last turn its answers are short texts."""

    turns: tuple[Turn, ...]
    name: str = "script"


_SCRIPT_JSON: Final = TypeAdapter(Script)


def bash(command: str, description: str = "", *, say: str = "", usage: Usage | None = None) -> Turn:
    """Return a turn that runs one shell command, after saying something."""
    call = ToolUse("Bash", {"command": command, "description": description or command[:60]})
    blocks = (Text(say), call) if say else (call,)
    return Turn(blocks, usage or Usage())


def plain_text(text: str = "Nothing had to be done.", usage: Usage | None = None) -> Script:
    """Return a script that only answers."""
    return Script((Turn((Text(text),), usage or Usage()),), name="plain_text")


def steps(count: int, usage: Usage | None = None) -> Script:
    """Return a script of `count` shell calls, each of which appends one line to `steps.txt`."""
    turns = [
        bash(f"echo step {number} >> steps.txt", f"Step {number}", usage=usage)
        for number in range(1, count + 1)
    ]
    last = Turn((Text(f"All {count} steps are done."),), usage or Usage())
    return Script((*turns, last), name=f"steps:{count}")


TEST_COMMAND: Final = "python3 -m unittest -q test_calc"


def fix_failing_test() -> Script:
    """Return the script of the demo: it repairs the repository of `make_demo_repository`.

    One call writes `build.log`, which that repository ignores: only a checkpoint of the whole tree
    has it.
    """
    repair = {
        "file_path": "{{cwd}}/calc.py",
        "old_string": "    return a - b",
        # Longer than the old text: Python takes compiled code for current when second and size of
        # the source are equal, and the whole script runs within one second.
        "new_string": '    """Return the sum."""\n    return a + b',
    }
    usage = Usage(output_tokens=120, cache_read_input_tokens=2000)
    return Script(
        (
            bash(
                TEST_COMMAND,
                "Run the tests",
                say="First I run the tests.",
                usage=Usage(output_tokens=90),
            ),
            Turn((ToolUse("Read", {"file_path": "{{cwd}}/calc.py"}),), usage),
            Turn((Text("`add` subtracts. I correct it."), ToolUse("Edit", repair)), usage),
            bash("echo build > build.log", "Build", usage=usage),
            bash(TEST_COMMAND, "Run the tests again", usage=usage),
            Turn((Text("`add` in calc.py subtracted; it adds now, and the test passes."),), usage),
        ),
        name="fix_failing_test",
    )


def load_script(path: Path) -> Script:
    """Read a script from a JSON file: `{"turns": [{"blocks": [...], "usage": ..., "fault": ...}]}`.

    Raises:
        InvalidArgumentError: the file cannot be read or is no script.
    """
    try:
        return _SCRIPT_JSON.validate_json(path.read_bytes())
    except OSError as exc:
        msg = f"The script {path} cannot be read ({exc.strerror}); give the path of a JSON file."
        raise InvalidArgumentError(msg, what="script", value=str(path)) from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        msg = f"{path} is no script: {where}: {first['msg']}. Correct it and start again."
        raise InvalidArgumentError(msg, what="script", value=str(path)) from exc


def find_script(text: str) -> Script:
    """Return the script that a command line names: `demo`, `plain_text`, `steps:N` or a JSON file.

    Raises:
        InvalidArgumentError: nothing has this name.
    """
    name, _, argument = text.partition(":")
    if text in {"demo", "fix_failing_test"}:
        return fix_failing_test()
    if text == "plain_text":
        return plain_text()
    if name == "steps" and argument.isdecimal() and len(argument) <= 6:
        return steps(int(argument))
    if text.endswith(".json"):
        return load_script(Path(text))
    msg = f"No script is called {text!r}; use demo, plain_text, steps:N or a .json file."
    raise InvalidArgumentError(msg, what="script", value=text)

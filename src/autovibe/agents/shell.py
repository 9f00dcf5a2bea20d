"""Any command as an agent: `autovibe run "..." --agent shell -- COMMAND ARGUMENTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from autovibe.agents.prompt import SETTINGS_INSIDE, checked_prompt, write_prompt
from autovibe.domains.machines.agent import (
    AgentEvent,
    AgentLaunch,
    AgentOutcome,
    AgentRequest,
    OutputReader,
)
from autovibe.domains.machines.driver import Bind
from autovibe.kernel.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SYNTAX: Final = 'autovibe run "PROMPT" --agent shell -- COMMAND [ARGUMENT...]'
_MAX_TEXT: Final = 64 * 1024
_MAX_PROMPT_VARIABLE: Final = 100_000
"""Bytes; the kernel takes 131,071 for one variable with its name."""
_SIGNAL_BASE: Final = 128


class ShellAdapter:
    """Runs the user's command as it stands: no shell interprets it unless it starts one itself."""

    name: str = "shell"
    approval_gate: Literal["closed", "open", "none"] = "none"
    default_model: str | None = None
    uses_models: bool = False

    def check(self) -> str | None:
        """Return `None`: there is nothing to install."""
        return None

    def launch(self, request: AgentRequest) -> AgentLaunch:
        """Return the user's command, with prompt and gateway in its environment.

        `AUTOVIBE_PROMPT_FILE` always names a file with the prompt; `AUTOVIBE_PROMPT` holds it.

        Raises:
            InvalidArgumentError: no command, or a prompt that fits no environment variable.
        """
        argv = tuple(request.extra_args)
        if not argv or not argv[0]:
            msg = f"The shell agent needs a command; write: {_SYNTAX}"
            raise InvalidArgumentError(msg, what="extra_args")
        if any("\0" in argument for argument in argv):
            msg = "The command contains a NUL character; remove it."
            raise InvalidArgumentError(msg, what="extra_args")
        prompt = checked_prompt(request)
        size = len(prompt.encode())
        if size > _MAX_PROMPT_VARIABLE:
            msg = (
                f"The prompt has {size} bytes; the shell agent takes {_MAX_PROMPT_VARIABLE}. "
                "Put the text into a file of the repository and name that."
            )
            raise InvalidArgumentError(msg, what="prompt", size_bytes=size)
        env = _gateway_env(request) | {
            "HOME": "{autovibe:home}",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "AUTOVIBE_PROMPT": prompt,
            "AUTOVIBE_PROMPT_FILE": write_prompt(request),
        }
        return AgentLaunch(argv, env, (Bind(request.settings_dir, SETTINGS_INSIDE),))

    def reader(self) -> OutputReader:
        """Return a fresh reader for one run."""
        return LineReader()

    def transcript_holds(self, home: Path, session_id: str, tool_use_ids: Sequence[str]) -> bool:  # noqa: ARG002  # the contract's signature
        """Return `True`: a command keeps no transcript."""
        return True

    def holds_session(self, home: Path, session_id: str) -> bool:  # noqa: ARG002  # the contract's signature
        """Return `False`: a command has no conversation to continue."""
        return False


def _gateway_env(request: AgentRequest) -> dict[str, str]:
    """Return what points clients of every model dialect to the gateway."""
    url, key = request.gateway_url, request.virtual_key
    env = {
        "ANTHROPIC_BASE_URL": f"{url}/llm/anthropic",
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_API_KEY": key,
        "OPENAI_BASE_URL": f"{url}/llm/openai/v1",
        "OPENAI_API_BASE": f"{url}/llm/openai/v1",
        "OPENAI_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": f"{url}/llm/gemini",
        "GEMINI_API_KEY": key,
    }
    return env | ({"AUTOVIBE_MODEL": request.model} if request.model else {})


class LineReader:
    """Takes each line of output as a message."""

    def feed(self, line: bytes) -> Sequence[AgentEvent]:
        """Return the line as a message; an empty line is nothing."""
        text = (
            line.decode("utf-8", "replace")
            .rstrip("\r\n")
            .replace("\0", "\N{REPLACEMENT CHARACTER}")
        )
        if not text:
            return ()
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}… ({len(text) - _MAX_TEXT} more characters)"
        return (AgentEvent("message", text),)

    def outcome(self, exit_code: int) -> AgentOutcome:
        """Return success for exit status 0 and nothing else."""
        if exit_code == 0:
            return AgentOutcome(finished=True, is_error=False, message="")
        signal = exit_code - _SIGNAL_BASE
        how = (
            f"was ended by signal {signal}" if signal > 0 else f"ended with exit status {exit_code}"
        )
        return AgentOutcome(finished=False, is_error=True, message=f"The command {how}.")

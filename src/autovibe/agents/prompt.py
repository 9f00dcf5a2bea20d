"""Hand the prompt to an agent through a file that its machine sees read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autovibe.kernel.errors import InvalidArgumentError

if TYPE_CHECKING:
    from autovibe.domains.machines.agent import AgentRequest

SETTINGS_INSIDE: Final = "/run/autovibe/settings"
PROMPT_NAME: Final = "prompt.txt"


def checked_prompt(request: AgentRequest) -> str:
    """Return the prompt.

    Raises:
        InvalidArgumentError: it is blank, or holds what no program can be given.
    """
    if not request.prompt.strip():
        msg = "The prompt is empty; say what the agent is to do."
        raise InvalidArgumentError(msg, what="prompt")
    try:
        request.prompt.encode()
    except UnicodeEncodeError:
        msg = "The prompt is not valid UTF-8; write it again as plain text."
        raise InvalidArgumentError(msg, what="prompt") from None
    if "\0" in request.prompt:
        msg = "The prompt contains a NUL character; remove it."
        raise InvalidArgumentError(msg, what="prompt")
    return request.prompt


def write_prompt(request: AgentRequest, *, before: str = "") -> str:
    """Write the prompt into the settings directory and return its path inside the machine.

    Args:
        request: what has the prompt.
        before: white space to put in front of it.

    Raises:
        InvalidArgumentError: as `checked_prompt`.
    """
    text = before + checked_prompt(request)
    (request.settings_dir / PROMPT_NAME).write_text(text, encoding="utf-8", newline="")
    return f"{SETTINGS_INSIDE}/{PROMPT_NAME}"

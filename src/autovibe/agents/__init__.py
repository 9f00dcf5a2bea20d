"""The coding agents that autovibe can run, one adapter each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autovibe.agents.claude_code import ClaudeCodeAdapter
from autovibe.agents.shell import ShellAdapter
from autovibe.domains.machines.errors import UnknownAgentError

if TYPE_CHECKING:
    from autovibe.domains.machines.agent import AgentAdapter

# One instance of each for the process: adapters remember how far they have read transcripts.
_CLAUDE_CODE: Final = ClaudeCodeAdapter()
_SHELL: Final = ShellAdapter()


def adapters() -> dict[str, AgentAdapter]:
    """Return all adapters by name; the first one is the default."""
    return {_CLAUDE_CODE.name: _CLAUDE_CODE, _SHELL.name: _SHELL}


def find_adapter(name: str) -> AgentAdapter:
    """Return the adapter of this name.

    Raises:
        UnknownAgentError: there is none; the message lists the known names.
    """
    known = adapters()
    if name not in known:
        msg = f"No agent is called {name!r}; choose one of: {', '.join(known)}."
        raise UnknownAgentError(msg, agent=name)
    return known[name]

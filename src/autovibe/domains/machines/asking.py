"""How an agent asks for leave, and asks people: a Protocol between its listener and the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Verdict:
    """Whether something is allowed, and what the agent is told: why not, or an answer."""

    allowed: bool
    message: str = ""


class Asking(Protocol):
    """Answers one machine. A call takes as long as a person needs; what fails is a no."""

    async def may_use(self, tool: str, given: Mapping[str, Any], tool_use_id: str) -> Verdict:
        """Return whether the agent may use a tool now."""
        ...

    async def question(self, text: str, options: Sequence[str], default: str) -> Verdict:
        """Return what a person answers to a question."""
        ...

    async def say(self, text: str) -> Verdict:
        """Tell people something; nobody is waited for."""
        ...

    async def messages(self) -> Verdict:
        """Return what people have said that the agent has not heard yet."""
        ...

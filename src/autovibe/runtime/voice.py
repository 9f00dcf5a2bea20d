"""All that a machine may ask of us over MCP, joined: leave, answers, and being heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autovibe.domains.machines.asking import Verdict
from autovibe.runtime.asking import Gate
from autovibe.runtime.steering import Steering


@dataclass(frozen=True)
class Voice:
    """Implements `machines.Asking` for one execution."""

    gate: Gate
    steering: Steering

    async def may_use(self, tool: str, given: Mapping[str, Any], tool_use_id: str) -> Verdict:
        """Return whether the agent may use a tool now."""
        return await self.gate.may_use(tool, given, tool_use_id)

    async def question(self, text: str, options: Sequence[str], default: str) -> Verdict:
        """Return what a person answers to a question."""
        return await self.gate.question(text, options, default)

    async def say(self, text: str) -> Verdict:
        """Tell people something; nobody is waited for."""
        await self.steering.post(text)
        return Verdict(allowed=True, message="Said.")

    async def messages(self) -> Verdict:
        """Return what people have said that the agent has not heard yet."""
        return Verdict(allowed=True, message=await self.steering.read())

"""The executions that this process runs, by task."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol


class Running(Protocol):
    """An execution that can be asked to stop."""

    interrupted: asyncio.Event
    ended: asyncio.Event


@dataclass
class LocalControl:
    """Implements `machines.Control`."""

    running: dict[str, Running] = field(default_factory=dict[str, Running])

    async def pause(self, task_id: str) -> bool:
        """Stop the task's agent, checkpoint it, and return when its order is released."""
        execution = self.running.get(task_id)
        if execution is None:
            return False
        execution.interrupted.set()
        await execution.ended.wait()
        return True

    def interrupt_all(self) -> None:
        """Ask every execution to stop."""
        for execution in self.running.values():
            execution.interrupted.set()

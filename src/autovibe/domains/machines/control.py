"""What services may ask of the machines that this process runs (decision A2)."""

from __future__ import annotations

from typing import Protocol


class Control(Protocol):
    """The machines of this control-plane process, by the task they work on."""

    async def pause(self, task_id: str) -> bool:
        """Stop the task's agent, make a final checkpoint, and return when the order is released.

        Returns whether this process was working on the task.
        """
        ...

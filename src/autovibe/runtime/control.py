"""Stopping executions: those of this process, and those of workers elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import UnavailableError
from autovibe.sdk.services import Services
from autovibe.v1 import queue_pb2, work_pb2

_LOOK_S: Final = 0.1
_PATIENCE_S: Final = 90.0
"""A worker that lives has checkpointed its machine by then; a dead one has lost its lease."""


class Running(Protocol):
    """An execution that can be asked to stop."""

    interrupted: asyncio.Event
    leaving: bool
    """Set when it is interrupted because this process ends, and not for what it does."""
    ended: asyncio.Event


@dataclass
class LocalControl:
    """The executions of this process, by task."""

    running: dict[str, Running] = field(default_factory=dict[str, Running])

    async def pause(self, task_id: str) -> bool:
        """Stop the task's agent, checkpoint it, and return when its order is released."""
        if not self.interrupt(task_id):
            return False
        await self.running[task_id].ended.wait()
        return True

    def interrupt(self, task_id: str) -> bool:
        """Ask one execution to stop; return whether it is of this process."""
        execution = self.running.get(task_id)
        if execution is None:
            return False
        execution.interrupted.set()
        return True

    def interrupt_all(self) -> None:
        """Ask every execution to stop."""
        for execution in self.running.values():
            execution.leaving = True
            execution.interrupted.set()


@dataclass
class ReachingControl:
    """Implements `machines.Control` for the whole fleet: what is not here is asked for there."""

    local: LocalControl
    clock: Clock
    services: Services | None = None
    """Set as soon as there are any: they are built on this object."""

    async def pause(self, task_id: str) -> bool:
        """Stop the task's agent wherever it is, and return when its order is released.

        Returns whether anybody was working on the task.

        Raises:
            UnavailableError: its worker has been asked to stop, and has not done so in time.
        """
        if await self.local.pause(task_id):
            return True
        if self.services is None:
            return False
        answer = await self.services.queue.request_stop(
            queue_pb2.RequestStopRequest(task_id=task_id)
        )
        if not answer.asked:
            return False
        began = self.clock.monotonic()
        while self.clock.monotonic() - began < _PATIENCE_S:
            task = await self.services.work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
            if task.status != "in_progress":
                return True
            await asyncio.sleep(_LOOK_S)
        raise UnavailableError(
            f"The worker of task {task_id} was asked to stop and has not yet; look at the task "
            "with `autovibe task show` in a minute, and ask again.",
            task_id=task_id,
        )

"""The control plane inside a command: no server, no hop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from autovibe.app.compose import ControlPlane, open_control_plane
from autovibe.kernel.settings import Settings
from autovibe.sdk.services import Services


@dataclass(frozen=True)
class Embedded:
    """The services, and a worker that does one order at a time when asked to."""

    control_plane: ControlPlane

    @property
    def services(self) -> Services:
        """The local twin of every service."""
        return self.control_plane.services

    async def work_on(self, task_id: str) -> None:
        """Do the task's order in this process; return when it has ended (decision A7)."""
        worker = await self.control_plane.worker(slots=1)
        plane = self.control_plane
        async with plane.recovery.served(), plane.scheduler.caught_up():
            await worker.work_on(task_id)


@contextlib.asynccontextmanager
async def open_embedded(settings: Settings) -> AsyncGenerator[Embedded]:
    """Open the control plane in this process."""
    async with open_control_plane(settings) as control_plane:
        yield Embedded(control_plane)

"""The command line on a control plane in memory: python fake_cli.py SCENARIO ARGUMENTS..."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import fake_plane

from autovibe.cli.main import main
from autovibe.kernel.errors import Code
from autovibe.kernel.progress import Step, report
from autovibe.v1 import checkpoints_pb2, work_pb2


class SlowPlane(fake_plane.FakePlane):
    """Stays in the import until it is interrupted."""

    async def import_directory(self, request: Any) -> Any:
        self._take(request)
        sys.stderr.write("importing\n")
        await self.stop.wait()
        return await super().import_directory(request)


class GrowingPlane(fake_plane.FakePlane):
    """Takes a while to import, verify and restore, and tells in this process how far it is."""

    def _tell(self, step: Step) -> None:
        if self.embedded:
            report(step)

    async def get_checkpoint(self, request: Any) -> Any:
        return checkpoints_pb2.Checkpoint(id=request.checkpoint_id, size_bytes=1024)

    async def restore_checkpoint(self, request: Any) -> Any:
        self._tell(Step("restore", 1, 512))
        await asyncio.sleep(0.8)
        return await super().restore_checkpoint(request)

    async def import_directory(self, request: Any) -> Any:
        self._tell(Step("read", 2, 2**20))
        await asyncio.sleep(1.0)
        self._tell(Step("verify", 7, 2**19))
        await asyncio.sleep(0.5)
        return await super().import_directory(request)

    async def verify_checkpoint(self, request: Any) -> Any:
        self._tell(Step("verify", 3, 512))
        await asyncio.sleep(0.3)
        return await super().verify_checkpoint(request)


def write_requests(plane: fake_plane.FakePlane) -> None:
    if path := os.environ.get("FAKE_REQUESTS"):
        Path(path).write_text("\n".join(type(request).__name__ for request in plane.requests))


def run(scenario: str, arguments: list[str]) -> int:
    mode, _, name = scenario.rpartition(":")
    kinds = {"slow": SlowPlane, "growing": GrowingPlane, "growing-remote": GrowingPlane}
    kind = kinds.get(mode, fake_plane.FakePlane)
    plane = kind(fake_plane.SCENARIOS[name], embedded=mode not in {"remote", "growing-remote"})
    if mode == "unpausable":
        refusal = fake_plane.RefusedError(Code.UNAVAILABLE, "UNAVAILABLE", "The server is gone.")
        plane.refusals["PauseTaskRequest"] = refusal
        plane.embedded = False
    if mode == "stopped":
        stopped = work_pb2.Task(id="0d4b4c4e-0000-4000-8000-000000000001", status="queued")
        plane.tasks[stopped.id] = stopped
        plane.end(stopped, "blocked", "BUDGET_EXHAUSTED")
    if mode == "secrets":
        plane.findings = [checkpoints_pb2.SecretFinding(path=".env", why="name")]

    @contextlib.asynccontextmanager
    async def connect(settings: Any) -> AsyncGenerator[Any]:
        try:
            async with plane.connect(settings) as connection:
                yield connection
        finally:
            write_requests(plane)

    status = main(arguments, connect=connect)
    if os.environ.get("FAKE_MODULES"):
        Path(os.environ["FAKE_MODULES"]).write_text("\n".join(sorted(sys.modules)))
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))

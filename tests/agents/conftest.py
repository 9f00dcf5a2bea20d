"""Starts an agent's launch as a machine would, but without a machine."""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autovibe.domains.machines.agent import AgentEvent, AgentOutcome, AgentRequest
from autovibe.testing.demo_repository import make_demo_repository


@dataclass
class Run:
    """What one run of an agent left."""

    exit_code: int
    events: list[AgentEvent]
    outcome: AgentOutcome
    stderr: str

    def texts(self, kind):
        return [event.text for event in self.events if event.kind == kind]


@dataclass
class Bench:
    """A workspace, a home and a settings directory for the runs of one task."""

    base: Path
    workspace: Path
    home: Path

    def request(self, server, **changes) -> AgentRequest:
        settings = self.base / "settings"
        settings.mkdir(exist_ok=True)
        request = AgentRequest(
            prompt="The test fails. Correct it.",
            model=None,
            session_id=str(uuid.uuid4()),
            resume=False,
            gateway_url="http://127.0.0.1:{autovibe:port}",
            virtual_key=server.api_key,
            settings_dir=settings,
        )
        return replace(request, **changes)

    async def start(self, adapter, request, port):
        """Start the program; placeholders and binds are replaced by what they stand for."""
        launch = adapter.launch(request)
        argv = [self.fill(argument, launch, port) for argument in launch.argv]
        env = {name: self.fill(value, launch, port) for name, value in launch.env.items()}
        # The gateway's routes begin with /llm/...; here the model server itself answers.
        url = env["ANTHROPIC_BASE_URL"]
        assert url == f"http://127.0.0.1:{port}/llm/anthropic"
        env["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{port}"
        # Whatever goes anywhere else ends at a closed port of the loopback.
        env |= {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        env |= {"NO_PROXY": "127.0.0.1", "PATH": os.environ["PATH"]}
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *argv, cwd=self.workspace, env=env, stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe, stderr=pipe,
        )  # fmt: skip

    def fill(self, text, launch, port):
        for bind in launch.binds:
            if text == bind.inside or text.startswith(f"{bind.inside}/"):
                text = str(bind.host) + text[len(bind.inside) :]
        known = {"workspace": self.workspace, "home": self.home, "port": port}
        for placeholder, value in known.items():
            text = text.replace(f"{{autovibe:{placeholder}}}", str(value))
        return text

    async def run(self, adapter, request, port) -> Run:
        return await self.finish(adapter, await self.start(adapter, request, port))

    async def finish(self, adapter, process) -> Run:
        reader = adapter.reader()
        output, errors = await process.communicate()
        events = [event for line in output.splitlines(keepends=True) for event in reader.feed(line)]
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return Run(code, events, reader.outcome(code), errors.decode())


@pytest.fixture
def bench(tmp_path):
    """A bench whose workspace is the demo repository."""
    made = Bench(tmp_path, tmp_path / "work", tmp_path / "home")
    make_demo_repository(made.workspace)
    made.home.mkdir()
    return made

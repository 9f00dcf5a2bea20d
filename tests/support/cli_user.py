"""Running `autovibe` in tests as a person would."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autovibe.testing.model_server import ModelServer

AUTOVIBE = (sys.executable, "-m", "autovibe.cli.main")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


@dataclass
class User:
    """Runs `autovibe` as a person would: in a shell, with an environment of their own."""

    home: Path
    repo: Path
    environment: dict[str, str]
    server: ModelServer
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start a command."""
        process = await asyncio.create_subprocess_exec(
            *AUTOVIBE,
            *arguments,
            env={**self.environment, **(environment or {})},
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.started.append(process)
        return process

    async def start_with(self, wrapper: str, *arguments: str) -> Ended:
        """Run a command through another program to its end."""
        process = await asyncio.create_subprocess_exec(
            wrapper,
            *AUTOVIBE,
            *arguments,
            env=self.environment,
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.started.append(process)
        return await ended(process)

    async def autovibe(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a command to its end."""
        return await ended(await self.start(*arguments, environment=environment))

    async def run(self, *arguments: str) -> Ended:
        """Run `autovibe run … --json` on the repository."""
        return await self.autovibe("run", "--repo", str(self.repo), "--json", *arguments)

    async def cat(self, checkpoint_id: str, path: str) -> str:
        """Return the text of one file of a checkpoint."""
        target = self.home / f"cat-{uuid.uuid4()}"
        done = await self.autovibe(
            "checkpoint", "restore", checkpoint_id, "--to", str(target), "--path", path
        )
        assert done.status == 0, done.err
        return (target / Path(path).name).read_text()

    async def shell(self, script: str, *options: str) -> Ended:
        """Run a shell script as the agent."""
        return await self.run(
            "run the script", "--agent", "shell", *options, "--", "/bin/sh", "-c", script
        )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a command and return what it printed."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def git(repo: Path, *arguments: str) -> str:
    """Run git in a repository."""
    done = subprocess.run(
        ["git", "-C", str(repo), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def processes_mentioning(text: str) -> Sequence[str]:
    """Return the command lines of living processes that mention a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if text in line:
                found.append(f"{entry.name} {line}")
    return found

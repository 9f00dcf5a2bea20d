"""The programs that the demo runs on this host: git and the tests."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from autovibe.cli.errors import DemoFailedError

_TEST = ("-m", "unittest", "-q", "test_calc")


@dataclass(frozen=True)
class Checked:
    """How the tests ended, and what they printed."""

    passed: bool
    output: str

    def document(self) -> dict[str, object]:
        """Return it as plain data."""
        return {"passed": self.passed, "output": self.output}


async def run_tests(directory: Path) -> Checked:
    """Run the tests of the demo repository with this Python, in an empty environment."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONDONTWRITEBYTECODE": "1"}
    status, output = await _run((sys.executable, *_TEST), directory, env)
    return Checked(status == 0, output.strip())


async def name_author(repository: Path) -> None:
    """Let the demo repository have an author: commits of `apply` are in the user's name."""
    await _git(repository, "config", "user.name", "autovibe demo")
    await _git(repository, "config", "user.email", "demo@autovibe.invalid")


async def check_out(repository: Path, branch: str, target: Path) -> None:
    """Check a branch out into a directory of its own."""
    await _git(repository, "worktree", "add", "--quiet", str(target), branch)


async def _git(repository: Path, *arguments: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    command = ("git", "-c", "core.hooksPath=/dev/null", *arguments)
    status, output = await _run(command, repository, env)
    if status != 0:
        raise DemoFailedError(f"`git {arguments[0]}` failed in {repository}: {output.strip()}")


async def _run(command: tuple[str, ...], cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise DemoFailedError(f"{command[0]} is not installed; install it.") from None
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")

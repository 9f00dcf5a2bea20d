"""A fleet that is killed at random while it works off a graph of tasks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli_user import User, ended
from serving import free_port

AGENT: Final = (Path(__file__).parent / "stepping_agent.py").read_text()
STEPS: Final = 2
# Real agents try again when a call fails because the control plane is away.
_SCRIPT: Final = (
    'mkdir -p "$0" && cd "$0" && for n in 1 2 3 4 5 6 7 8 9; do python3 -c "$1" "$2" && exit 0; '
    "sleep 1; done; exit 1"
)
_OVER: Final = frozenset({"completed", "failed", "cancelled"})
_BLOCKERS: Final = 30
"""How far back a task may wait for others: so that the graph is deep and wide."""


def graph_of(
    user: User, project: str, count: int, dice: random.Random, asking: float
) -> dict[str, Any]:
    """Return a graph of tasks, each of which waits for up to two of those before it.

    Args:
        user: who runs them.
        project: theirs.
        count: how many.
        dice: chooses.
        asking: share of those that a person must allow something; a real agent does them.
    """
    tasks: dict[str, Any] = {}
    for number in range(count):
        key = f"t{number}"
        near = range(max(0, number - _BLOCKERS), number)
        blockers = min(len(near), dice.choice((0, 1, 1, 2)))
        tasks[key] = {
            "prompt": f"Do the steps of {key}",
            "args": ["/bin/sh", "-c", _SCRIPT, key, AGENT, str(user.home)],
            "after": [f"t{other}" for other in dice.sample(near, blockers)],
            "priority": dice.choice(("low", "normal", "high")),
            "isolation": dice.choice(("process", "sandbox")),
        }
        if dice.random() < asking:
            del tasks[key]["args"]
            tasks[key] |= {
                "agent": "claude_code",
                "isolation": "sandbox",
                "permission": dice.choice(("supervised", "human_required")),
            }
    return {"project": project, "defaults": {"agent": "shell", "retries": 3}, "tasks": tasks}


@dataclass
class Fleet:
    """A server and its workers, each started again whenever it has ended."""

    user: User
    workers: int
    slots: int
    log: list[str] = field(default_factory=list)
    living: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _watching: list[asyncio.Task[None]] = field(default_factory=list)
    _ending: bool = False

    async def begin(self) -> None:
        """Start everybody."""
        own = 0 if self.workers else self.slots
        ports = ("--http-port", str(self._ports[0]), "--grpc-port", str(self._ports[1]))
        self._watch("server", "up", "--slots", str(own), *ports)
        for number in range(self.workers):
            self._watch(
                f"worker-{number}", "worker", "start", "--json", "--slots", str(self.slots),
                "--name", f"worker-{number}",
            )  # fmt: skip
        await self.reached()

    async def reached(self) -> None:
        """Wait until the server answers."""
        told = self.user.home / ".autovibe/server.json"
        for _ in range(600):
            if told.exists():
                listed = await self.user.autovibe("project", "list", "--json")
                if listed.status == 0:
                    return
            await asyncio.sleep(0.2)
        raise AssertionError("the server does not answer")

    def kill(self, name: str) -> bool:
        """`kill -9` one of them; return whether it was there."""
        process = self.living.get(name)
        if process is None or process.returncode is not None:
            return False
        process.send_signal(signal.SIGKILL)
        self.log.append(f"killed {name}")
        return True

    async def end(self) -> None:
        """Let everybody end in order, the workers first."""
        self._ending = True
        for name in sorted(self.living, reverse=True):
            process = self.living[name]
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.wait()
        await asyncio.gather(*self._watching)

    def _watch(self, name: str, *command: str) -> None:
        self._watching.append(asyncio.create_task(self._kept_up(name, command), name=name))

    async def _kept_up(self, name: str, command: Sequence[str]) -> None:
        """Start a command again and again, as an init system would."""
        while not self._ending:
            process = self.living[name] = await self.user.start(*command)
            told = await ended(process)
            self.log.append(f"{name} ended with {told.status}\n{told.err[-4_000:]}")
            await asyncio.sleep(0.3)


@dataclass
class Trouble:
    """Kills members of a fleet at random moments, at most so often."""

    fleet: Fleet
    dice: random.Random
    most: int
    pause_s: tuple[float, float] = (2.0, 8.0)
    kills: list[str] = field(default_factory=list)

    async def make(self) -> None:
        """Go on until everybody was killed often enough."""
        names = sorted(self.fleet.living)
        while len(self.kills) < self.most:
            await asyncio.sleep(self.dice.uniform(*self.pause_s))
            name = self.dice.choice(names)
            if self.fleet.kill(name):
                self.kills.append(name)


async def answer_late(user: User, dice: random.Random, answered: list[str]) -> None:
    """Allow whatever is asked, each some seconds after it was seen; the server may be away."""
    while True:
        told = await user.autovibe("inbox", "--json")
        waiting = told.json["approvals"] if told.status == 0 else []
        await asyncio.sleep(dice.uniform(0.5, 4))
        for one in waiting:
            said = await user.autovibe("approve", one["id"], "--json")
            if said.status == 0:
                answered.append(one["id"])


async def tasks_of(user: User, project: str) -> list[dict[str, Any]]:
    """Return all tasks of a project, none when the server is away."""
    told = await user.autovibe("task", "list", "--project", project, "--limit", "10000", "--json")
    return list(told.json["tasks"]) if told.status == 0 else []


async def all_over(user: User, project: str, count: int) -> list[dict[str, Any]]:
    """Wait until every task has ended; go on with those that were given up after many kills."""
    while True:
        tasks = await tasks_of(user, project)
        if len(tasks) == count and all(task["status"] in _OVER for task in tasks):
            return tasks
        for task in tasks:
            if task["status"] == "blocked" and task.get("block_reason") in _GIVEN_UP:
                await user.autovibe("task", "resume", task["id"], "--detach", "--json")
        await asyncio.sleep(1)


_GIVEN_UP: Final = frozenset({"CONTROL_PLANE_DIED", "LEASE_EXPIRED"})


def write_graph(path: Path, graph: dict[str, Any]) -> Path:
    """Write a graph where `task import` reads it: JSON is YAML, too."""
    path.write_text(json.dumps(graph))
    return path


async def sweep(user: User) -> None:
    """Remove what killed processes left on the disk, as a person does who comes an hour later.

    Nothing that is younger than ten minutes is taken for left: it may be of somebody who starts.
    """
    an_hour_ago = time.time() - 3_600
    for path in (user.home / ".autovibe/machines/scratch").iterdir():
        os.utime(path, (an_hour_ago, an_hour_ago))
    fixed = await user.autovibe("doctor", "--fix", "--json")
    assert fixed.status == 0, fixed.out + fixed.err

"""A command says and does the same whether the control plane is in it or in another process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cli_batch
import pytest
from composed import composed
from walk import Walk
from walk_steps import Found, walk

from autovibe.v1 import work_pb2


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass
class Person:
    """Somebody with a home in which there is something of everything."""

    home: Path
    found: Found

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "AUTOVIBE_HOME": str(self.home / ".autovibe"),
            "PATH": "/usr/bin:/bin",
        }

    async def run(self, commands: Sequence[Sequence[str]], *, embedded: bool) -> list[Ended]:
        """Run commands in a process that holds the server's code, or must not hold it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            cli_batch.__file__,
            env=self.environment,
            cwd=self.home,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(json.dumps(commands).encode())
        told = json.loads(out)
        assert told["is_server"] == embedded
        return [Ended(**one) for one in told["ended"]]

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[None]:
        """Run `autovibe up` until the block ends; commands of this home are then its clients."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "autovibe.cli.main",
            "up",
            *("--http-port", "0", "--grpc-port", "0", "--json"),
            env=self.environment,
            cwd=self.home,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert json.loads(await process.stdout.readline())
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


@pytest.fixture
async def person(tmp_path: Path) -> Person:
    async with composed(tmp_path) as world:
        found = await walk(Walk(world.local, world.local, world.plane, tmp_path))
        work = world.local.work
        queued = await work.list_tasks(work_pb2.ListTasksRequest(statuses=["queued", "pending"]))
        for task in queued.tasks:
            # A server would work on it, and what is compared must stand still.
            await work.cancel_task(work_pb2.CancelTaskRequest(task_id=task.id))
    return Person(tmp_path, found)


def looking(found: Found) -> list[list[str]]:
    """Return every command that only looks, once for people and once for programs."""
    task, checkpoint, base = found.task.id, found.final.id, found.genesis.id
    commands = [
        ["project", "list"],
        ["project", "show", "website"],
        ["project", "show", found.project.id],
        ["task", "list", "--project", "website"],
        ["task", "list", "--status", "completed", "--limit", "1"],
        ["task", "show", task[:8]],
        ["task", "diff", task, "--patch"],
        ["logs", task],
        ["checkpoint", "list", "--project", "website"],
        ["checkpoint", "show", checkpoint, "--files", "--limit", "3"],
        ["checkpoint", "show", checkpoint, "notes", "--home"],
        ["checkpoint", "diff", checkpoint, base, "--patch", "a.txt", "new"],
        ["checkpoint", "verify", checkpoint],
        ["checkpoint", "tree", "--project", "website", "--all"],
        ["budget", "list"],
        ["budget", "list", "website", "--task", task],
        ["rates", "list"],
        ["project", "models", "show", "website"],
        ["call", "019ae0c0-1111-7000-8000-000000000001"],
        ["call", "019ae0c0-1111-7000-8000-000000000002"],
        ["status"],
        ["usage", "--project", "website"],
        ["usage", "--task", task[:8]],
        ["usage", "audit"],
        ["usage", "rebuild", "--dry-run"],
        ["machine", "list", "--project", "website"],
        ["chat", "list", "--project", "website", "--archived"],
        ["chat", "show", task[:8]],
        ["chat", "search", "SPACES", "--task", task],
        ["chat", "watch", task, "--count", "2"],
        ["document", "list", "--project", "website", "--search", "täb"],
        # What is refused is refused in the same words, with the same exit status.
        ["project", "show", "ghost"],
        ["chat", "show", "no such place"],
        ["chat", "send", "website", " "],
        ["document", "add", "no-such-file.md"],
        ["task", "show", "zzzzzzzz"],
        ["logs", "00000000-0000-0000-0000-000000000009"],
        ["checkpoint", "diff", checkpoint, "--home", "nothing"],
        ["apply", task],
        ["budget", "set", "website", "money", "0", "--period", "monthly"],
        ["budget", "set", "website", "money", "a lot"],
        ["project", "create", "website"],
    ]
    return [command + more for command in commands for more in ([], ["--json"])]


def changing(found: Found, mark: str) -> list[list[str]]:
    """Return commands that change something; a mark keeps two runs of them apart."""
    task, checkpoint = found.task.id, found.final.id
    return [
        ["project", "create", f"{mark}/ü", "--description", "x", "--greediness", "1", "--json"],
        ["project", "create", f"{mark}-2"],
        ["budget", "set", f"{mark}/ü", "money", "3USD", "--period", "daily", "--json"],
        ["budget", "set", f"{mark}-2", "api_calls", "10"],
        ["budget", "list", f"{mark}/ü"],
        ["chat", "send", f"{mark}-2", "hello", "--type", "status"],
        ["document", "add", "website/a.txt", "--project", f"{mark}-2", "--tag", "a"],
        ["checkpoint", "restore", checkpoint, "--to", f"{mark}-whole", "--json"],
        ["checkpoint", "restore", checkpoint, "--to", f"{mark}-part", "--path", "src"],
        ["checkpoint", "restore", checkpoint, "--to", f"{mark}-whole", "--json"],
        ["apply", task, "--branch", f"{mark}-branch", "--json"],
        ["apply", task, "--patch", f"{mark}.patch"],
    ]


_CHANGES: Final = ("id", "created_at", "updated_at", "etag")


def unmarked(ended: Ended, mark: str) -> Ended:
    """Return how a command ended without what differs from one run to the next."""
    out = re.sub(r"\([0-9a-f]{8}\)", "(ID)", ended.out.replace(mark, "MARK"))
    try:
        document: Any = json.loads(out)
    except ValueError:
        return Ended(ended.status, out, ended.err.replace(mark, "MARK"))
    for part in [document, *(value for value in document.values() if isinstance(value, dict))]:
        for name in (*_CHANGES, "project_id", "commit"):
            part.pop(name, None)
    return Ended(ended.status, json.dumps(document), ended.err.replace(mark, "MARK"))


async def test_every_command_is_the_same_embedded_and_as_a_client(person: Person) -> None:
    looks = looking(person.found)
    embedded = await person.run(looks, embedded=True)
    assert {one.status for one in embedded} == {0, 1, 2}
    async with person.server():
        clients = await person.run([*looks, *changing(person.found, "remote")], embedded=False)
    for command, mine, theirs in zip(looks, embedded, clients, strict=False):
        assert mine == theirs, command
    changes = changing(person.found, "inside")
    inside = await person.run(changes, embedded=True)
    for command, mine, theirs in zip(changes, inside, clients[len(looks) :], strict=True):
        assert unmarked(mine, "inside") == unmarked(theirs, "remote"), command
    _same_files(person.home)


def _same_files(home: Path) -> None:
    for name in ("whole", "part"):
        trees = [
            {
                path.relative_to(home / f"{mark}-{name}"): path.read_bytes()
                for path in (home / f"{mark}-{name}").rglob("*")
                if path.is_file()
            }
            for mark in ("inside", "remote")
        ]
        assert trees[0]
        assert trees[0] == trees[1]
    patches = [(home / f"{mark}.patch").read_bytes() for mark in ("inside", "remote")]
    assert patches[0].startswith(b"diff --git")
    assert patches[0] == patches[1]

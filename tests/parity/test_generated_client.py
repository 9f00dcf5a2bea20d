"""A client that is generated from the OpenAPI document, called on the server that gave it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from composed import Composed, composed
from plane import write_files

_PACKAGE = "generated_autovibe_client"


async def generate(world: Composed, directory: Path) -> None:
    """Write the package of a client, with nothing of ours but the document."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"{world.rest.url}/openapi.json", headers={"authorization": f"Bearer {world.token}"}
        ) as answer,
    ):
        (directory / "openapi.json").write_bytes(await answer.read())
    (directory / "config.yml").write_text("post_hooks: []\n")
    making = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
        *("--path", "openapi.json", "--config", "config.yml", "--fail-on-warning"),
        *("--output-path", _PACKAGE),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await making.communicate()
    assert making.returncode == 0, told.decode()


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory whose packages can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
        del sys.modules[name]


def part(name: str) -> Any:
    return importlib.import_module(f"{_PACKAGE}.{name}")


async def test_a_generated_client_works_with_the_server(importable: Path) -> None:
    async with composed(importable / "home") as world, contextlib.AsyncExitStack() as stack:
        await generate(world, importable)
        models = part("models")
        client = part("client").AuthenticatedClient(base_url=world.rest.url, token=world.token)
        stack.push_async_exit(client.get_async_httpx_client())

        async def call(path: str, *given: Any, **fields: Any) -> Any:
            return await part(f"api.{path}").asyncio(*given, client=client, **fields)

        made = await call(
            "project.create_project",
            body=models.CreateProjectRequest.from_dict({"name": "website", "greediness": "0.7"}),
        )
        assert await call("project.get_project", "website") == made
        assert (made.name, made.greediness) == ("website", "0.70")

        write_files(importable / "website", {"a.txt": "one"})
        directory = {"directory": str(importable / "website")}
        imported = await call(
            "checkpoint.import_directory",
            "website",
            body=models.ImportDirectoryRequest.from_dict(directory),
        )
        assert imported.checkpoint.project_id == made.id

        wanted = {
            "project": "website",
            "description": "say hello",
            "context": {"agent": "shell", "isolation": "process", "agent_args": ["true"]},
            "metadata": {"labels": {"team": "ü"}},
        }
        task = await call("work.create_task", body=models.CreateTaskRequest.from_dict(wanted))
        assert (task.title, task.status) == ("say hello", "pending")
        assert task.metadata.to_dict() == {"labels": {"team": "ü"}}
        listed = await call(
            "work.list_tasks", labels=["team=ü"], order_by=models.ListTasksOrderBy("-priority")
        )
        assert listed.tasks == [task]

        missing = await call("work.get_task", "00000000-0000-4000-8000-000000000000")
        assert json.loads(json.dumps(missing.to_dict()))["reason"] == "TASK_NOT_FOUND"

"""What a machine may ask for: over real sockets, of a real control plane (decisions C7, C8)."""

from __future__ import annotations

import contextlib
import io
import socket
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from composed import Composed, composed
from machine_at_work import AtWork, put_to_work
from plane import make_repository

from autovibe.domains.metering.gateway import CallingMachine, OpenGateway
from autovibe.domains.work.models import PermissionLevel, Task, WorkOrder
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.runtime.call_observer import CallReporter
from autovibe.runtime.egress import EgressReporter
from autovibe.skins.rest.agent import MAX_BODY_BYTES, PER_MINUTE
from autovibe.v1 import (
    agent_api_pb2,
    checkpoints_pb2,
    projects_pb2,
    work_pb2,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Machine:
    """One machine with its listener."""

    task: work_pb2.Task
    order: work_pb2.ClaimedOrder
    at_work: AtWork
    key: str
    port: int
    http: aiohttp.ClientSession
    gateway: OpenGateway
    told: list[agent_api_pb2.AgentApiEvent] = field(default_factory=list)

    async def ask(self, verb: str, path: str, body: Any = None, **given: Any) -> tuple[int, Any]:
        """Send a request to the listener; return status and JSON."""
        token = given.pop("token", self.key)
        headers = {"authorization": f"Bearer {token}"} | given.pop("headers", {})
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(verb, url, json=body, headers=headers, **given) as answer:
            text = await answer.text()
            return answer.status, await answer.json(content_type=None) if text else None


@dataclass
class World:
    """A control plane with two machines in one project and one in another."""

    composed: Composed
    home: Path
    http: aiohttp.ClientSession
    closing: contextlib.AsyncExitStack

    async def machine(self, project: str, **fields: Any) -> Machine:
        """Create a task, claim it, and open the listener of its machine."""
        given = {"description": "Build it", "budget": "2.00CAD", "start": True, **fields}
        context = work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"])
        task = await self.composed.local.work.create_task(
            work_pb2.CreateTaskRequest(project=project, context=context, **given)
        )
        return await self.at_listener(task)

    async def at_listener(self, task: work_pb2.Task) -> Machine:
        """Put a machine to work on a task and open its listener."""
        plane = self.composed.plane
        order, at_work = await put_to_work(plane.services, str(plane.instance_id), task)
        listener = socket.create_server(("127.0.0.1", 0))
        key = uuid.uuid4().hex + uuid.uuid4().hex
        told: list[agent_api_pb2.AgentApiEvent] = []
        calling = CallingMachine(
            project_id=task.project_id,
            task_id=task.id,
            machine_id=at_work.machine_id,
            execution_id=at_work.execution_id,
            work_order_id=order.work_order_id,
            lease_generation=order.lease_generation,
            instance_id=str(plane.instance_id),
            virtual_key=key,
        )
        port = listener.getsockname()[1]
        # Nobody calls a model or connects anywhere here, so nobody is told of it.
        nobody: Any = object.__new__(CallReporter)
        no_egress: Any = object.__new__(EgressReporter)
        gateway = await plane.surroundings.gateways(
            calling, listener, nobody, no_egress, told.append
        )
        self.closing.push_async_callback(gateway.close)
        return Machine(task, order, at_work, key, port, self.http, gateway, told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    home = tmp_path_factory.mktemp("agents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        async with (
            composed(home) as one,
            aiohttp.ClientSession() as http,
            contextlib.AsyncExitStack() as closing,
        ):
            for name in ("website", "other"):
                repo = make_repository(home / name, {"a.txt": f"{name}\n"})
                await one.local.projects.create_project(
                    projects_pb2.CreateProjectRequest(name=name, repo_path=str(repo))
                )
                await one.local.checkpoints.import_directory(
                    checkpoints_pb2.ImportDirectoryRequest(project=name, directory=str(repo))
                )
            yield World(one, home, http, closing)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(world: World) -> Machine:
    return await world.machine("website")


async def test_a_machine_reads_its_own_task(machine: Machine) -> None:
    status, task = await machine.ask("GET", "/agent/v1/task")
    assert status == 200
    assert task["id"] == machine.task.id
    assert task["description"] == "Build it"
    assert (task["budget_cad"], task["spent_cad"]) == ("2.00", "0.00")


async def test_the_listener_takes_only_the_token_of_its_own_machine(
    world: World, machine: Machine
) -> None:
    other = await world.machine("website")
    for token in (world.composed.token, other.key, "", "avt_none"):
        status, problem = await machine.ask("GET", "/agent/v1/task", token=token)
        assert (status, problem["reason"]) == (401, "UNAUTHENTICATED")
    assert (await other.ask("GET", "/agent/v1/task"))[1]["id"] == other.task.id


async def test_a_machines_token_opens_no_other_door(world: World, machine: Machine) -> None:
    rest = world.composed.rest.url
    for path in ("/api/v1/tasks", "/agent/v1/task", "/agent/v1/openapi.json"):
        headers = {"authorization": f"Bearer {machine.key}"}
        async with world.http.get(f"{rest}{path}", headers=headers) as answer:
            assert answer.status == 401
        headers = {"authorization": f"Bearer {world.composed.token}"}
        async with world.http.get(f"{rest}{path}", headers=headers) as answer:
            assert answer.status == (200 if path == "/api/v1/tasks" else 404)
    with pytest.raises(AutovibeError) as refused:
        await world.composed.rpc.agent.get_own_task(agent_api_pb2.GetOwnTaskRequest())
    assert refused.value.code in {Code.UNIMPLEMENTED, Code.PERMISSION_DENIED}
    for path in ("/api/v1/tasks", "/agent/v1/approvals/deny", "/agent/v1/budgets"):
        assert (await machine.ask("GET", path))[0] == 404


async def test_events_go_into_the_log_of_the_execution(machine: Machine) -> None:
    events = [{"text": "half done", "kind": "notice", "details": {"percent": 50}}]
    assert await machine.ask("POST", "/agent/v1/events", {"events": events}) == (
        200,
        {"accepted": 1},
    )
    assert [(event.kind, event.text) for event in machine.told] == [("notice", "half done")]
    status, problem = await machine.ask("POST", "/agent/v1/events", {"events": [{"text": ""}]})
    assert (status, problem["reason"]) == (400, "INVALID_ARGUMENT")
    assert len(machine.told) == 1


async def test_a_subtask_lies_in_the_project_and_inside_the_cap(
    world: World, machine: Machine
) -> None:
    status, part = await machine.ask(
        "POST", "/agent/v1/subtasks", {"description": "Write the tests", "budget": "1.50CAD"}
    )
    assert (status, part["status"]) == (200, "queued")
    whole = await world.composed.local.work.get_task(work_pb2.GetTaskRequest(task_id=part["id"]))
    assert whole.parent_task_id == machine.task.id
    assert whole.project_id == machine.task.project_id
    assert whole.context.agent == "shell"
    assert (await machine.ask("GET", f"/agent/v1/subtasks/{part['id']}"))[1] == part
    assert [one["id"] for one in (await machine.ask("GET", "/agent/v1/subtasks"))[1]["subtasks"]]
    status, problem = await machine.ask(
        "POST", "/agent/v1/subtasks", {"description": "Too dear", "budget": "2.50CAD"}
    )
    assert (status, problem["reason"]) == (409, "SUBTASK_OVER_CAP")


async def test_a_subtask_gets_no_more_leave_than_the_task(world: World) -> None:
    local = world.composed.local
    made = await local.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            description="Careful",
            start=True,
            context=work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"]),
        )
    )
    async with world.composed.plane.database.write() as tx:
        task = await tx.session.get_one(Task, uuid.UUID(made.id))
        task.permission_level = PermissionLevel.SUPERVISED
    made.permission_level = "supervised"
    careful = await world.at_listener(made)
    status, problem = await careful.ask(
        "POST", "/agent/v1/subtasks", {"description": "x", "permission_level": "autonomous"}
    )
    assert (status, problem["reason"]) == (409, "PARENT_NOT_ALLOWED")


async def test_what_belongs_to_another_task_is_not_there(world: World, machine: Machine) -> None:
    stranger = await world.machine("other")
    for path in (stranger.task.id, machine.task.id, str(uuid.uuid4())):
        status, problem = await machine.ask("GET", f"/agent/v1/subtasks/{path}")
        assert (status, problem["reason"]) == (404, "TASK_NOT_FOUND")
    status, problem = await machine.ask(
        "POST", "/agent/v1/messages", {"to": stranger.task.id, "text": "hello"}
    )
    assert (status, problem["reason"]) == (404, "TASK_NOT_FOUND")


async def test_parent_and_child_write_to_each_other(world: World) -> None:
    parent = await world.machine("website")
    status, problem = await parent.ask(
        "POST", "/agent/v1/messages", {"to": "children", "text": "anybody?"}
    )
    assert (status, problem["reason"]) == (409, "NO_RECIPIENT")
    _, part = await parent.ask("POST", "/agent/v1/subtasks", {"description": "A part"})
    task = await world.composed.local.work.get_task(work_pb2.GetTaskRequest(task_id=part["id"]))
    child = await world.at_listener(task)
    down = {"to": "children", "text": "how far?", "data": {"n": 1}}
    assert (await parent.ask("POST", "/agent/v1/messages", down))[0] == 200
    status, taken = await child.ask("POST", "/agent/v1/messages:take", {})
    (letter,) = taken["messages"]
    assert (letter["text"], letter["data"]) == ("how far?", {"n": 1.0})
    assert letter["sender_machine_id"] == parent.at_work.machine_id
    assert (await child.ask("POST", "/agent/v1/messages:take", {}))[1]["messages"] == []
    up = {"to": "parent", "text": "half"}
    assert (await child.ask("POST", "/agent/v1/messages", up))[0] == 200
    (answer,) = (await parent.ask("POST", "/agent/v1/messages:take", {}))[1]["messages"]
    assert answer["text"] == "half"


async def test_a_machine_under_an_old_lease_gets_nothing_done(world: World) -> None:
    old = await world.machine("website")
    async with world.composed.plane.database.write() as tx:
        order = await tx.session.get_one(WorkOrder, uuid.UUID(old.order.work_order_id))
        order.lease_generation += 1
    for verb, path, body in (
        ("GET", "/agent/v1/task", None),
        ("POST", "/agent/v1/events", {"events": [{"text": "x"}]}),
        ("POST", "/agent/v1/subtasks", {"description": "x"}),
        ("POST", "/agent/v1/messages", {"to": "parent", "text": "x"}),
    ):
        status, problem = await old.ask(verb, path, body)
        assert (status, problem["reason"]) == (409, "LEASE_LOST"), path
    assert old.told == []


async def test_a_relay_runs_only_what_is_for_machines(world: World, machine: Machine) -> None:
    for method in ("autovibe.v1.WorkService/CreateTask", "autovibe.v1.AgentService/RelayAgentCall"):
        with pytest.raises(AutovibeError) as refused:
            await world.composed.local.agent.relay_agent_call(
                agent_api_pb2.RelayAgentCallRequest(
                    execution_id=machine.at_work.execution_id,
                    machine_id=machine.at_work.machine_id,
                    lease_generation=machine.at_work.lease_generation,
                    method=method,
                )
            )
        assert refused.value.reason == "NOT_FOR_MACHINES"


async def test_bodies_and_rates_are_bounded(world: World) -> None:
    greedy = await world.machine("website")
    large = io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))
    status, problem = await greedy.ask("POST", "/agent/v1/messages", data=large)
    assert (status, problem["reason"]) == (413, "REQUEST_TOO_LARGE")
    status, problem = await greedy.ask("GET", "/agent/v1/task", headers={"host": "example.org"})
    assert (status, problem["reason"]) == (403, "HOST_NOT_ALLOWED")
    seen: set[int] = set()
    for _ in range(PER_MINUTE):
        seen.add((await greedy.ask("GET", "/agent/v1/nothing"))[0])
        if 429 in seen:
            break
    assert seen == {404, 429}

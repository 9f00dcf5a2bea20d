"""Every list pages, the same over every skin, with tokens that only an answer can give."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest
import pytest_asyncio
from composed import Composed, composed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_at_work import put_to_work
from served import ALL_METHODS, call
from walk import Walk
from walk_approvals import ask_question
from walk_queue import register
from walk_steps import Found, walk

from autovibe.kernel.errors import AutovibeError, Code, InvalidArgumentError
from autovibe.kernel.paging import decode_place, decode_token
from autovibe.sdk.contract import Method, methods, rule_of
from autovibe.sdk.services import Services
from autovibe.v1 import (
    chat_pb2,
    checkpoints_pb2,
    documents_pb2,
    identity_pb2,
    logs_pb2,
    machines_pb2,
    metering_pb2,
    options_pb2,
    projects_pb2,
    tasks_pb2,
    work_pb2,
)

in_module = pytest.mark.asyncio(loop_scope="module")

LISTS: Final = [m for m in ALL_METHODS if m.descriptor.name.startswith("List")]
BY_CURSOR: Final = {
    "autovibe.v1.WorkService/ListTaskLogs": "its cursor is kept and goes on when there is more",
    "autovibe.v1.LogService/ListExecutionLogs": "as ListTaskLogs",
}
"""Lists that go on after their end, so that there is no token that would mean the end."""
_PATH: Final = "a.txt"


def token_field(method: Method) -> str:
    return "cursor" if method.name in BY_CURSOR else "page_token"


def next_field(method: Method) -> str:
    return "next_cursor" if method.name in BY_CURSOR else "next_page_token"


def test_every_list_pages() -> None:
    for method in LISTS:
        fields = method.descriptor.input_type.fields_by_name
        assert {"page_size", token_field(method)} <= set(fields), method.name
        assert next_field(method) in method.descriptor.output_type.fields_by_name
        assert rule_of(fields["page_size"]).le >= 500
    for method in ALL_METHODS:
        field = method.descriptor.input_type.fields_by_name.get("page_token")
        if field is not None:
            assert rule_of(field).format == options_pb2.FORMAT_PAGE_TOKEN, method.name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Composed, None]:
    home = tmp_path_factory.mktemp("paging")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))  # keeps git away from the configuration of a person
        async with composed(home) as running:
            found = await walk(Walk(running.local, running.local, running.plane, home))
            for number in range(4):
                await _more(running, found, number)
            yield running


async def _more(world: Composed, found: Found, number: int) -> None:
    """Add one more of everything that is listed."""
    services = world.local
    await services.projects.create_project(
        projects_pb2.CreateProjectRequest(name=f"{number}/ü" + "🜲" * 250)
    )
    task = await services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            context=work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"]),
        )
    )
    tasks = await services.work.list_tasks(work_pb2.ListTasksRequest(statuses=["completed"]))
    await services.work.add_task_dependency(
        tasks_pb2.AddTaskDependencyRequest(
            task_id=task.id, depends_on_task_id=tasks.tasks[0].id, dependency_type="related"
        )
    )
    await _machine(world, found)
    await services.metering.record_usage_many(
        metering_pb2.RecordUsageManyRequest(
            samples=[
                metering_pb2.UsageSample(
                    project_id=found.project.id,
                    resource_type="network",
                    unit=f"{number}",
                    amount="1",
                )
            ]
        )
    )
    await services.checkpoints.record_checkpoint(
        checkpoints_pb2.RecordCheckpointRequest(
            id=str(uuid.uuid4()),
            project_id=found.project.id,
            parent_checkpoint_id=found.final.id,
            checkpoint_type="automatic",
            manifest_root=found.final.manifest_root,
            file_manifest=checkpoints_pb2.FileManifest(
                files=[checkpoints_pb2.ManifestFile(path=f"workspace/{_PATH}", size=1)]
            ),
        )
    )
    await services.metering.set_budget(
        metering_pb2.SetBudgetRequest(
            project=str(number) + "/ü" + "🜲" * 250, resource_type="time", amount="5"
        )
    )
    await register(services, f"{number}")
    await services.identity.register_instance(
        identity_pb2.RegisterInstanceRequest(id=str(uuid.uuid4()), host="elsewhere", pid=1)
    )
    await _one_more_user(services, f"user-{number}")
    await _talk(services, number)
    at_work = await services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            description=f"work {number}",
            start=True,
            context=work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"]),
        )
    )
    order, _ = await put_to_work(services, str(world.plane.instance_id), at_work)
    await _ask_and_pause(services, order, number)


async def _ask_and_pause(services: Services, order: work_pb2.ClaimedOrder, number: int) -> None:
    await ask_question(services, order, f"question {number}")
    await services.work.finish_execution(
        work_pb2.FinishExecutionRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            outcome="paused",
        )
    )


async def _machine(world: Composed, found: Found) -> None:
    services = world.local
    machine_id = str(uuid.uuid4())
    await services.machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=machine_id,
            machine_type="shell",
            project_id=found.project.id,
            hypervisor="process",
            instance_id=str(world.plane.instance_id),
        )
    )
    await services.machines.update_machine(
        machines_pb2.UpdateMachineRequest(machine_id=machine_id, status="active")
    )


async def _talk(services: Services, number: int) -> None:
    await services.chat.create_conversation(
        chat_pb2.CreateConversationRequest(project="website", title=f"{number}")
    )
    await services.chat.send_message(
        chat_pb2.SendMessageRequest(project="website", message=f"message {number}")
    )
    made = await services.documents.create_document(
        documents_pb2.CreateDocumentRequest(title=f"{number}/ü" + "🜲" * 250, content="x")
    )
    await services.documents.update_document(
        documents_pb2.UpdateDocumentRequest(document_id=made.id, content="y", title="Same")
    )
    await services.documents.update_document(
        documents_pb2.UpdateDocumentRequest(document_id=made.id, content="z")
    )


async def _one_more_user(services: Services, name: str) -> None:
    await services.identity.create_user(
        identity_pb2.CreateUserRequest(
            username=name, email=f"{name}@example.org", role="viewer", is_service_account=True
        )
    )
    await services.identity.create_token(
        identity_pb2.CreateTokenRequest(name=name, user_id="robot")
    )
    await services.projects.add_project_member(
        projects_pb2.AddProjectMemberRequest(project="website", user_id=name)
    )


async def _request(world: Composed, method: Method) -> Message:
    """Return a request for the list, with what it must have."""
    request = method.request_type()
    if method.descriptor.name == "ListPathHistory":
        request.project, request.path = "website", _PATH  # type: ignore[attr-defined]  # it has both
    if method.descriptor.name == "ListProjectMembers":
        request.project = "website"  # type: ignore[attr-defined]  # it has one
    if method.descriptor.name == "ListTokens":
        # Of nobody who calls: the time of a token's last use moves.
        request.user_id = "robot"  # type: ignore[attr-defined]  # it has one
    if method.descriptor.name == "ListAuditRecords":
        # None of them tells of these calls.
        request.operation = "CreateProject"  # type: ignore[attr-defined]  # it has one
    if method.descriptor.name == "ListMessages":
        sent = await world.local.chat.search_messages(
            chat_pb2.SearchMessagesRequest(query="message 3", project="website")
        )
        request.conversation_id = sent.messages[0].conversation_id  # type: ignore[attr-defined]  # it has one
    if method.descriptor.name == "ListDocumentVersions":
        listed_documents = await world.local.documents.list_documents(
            documents_pb2.ListDocumentsRequest()
        )
        request.document_id = listed_documents.documents[0].id  # type: ignore[attr-defined]  # it has one
    if "checkpoint_id" in method.descriptor.input_type.fields_by_name:
        listed = await world.local.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest()
        )
        request.checkpoint_id = listed.checkpoints[0].id  # type: ignore[attr-defined]  # it has one
    if method.service.endswith(".LogService") and method.descriptor.name != "ListExecutions":
        listed_executions = await world.local.logs.list_executions(
            logs_pb2.ListExecutionsRequest(statuses=["completed"])
        )
        request.execution_id = listed_executions.executions[-1].id  # type: ignore[attr-defined]  # as above
    elif "task_id" in method.descriptor.input_type.fields_by_name and (
        method.name in BY_CURSOR or method.descriptor.name == "ListTaskDependencies"
    ):
        tasks = await world.local.work.list_tasks(work_pb2.ListTasksRequest(statuses=["completed"]))
        request.task_id = tasks.tasks[0].id  # type: ignore[attr-defined]  # as above
    return request


def _items(answer: Message) -> list[Any]:
    [field] = [f for f in answer.DESCRIPTOR.fields if f.is_repeated]
    assert field.type == FieldDescriptor.TYPE_MESSAGE
    return list(getattr(answer, field.name))


def _ways(world: Composed, method: Method) -> list[Any]:
    if method.operation.audience == options_pb2.AUDIENCE_PEOPLE:
        return [world.local, world.http, world.rpc]
    return [world.local, world.rpc]


@in_module
@pytest.mark.parametrize("method", LISTS, ids=lambda m: m.descriptor.name)
async def test_pages_together_are_the_whole_list(world: Composed, method: Method) -> None:
    request = await _request(world, method)
    request.page_size = 500  # type: ignore[attr-defined]  # every list has it
    whole = _items(await call(world.local, method, request))
    assert len(whole) > 1
    size = 1 if method.name in BY_CURSOR else 2
    for services in _ways(world, method):
        pages: list[list[Any]] = []
        asked = method.request_type()
        asked.CopyFrom(request)
        asked.page_size = size
        while len(pages) <= len(whole):
            answer = await call(services, method, asked)
            pages.append(_items(answer))
            token = getattr(answer, next_field(method))
            if not token or not pages[-1]:
                break
            setattr(asked, token_field(method), token)
        assert len(pages) > 1
        assert all(len(page) == size for page in pages[:-1] if page)
        assert [item for page in pages for item in page] == whole


@in_module
@pytest.mark.parametrize("method", LISTS, ids=lambda m: m.descriptor.name)
@pytest.mark.parametrize(
    "token",
    [
        "rubbish",
        "W10",  # []
        "WyJhIiwiYiIsImMiLCJkIiwiZSIsImYiXQ",  # six texts
        "WzEsMl0",  # numbers
        "WyJhIiwiYiJd",  # neither time nor id
        "WyIyMDI2LTAxLTAxIiwiYiJd",  # a time without a zone
        "Ww" * 20_000,
        "a b",
        "%00",
        "ü",
    ],
)
async def test_a_token_of_somebody_else_is_refused_the_same(
    world: Composed, method: Method, token: str
) -> None:
    request = await _request(world, method)
    setattr(request, token_field(method), token)
    told: set[tuple[Code, str, str]] = set()
    for services in _ways(world, method):
        with pytest.raises(AutovibeError) as caught:
            await call(services, method, request)
        error = caught.value
        told.add((error.code, error.reason, error.message))
    [(code, reason, message)] = told
    assert (code, reason) == (Code.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert "start again without one" in message


@given(
    st.one_of(
        st.text(max_size=40),
        st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")),
        st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(
            lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        ),
    )
)
@settings(max_examples=300, derandomize=True, database=None)
def test_no_text_breaks_the_reading_of_a_token(text: str) -> None:
    for read in (lambda: decode_place(text), lambda: decode_token(text, 2)):
        try:
            key = read()
        except InvalidArgumentError:
            continue
        assert key is None or len(key) == 2


def test_the_table_of_exceptions_names_lists() -> None:
    assert set(BY_CURSOR) <= {method.name for method in LISTS} <= set(methods())

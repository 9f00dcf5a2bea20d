"""Every call of a service goes through invoke()."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from sqlalchemy import text
from stubs import TOKENS, Stub, operations_of

from autovibe.db import Database
from autovibe.db.errors import DatabaseReadOnlyError, SerializationError
from autovibe.domains.identity import IdentityService, InstanceNotFoundError
from autovibe.domains.projects import ProjectService
from autovibe.kernel.errors import AutovibeError, Code, PermissionDeniedError
from autovibe.operations import NotServedError, Operations, local_twin
from autovibe.operations.invoke import MAX_RERUNS
from autovibe.v1 import identity_pb2, projects_pb2, work_pb2

CREATE = "autovibe.v1.ProjectService/CreateProject"
LIST = "autovibe.v1.ProjectService/ListProjects"
APPLY = "autovibe.v1.WorkService/ApplyTask"
RESULT = "autovibe.v1.WorkService/GetTaskResult"


@pytest.fixture
def operations(db: Database) -> Operations:
    return operations_of(db, ProjectService=ProjectService(), IdentityService=IdentityService())


async def names(operations: Operations) -> list[str]:
    ctx = operations.context(TOKENS["all"])
    listed = await operations.invoke(LIST, projects_pb2.ListProjectsRequest(), ctx)
    return [project.name for project in listed.projects]


@pytest.mark.req("S3-116")
async def test_a_write_is_committed_with_one_audit_row(operations, audit) -> None:
    ctx = operations.context(TOKENS["all"])
    made = await operations.invoke(CREATE, projects_pb2.CreateProjectRequest(name="a"), ctx)
    assert await names(operations) == ["a"]
    assert await audit() == [
        {
            "actor_type": "user",
            "actor_id": "owner",
            "operation": CREATE,
            "resource_type": "project",
            "resource_id": made.id,
            "outcome": "ok",
            "reason": None,
            "request_id": ctx.request_id,
        }
    ]


async def test_a_denied_call_is_not_run_and_audited(operations, audit) -> None:
    ctx = operations.context(TOKENS["reader"])
    with pytest.raises(PermissionDeniedError) as caught:
        await operations.invoke(CREATE, projects_pb2.CreateProjectRequest(name="a"), ctx)
    assert caught.value.message == (
        "This token lacks the permission projects.write; use one that has it."
    )
    assert await names(operations) == []
    [row] = await audit()
    assert (row["actor_id"], row["outcome"], row["reason"]) == (
        "reader",
        "refused",
        "PERMISSION_DENIED",
    )


async def test_a_refused_write_is_audited_with_its_reason(operations, audit) -> None:
    request = projects_pb2.CreateProjectRequest(name="a")
    await operations.invoke(CREATE, request, operations.context(TOKENS["all"]))
    with pytest.raises(AutovibeError, match="exists"):
        await operations.invoke(CREATE, request, operations.context(TOKENS["all"]))
    assert [(row["outcome"], row["reason"]) for row in await audit()] == [
        ("ok", None),
        ("refused", "PROJECT_EXISTS"),
    ]


async def test_reads_and_unaudited_writes_leave_no_audit_row(operations, audit) -> None:
    services = local_twin(operations, lambda: operations.context(TOKENS["all"]))
    with pytest.raises(InstanceNotFoundError):
        await services.identity.heartbeat_instance(
            identity_pb2.HeartbeatInstanceRequest(id="00000000-0000-0000-0000-000000000001")
        )
    await services.identity.list_instances(identity_pb2.ListInstancesRequest())
    assert await audit() == []


async def test_the_thing_that_a_request_names_is_audited(operations, audit) -> None:
    services = local_twin(operations, lambda: operations.context(TOKENS["all"]))
    issued = await services.identity.issue_token(
        identity_pb2.IssueTokenRequest(name="t", scopes=["*"])
    )
    await services.identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=issued.token_id))
    ended = "00000000-0000-0000-0000-000000000001"
    await services.identity.remove_instance(identity_pb2.RemoveInstanceRequest(id=ended))
    ensured = await services.projects.ensure_project(projects_pb2.EnsureProjectRequest(project="p"))
    assert [(row["resource_type"], row["resource_id"]) for row in await audit()] == [
        ("token", issued.token_id),
        ("token", issued.token_id),
        ("instance", ended),
        ("project", ensured.project.id),
    ]


async def test_a_read_cannot_write(db: Database) -> None:
    async def writes(tx: Any, _ctx: Any, _request: Any) -> Any:
        await tx.session.execute(text("DELETE FROM projects"))

    operations = operations_of(
        db, ProjectService=Stub("autovibe.v1.ProjectService", list_projects=writes)
    )
    with pytest.raises(DatabaseReadOnlyError):
        await names(operations)


async def test_what_nobody_expected_becomes_internal_and_tells_no_sql(
    db: Database, audit, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(tx: Any, _ctx: Any, _request: Any) -> Any:
        await tx.session.execute(text("SELECT secret_column FROM no_such_table"))

    operations = operations_of(
        db, ProjectService=Stub("autovibe.v1.ProjectService", create_project=broken)
    )
    ctx = operations.context(TOKENS["all"])
    with caplog.at_level(logging.ERROR), pytest.raises(AutovibeError) as caught:
        await operations.invoke(CREATE, projects_pb2.CreateProjectRequest(name="a"), ctx)
    error = caught.value
    assert (error.code, error.reason) == (Code.INTERNAL, "INTERNAL")
    assert ctx.request_id in error.message
    assert "secret_column" not in error.message + str(error.params)
    assert "secret_column" in caplog.text
    assert ctx.request_id in caplog.text
    [row] = await audit()
    assert (row["outcome"], row["reason"]) == ("failed", "INTERNAL")


class Racing(ProjectService):
    """Loses a race a number of times, after it has written."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.runs = 0

    async def create_project(self, tx: Any, ctx: Any, request: Any) -> Any:
        self.runs += 1
        made = await super().create_project(tx, ctx, request)
        if self.runs <= self.losses:
            raise SerializationError("Another transaction changed the same rows; try again.")
        return made


async def test_a_lost_race_runs_the_whole_operation_again(db: Database, audit) -> None:
    service = Racing(losses=MAX_RERUNS)
    operations = operations_of(db, ProjectService=service)
    ctx = operations.context(TOKENS["all"])
    await operations.invoke(CREATE, projects_pb2.CreateProjectRequest(name="a"), ctx)
    assert service.runs == MAX_RERUNS + 1
    assert await names(operations) == ["a"]
    assert [row["outcome"] for row in await audit()] == ["ok"]


async def test_after_three_re_runs_the_race_is_reported(db: Database) -> None:
    service = Racing(losses=99)
    operations = operations_of(db, ProjectService=service)
    with pytest.raises(SerializationError):
        await operations.invoke(
            CREATE, projects_pb2.CreateProjectRequest(name="a"), operations.context(TOKENS["all"])
        )
    assert service.runs == 4
    assert await names(operations) == []


async def test_calls_that_race_for_one_name_agree_on_one_project(operations: Operations) -> None:
    services = local_twin(operations, lambda: operations.context(TOKENS["all"]))
    request = projects_pb2.EnsureProjectRequest(project="same")
    answers = await asyncio.gather(*(services.projects.ensure_project(request) for _ in range(6)))
    assert len({answer.project.id for answer in answers}) == 1
    assert sorted(answer.created for answer in answers) == [False] * 5 + [True]


class Long:
    """A long operation that notes its steps; `act` needs the database for itself."""

    def __init__(self, db: Database, losses: int = 0) -> None:
        self.db = db
        self.losses = losses
        self.steps: list[str] = []

    async def prepare(self, tx: Any, _ctx: Any, request: Any) -> str:
        self.steps.append("prepare")
        with pytest.raises(DatabaseReadOnlyError):
            await tx.session.execute(text("DELETE FROM projects"))
        return request.branch

    async def act(self, _ctx: Any, plan: str) -> str:
        self.steps.append("act")
        async with self.db.write() as tx:  # would wait for ever if a transaction were open
            tx.emit("test.acted", {"plan": plan})
        return plan.upper()

    async def record(self, _tx: Any, _ctx: Any, plan: str, outcome: str) -> Any:
        self.steps.append("record")
        if self.steps.count("record") <= self.losses:
            raise SerializationError("Another transaction changed the same rows; try again.")
        return work_pb2.ApplyTaskResponse(branch=plan, commit=outcome)


async def test_a_long_operation_acts_between_two_transactions(db: Database, audit) -> None:
    long = Long(db, losses=1)
    operations = operations_of(db, WorkService=Stub("autovibe.v1.WorkService", apply_task=long))
    response = await operations.invoke(
        APPLY,
        work_pb2.ApplyTaskRequest(task_id="abcdef01", branch="b"),
        operations.context(TOKENS["all"]),
    )
    assert response == work_pb2.ApplyTaskResponse(branch="b", commit="B")
    # What was done is not done again, only its recording.
    assert long.steps == ["prepare", "act", "record", "record"]
    [row] = await audit()
    assert (row["operation"], row["resource_type"], row["resource_id"]) == (
        APPLY,
        "task",
        "abcdef01",
    )


async def test_a_long_read_records_nothing(db: Database, audit) -> None:
    work = Stub("autovibe.v1.WorkService")
    operations = operations_of(db, WorkService=work)
    request = work_pb2.GetTaskResultRequest(task_id="abcdef01")
    await operations.invoke(RESULT, request, operations.context(TOKENS["reader"]))
    assert work.calls == [(RESULT, request)]
    assert await audit() == []


async def test_an_operation_that_is_not_served_says_so(operations: Operations) -> None:
    with pytest.raises(NotServedError) as caught:
        await operations.invoke(
            APPLY, work_pb2.ApplyTaskRequest(), operations.context(TOKENS["all"])
        )
    assert caught.value.params == {"operation": APPLY}


async def test_a_message_of_another_type_is_a_mistake_of_the_program(operations) -> None:
    with pytest.raises(TypeError, match=r"autovibe\.v1\.CreateProjectRequest"):
        await operations.invoke(
            CREATE, work_pb2.ApplyTaskRequest(), operations.context(TOKENS["all"])
        )


async def test_each_call_of_a_twin_has_its_own_request_id(operations, audit) -> None:
    services = local_twin(operations, lambda: operations.context(TOKENS["all"]))
    for name in ("a", "b"):
        await services.projects.create_project(projects_pb2.CreateProjectRequest(name=name))
    assert len({row["request_id"] for row in await audit()}) == 2

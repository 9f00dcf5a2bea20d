"""The reads that are answered from the query cache, through the services that people use."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from plane import Plane, StillClock, open_plane
from sqlalchemy import select, text, update
from valkey_server import Valkey

from autovibe.db import Database, cache_backends, open_database
from autovibe.db.cache import PREFIX, TOPIC
from autovibe.db.records import OutboxEvent
from autovibe.kernel.database_settings import CacheSettings
from autovibe.testing import factories
from autovibe.v1 import (
    checkpoints_pb2,
    identity_pb2,
    machines_pb2,
    metering_pb2,
    projects_pb2,
)

LIST = projects_pb2.ListProjectsRequest()


@pytest.fixture(scope="module")
def valkey():
    server = Valkey()
    server.start()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy host may need longer than a cache is normally given."""
    monkeypatch.setattr(cache_backends, "TIMEOUT_S", 30)


def open_cached(database_url: str, cache_url: str, clock: StillClock) -> Database:
    return open_database(database_url, clock=clock, cache=CacheSettings(url=cache_url))


@pytest.fixture
async def plane(database_url: str, tmp_path: Path):
    """A control plane whose cache is in memory."""
    clock = StillClock()
    database = open_cached(database_url, "memory", clock)
    yield open_plane(database, tmp_path / "plane", clock)
    await database.close()


@pytest.fixture
async def shared(database_url: str, tmp_path: Path, valkey: Valkey):
    """A control plane whose cache is a server."""
    clock = StillClock()
    database = open_cached(database_url, valkey.url, clock)
    await database.cache._backend._client.flushdb()
    yield open_plane(database, tmp_path / "plane", clock)
    await database.close()


def count(plane: Plane, region: str, result: str = "hit") -> float:
    return plane.db.metrics.cache_requests.labels(region, result)._value.get()


async def names(plane: Plane) -> list[str]:
    return [each.name for each in (await plane.services.projects.list_projects(LIST)).projects]


async def times_to_live(plane: Plane) -> dict[str, int]:
    client = plane.db.cache._backend._client
    found = {}
    async for name in client.scan_iter(f"{PREFIX}*"):
        region = name.decode().removeprefix(PREFIX).partition(":")[0]
        found[region] = max(found.get(region, 0), await client.ttl(name))
    return found


@pytest.mark.req("S0-116")
async def test_lists_of_projects_are_kept_and_a_change_shows_at_once(plane: Plane) -> None:
    made = await plane.project("a")
    assert [await names(plane) for _ in range(3)] == [["a"]] * 3
    assert count(plane, "project_list") == 2
    await plane.project("b")
    assert await names(plane) == ["a", "b"]
    checkpoint = await plane.checkpoint(made.id)
    async with plane.db.write() as tx:
        project = factories.model("projects")
        await tx.session.execute(
            update(project).values(current_checkpoint_id=uuid.UUID(checkpoint.id))
        )
    listed = (await plane.services.projects.list_projects(LIST)).projects
    assert {each.current_checkpoint_id for each in listed} == {checkpoint.id}


async def test_a_hit_needs_no_connection(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    await plane.project("a")
    await names(plane)

    def refuse() -> None:
        raise AssertionError("a transaction was opened")

    with monkeypatch.context() as patch:
        patch.setattr(plane.db, "read", refuse)
        assert await names(plane) == ["a"]


async def test_a_write_that_is_rolled_back_makes_nothing_stale(plane: Plane) -> None:
    await plane.project("a")
    await names(plane)

    async def fail() -> None:
        async with plane.db.write() as tx:
            await factories.add_project(tx, name="b")
            await tx.session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await names(plane) == ["a"]
    assert count(plane, "project_list") == 1


@pytest.mark.req("S0-117")
async def test_the_status_of_a_machine_is_kept_and_a_change_shows_at_once(plane: Plane) -> None:
    project = await plane.project()
    machines = plane.services.machines
    made = await machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=str(uuid.uuid4()),
            machine_type="developer",
            project_id=project.id,
            hypervisor="process",
            original_prompt="x",
            instance_id=plane.instance_id,
        )
    )
    request = machines_pb2.GetMachineRequest(machine_id=made.id.upper())
    assert [(await machines.get_machine(request)).status for _ in range(2)] == ["spawning"] * 2
    assert count(plane, "machine_status") == 1
    await machines.update_machine(
        machines_pb2.UpdateMachineRequest(machine_id=made.id, status="active")
    )
    assert (await machines.get_machine(request)).status == "active"
    async with plane.db.write() as tx:
        machine = factories.model("intelligent_machines")
        await tx.session.execute(update(machine).values(current_progress="by a statement"))
    assert (await machines.get_machine(request)).current_progress == "by a statement"


@pytest.mark.req("S0-118")
async def test_a_checkpoint_is_kept_once_it_is_verified(plane: Plane) -> None:
    project = await plane.project()
    checkpoints = plane.services.checkpoints
    verified = await plane.checkpoint(project.id)
    pending = await plane.checkpoint(project.id, verified=False)
    for checkpoint in (verified, pending):
        for _ in range(3):
            found = await checkpoints.get_checkpoint(
                checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint.id)
            )
            assert found.id == checkpoint.id
    assert count(plane, "verified_checkpoint") == 2
    short = checkpoints_pb2.GetCheckpointRequest(checkpoint_id=verified.id[:20])
    assert [(await checkpoints.get_checkpoint(short)).id for _ in range(2)] == [verified.id] * 2
    assert count(plane, "verified_checkpoint") == 2  # a prefix may become another's


@pytest.mark.req("S0-119")
async def test_usage_is_kept_on_a_server_only_and_a_settled_call_shows_at_once(
    shared: Plane, database_url: str, tmp_path: Path
) -> None:
    project = await shared.project()
    metering = shared.services.metering

    async def record() -> None:
        await metering.record_usage_many(
            metering_pb2.RecordUsageManyRequest(
                samples=[
                    metering_pb2.UsageSample(
                        project_id=project.id,
                        resource_type="cpu",
                        amount="1.5",
                        unit="seconds",
                    )
                ]
            )
        )

    async def amounts() -> list[str]:
        report = await metering.get_usage(metering_pb2.GetUsageRequest(project=project.name))
        return [line.amount for line in report.lines]

    await record()
    first = await amounts()
    assert await amounts() == first
    assert count(shared, "usage_summary") == 1
    await record()
    assert await amounts() != first
    local = open_cached(database_url, "memory", shared.clock)
    plane = open_plane(local, tmp_path / "other", shared.clock)
    for _ in range(2):
        await plane.services.metering.get_usage(metering_pb2.GetUsageRequest())
    assert count(plane, "usage_summary", "miss") == 0
    await local.close()


@pytest.mark.req("S0-115", "S0-116", "S0-117", "S0-118", "S0-119")
async def test_answers_live_on_the_server_as_long_as_the_sources_say(shared: Plane) -> None:
    project = await shared.project()
    checkpoint = await shared.checkpoint(project.id)
    async with shared.db.write() as tx:
        machine = await factories.add_machine(tx, uuid.UUID(project.id))
        machine_id = str(machine.id)
    await names(shared)
    await shared.services.machines.get_machine(
        machines_pb2.GetMachineRequest(machine_id=machine_id)
    )
    await shared.services.checkpoints.get_checkpoint(
        checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint.id)
    )
    await shared.services.metering.get_usage(metering_pb2.GetUsageRequest())
    found = await times_to_live(shared)
    limits = {
        "project_list": 300,
        "machine_status": 30,
        "verified_checkpoint": 3_600,
        "usage_summary": 900,
    }
    assert found.keys() == {*limits, "stamp"}
    for region, limit in limits.items():
        assert limit - 10 < found[region] <= limit


async def test_what_another_process_changed_is_seen_after_a_second(
    plane: Plane, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plane.project("a")
    assert await names(plane) == ["a"]
    database = open_cached(database_url, "memory", plane.clock)
    await open_plane(database, tmp_path / "other", plane.clock).project("b")
    await database.close()
    assert await names(plane) == ["a"]
    monkeypatch.setattr(plane.db.cache, "_followed", None)  # as if the second had passed
    assert await names(plane) == ["a", "b"]


async def test_only_what_is_asked_for_is_written_to_the_outbox(plane: Plane) -> None:
    await plane.project("a")
    await plane.services.identity.issue_token(
        identity_pb2.IssueTokenRequest(name="owner", scopes=["*"])
    )
    async with plane.db.read() as tx:
        rows = (await tx.session.scalars(select(OutboxEvent))).all()
        assert [(row.topic, row.payload) for row in rows] == [(TOPIC, {"keys": ["projects/*"]})]
        # No relay is kept busy by them.
        assert all(row.relayed_at is not None for row in rows)
        assert await tx.session.scalar(text("SELECT count(*) FROM projects")) == 1

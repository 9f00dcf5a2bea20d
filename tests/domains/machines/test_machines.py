from __future__ import annotations

import itertools
import uuid

import pytest
from plane import NOON, Plane

from autovibe.domains.machines.errors import InvalidMachineTransitionError, MachineNotFoundError
from autovibe.domains.machines.models import MachineStatus
from autovibe.domains.machines.transitions import check_transition
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import encode_token
from autovibe.kernel.protoconv import from_timestamp, struct
from autovibe.v1 import machines_pb2

ALLOWED = {
    "spawning": {"active", "error", "terminated"},
    "active": {"working", "checkpointing", "error", "terminated"},
    "working": {"active", "checkpointing", "error", "terminated"},
    "checkpointing": {"active", "working", "error", "terminated"},
    "error": {"spawning", "terminated"},
    "terminated": set(),
}
PAIRS = list(itertools.product(ALLOWED, ALLOWED))


def test_the_table_speaks_of_every_status():
    assert set(ALLOWED) == {str(status) for status in MachineStatus}


@pytest.mark.req("S0-55")
@pytest.mark.parametrize(("current", "target"), PAIRS)
def test_a_machine_goes_only_where_the_table_says(current: str, target: str):
    if target in ALLOWED[current]:
        check_transition(current, target)
        return
    with pytest.raises(InvalidMachineTransitionError) as refused:
        check_transition(current, target)
    assert refused.value.params == {"current": current, "target": target}


async def _update(plane: Plane, machine_id: str, **fields: object) -> machines_pb2.Machine:
    return await plane.services.machines.update_machine(
        machines_pb2.UpdateMachineRequest(machine_id=machine_id, **fields)
    )


async def _get(plane: Plane, machine_id: str) -> machines_pb2.Machine:
    return await plane.services.machines.get_machine(
        machines_pb2.GetMachineRequest(machine_id=machine_id)
    )


async def test_a_machine_lives_from_spawning_to_terminated_even_on_a_clock_that_stands_still(
    plane: Plane,
):
    project = await plane.project()
    made = await plane.machine(project.id, original_prompt="do it")
    assert (made.status, made.checkpoint_count) == ("spawning", 0)
    assert from_timestamp(made.spawned_at) == NOON
    assert not made.HasField("terminated_at")
    assert made.metadata["instance_id"] == plane.instance_id

    with pytest.raises(InvalidMachineTransitionError):
        await _update(plane, made.id, status="working", vm_id="ghost")
    assert (await _get(plane, made.id)).vm_id == ""

    await _update(plane, made.id, status="active", vm_id="vm-1", pid=4711)
    await _update(plane, made.id, status="working", current_progress="half")
    same = await _update(plane, made.id, status="working")
    assert (same.vm_id, same.current_progress) == ("vm-1", "half")
    assert same.metadata["pid"] == 4711
    assert same.metadata["instance_id"] == plane.instance_id
    ended = await _update(
        plane,
        made.id,
        status="terminated",
        error_message="over",
        resource_usage=struct({"cpu_s": 1.5}),
    )
    assert from_timestamp(ended.terminated_at) > from_timestamp(ended.spawned_at)
    assert (ended.error_message, ended.resource_usage["cpu_s"]) == ("over", 1.5)
    again = await _update(plane, made.id, status="terminated")
    assert again.terminated_at == ended.terminated_at
    with pytest.raises(InvalidMachineTransitionError):
        await _update(plane, made.id, status="active")
    with pytest.raises(MachineNotFoundError):
        await _update(plane, str(uuid.uuid4()), status="active")
    with pytest.raises(MachineNotFoundError):
        await _get(plane, str(uuid.uuid4()))


async def test_the_list_pages_through_machines_of_one_moment_and_filters(plane: Plane):
    project = await plane.project()
    other = await plane.project("other")
    early = [(await plane.machine(project.id)).id for _ in range(3)]
    plane.clock.advance(seconds=1)
    late = [(await plane.machine(project.id)).id for _ in range(2)]
    elsewhere = (await plane.machine(other.id)).id
    await _update(plane, late[0], status="error")

    async def listed(page_size: int, **filters: object) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await plane.services.machines.list_machines(
                machines_pb2.ListMachinesRequest(page_size=page_size, page_token=token, **filters)
            )
            assert len(page.machines) <= page_size
            found += [machine.id for machine in page.machines]
            token = page.next_page_token
            if not token:
                return found

    for size in (1, 2, 5, 6, 50):
        found = await listed(size)
        assert sorted(found[:3]) == sorted([*late, elsewhere])
        assert sorted(found[3:]) == sorted(early)
    assert sorted(await listed(2, project="website")) == sorted([*early, *late])
    assert await listed(2, project=other.id) == [elsewhere]
    assert await listed(2, statuses=["error", "terminated"]) == [late[0]]


@pytest.mark.parametrize(
    "token",
    [
        "rubbish",
        encode_token("only one"),
        encode_token("no time", str(uuid.UUID(int=1))),
        encode_token("2026-11-23T12:00:00", str(uuid.UUID(int=1))),
        encode_token(NOON.isoformat(), "no id"),
    ],
)
async def test_a_page_token_of_somebody_else_is_refused(one_plane: Plane, token: str):
    with pytest.raises(InvalidArgumentError):
        await one_plane.services.machines.list_machines(
            machines_pb2.ListMachinesRequest(page_token=token)
        )

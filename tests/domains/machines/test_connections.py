from __future__ import annotations

import json
import uuid

import pytest
from plane import Plane

from autovibe.domains.machines.errors import MachineNotFoundError
from autovibe.v1 import machines_pb2


async def record(
    plane: Plane, machine_id: str, *connections: machines_pb2.MachineConnection
) -> int:
    answer = await plane.services.machines.record_connections(
        machines_pb2.RecordConnectionsRequest(machine_id=machine_id, connections=connections)
    )
    return answer.recorded


async def test_connections_of_a_machine_stand_in_the_audit_trail(plane: Plane):
    project = await plane.project()
    machine = await plane.machine(project.id)
    recorded = await record(
        plane,
        machine.id,
        machines_pb2.MachineConnection(
            host="packages.example.net",
            port=443,
            verdict="allowed",
            address="192.0.2.1",
            sent_bytes=10,
            received_bytes=2_000,
            duration_ms=30,
            count=1,
        ),
        machines_pb2.MachineConnection(
            host="x" * 120 + ".example",
            port=443,
            verdict="denied",
            reason="HOST_NOT_ALLOWED",
            count=7,
        ),
        machines_pb2.MachineConnection(
            host="gone.example", port=443, verdict="failed", reason="UNREACHABLE", count=1
        ),
    )
    assert recorded == 3
    rows = await plane.rows(
        "SELECT actor_type, actor_id, resource_type, resource_id, outcome, reason, details "
        "FROM audit_log WHERE operation = 'Connect' ORDER BY id"
    )
    assert {row[:3] for row in rows} == {("machine", machine.id, "host")}
    assert [row[4:6] for row in rows] == [
        ("ok", None),
        ("refused", "HOST_NOT_ALLOWED"),
        ("failed", "UNREACHABLE"),
    ]
    assert rows[0][3] == "packages.example.net:443"
    assert rows[1][3].endswith(".example:443")
    details = [json.loads(row[6]) if isinstance(row[6], str) else row[6] for row in rows]
    assert (details[0]["received_bytes"], details[0]["address"]) == (2_000, "192.0.2.1")
    assert (details[1]["count"], len(details[1]["host"])) == (7, 128)
    assert details[0]["project_id"] == project.id


async def test_an_unknown_machine_has_no_connections(one_plane: Plane):
    one = machines_pb2.MachineConnection(host="a", port=1, verdict="allowed", count=1)
    with pytest.raises(MachineNotFoundError):
        await record(one_plane, str(uuid.uuid4()), one)

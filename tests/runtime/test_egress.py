from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from ledger_desk import HandClock

from autovibe.domains.metering.egress import Connection, Verdict
from autovibe.kernel.errors import UnavailableError
from autovibe.runtime.egress import MOST_LINES, MOST_PENDING, EgressReporter, proxy_env
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import machines_pb2, services


@dataclass
class Trail:
    """Takes connections, but for the first `failures` times."""

    failures: int = 0
    recorded: list[machines_pb2.MachineConnection] = field(default_factory=list)

    async def record_connections(
        self, request: machines_pb2.RecordConnectionsRequest
    ) -> machines_pb2.RecordConnectionsResponse:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("the database is away")
        self.recorded += request.connections
        return machines_pb2.RecordConnectionsResponse(recorded=len(request.connections))


@dataclass
class Lines:
    """A log that keeps its lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def write(self, kind: str, message: str, /, *, level: str = "INFO", **_: Any) -> None:
        assert kind == "notice"
        self.lines.append((level, message))


def reporter(trail: Trail, lines: Lines) -> EgressReporter:
    return EgressReporter(
        cast("services.MachineService", trail), "m", cast("ExecutionLog", lines), HandClock()
    )


def connection(host: str, verdict: Verdict = "allowed", **more: Any) -> Connection:
    return Connection(host, 443, verdict, message="because", **more)


async def test_connections_are_logged_and_recorded():
    trail, lines = Trail(), Lines()
    told = reporter(trail, lines)
    told.connected(connection("packages.example.net", sent_bytes=1_200, received_bytes=34_000))
    told.connected(connection("2001:db8::1", "failed", reason="UNREACHABLE"))
    told.connected(connection("evil.example", "denied", reason="HOST_NOT_ALLOWED"))
    told.connected(connection("evil.example", "denied", reason="HOST_NOT_ALLOWED"))
    await told.close()
    # A host that is refused again is no news for the log, but the trail has each.
    assert lines.lines == [
        ("INFO", "Connected to packages.example.net:443: 1,200 bytes sent, 34,000 received"),
        ("WARNING", "The connection to [2001:db8::1]:443 failed: because"),
        ("WARNING", "Refused to connect to evil.example:443: because"),
    ]
    assert [one.host for one in trail.recorded] == [
        "packages.example.net",
        "2001:db8::1",
        *["evil.example"] * 2,
    ]
    assert {one.count for one in trail.recorded} == {1}


async def test_a_flood_of_connections_fills_neither_log_nor_memory():
    trail, lines = Trail(), Lines()
    told = reporter(trail, lines)
    total = 4 * MOST_PENDING
    for number in range(total):
        told.connected(connection(f"h{number}.example", sent_bytes=1, received_bytes=2))
    await told.close()
    assert len(lines.lines) == MOST_LINES + 1
    assert lines.lines[-1][1] == f"{total - MOST_LINES} more connections are not shown here."
    assert len(trail.recorded) == MOST_PENDING + 1
    assert sum(one.count for one in trail.recorded) == total
    assert sum(one.received_bytes for one in trail.recorded) == 2 * total


async def test_what_cannot_be_recorded_at_once_is_recorded_later_or_said():
    trail, lines = Trail(failures=2), Lines()
    told = reporter(trail, lines)
    told.connected(connection("packages.example.net"))
    await told.close()
    assert [one.host for one in trail.recorded] == ["packages.example.net"]

    trail, lines = Trail(failures=9), Lines()
    told = reporter(trail, lines)
    told.connected(connection("packages.example.net"))
    await told.close()
    assert lines.lines[-1] == (
        "ERROR",
        "1 connections could not be written to the audit trail.",
    )


async def test_a_trail_that_is_away_for_long_is_caught_up_in_one_request():
    trail, lines = Trail(failures=2), Lines()
    told = reporter(trail, lines)
    for flood in range(3):
        for number in range(MOST_PENDING):
            told.connected(connection(f"h{number}.{flood}.example"))
        await told._flush()
    await told.close()
    assert sum(one.count for one in trail.recorded) == 3 * MOST_PENDING
    assert len(trail.recorded) == MOST_PENDING + 1


def test_programs_find_the_proxy_under_every_name_and_the_gateway_without_it():
    env = proxy_env("k-_1")
    assert {env[name] for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")} == {
        "http://machine:k-_1@127.0.0.1:{autovibe:port}"
    }
    assert env["NO_PROXY"] == env["no_proxy"] == "127.0.0.1,localhost,::1"

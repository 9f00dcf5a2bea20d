"""What is told of a machine's connections: in the log of its execution, and in the audit trail."""

from __future__ import annotations

import asyncio
from typing import Final

from autovibe.domains.metering.egress import Connection
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import timestamp
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import machines_pb2, services

MOST_LINES: Final = 200
"""Lines in the log of one execution; what comes later is counted."""
MOST_PENDING: Final = 500
"""Connections that wait to be recorded one by one; more are added up by host."""
_GATHER_S: Final = 2.0
_TRIES: Final = 3
_RETRY_S: Final = 0.2
_OTHERS: Final = "(other hosts)"


def agent_env(virtual_key: str) -> dict[str, str]:
    """Return the variables by which programs in a machine find /agent/v1, and its token."""
    return {
        "AUTOVIBE_AGENT_URL": "http://127.0.0.1:{autovibe:port}/agent/v1",
        "AUTOVIBE_AGENT_TOKEN": virtual_key,
    }


def proxy_env(virtual_key: str) -> dict[str, str]:
    """Return the variables by which programs in a machine find its way into the network.

    Names of both cases, as programs read one or the other. The gateway and servers within the
    machine are reached directly.
    """
    url = f"http://machine:{virtual_key}@127.0.0.1:{{autovibe:port}}"
    direct = "127.0.0.1,localhost,::1"
    return {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), url),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
    }


class EgressReporter:
    """Implements `metering.EgressObserver` for one machine.

    A program that opens connections without end fills neither memory nor log.
    """

    def __init__(
        self,
        machines: services.MachineService,
        machine_id: str,
        log: ExecutionLog,
        clock: Clock,
    ) -> None:
        """Report the connections of one machine."""
        self._machines = machines
        self._machine_id = machine_id
        self._log = log
        self._clock = clock
        self._pending: list[machines_pb2.MachineConnection] = []
        self._by_host: dict[tuple[str, int, str, str], machines_pb2.MachineConnection] = {}
        self._lines = 0
        self._unsaid = 0
        self._denied: set[tuple[str, int]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()

    def connected(self, connection: Connection) -> None:
        """Log a connection, and record it soon."""
        self._tell(connection)
        self._keep(connection)
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._flush_soon(), name="egress-record")

    async def close(self) -> None:
        """Record what is left; what cannot be recorded is said."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
        for attempt in range(_TRIES):
            if await self._flush():
                break
            if attempt + 1 < _TRIES:
                await asyncio.sleep(_RETRY_S)
        if self._unsaid:
            self._log.write("notice", f"{self._unsaid} more connections are not shown here.")
        if self._pending:
            lost = sum(one.count for one in self._pending)
            text = f"{lost} connections could not be written to the audit trail."
            self._log.write("notice", text, level="ERROR")

    def _tell(self, connection: Connection) -> None:
        host = _place(connection)
        if connection.verdict == "denied":
            if (connection.host, connection.port) in self._denied:
                return  # one line is enough to know whom to allow
            if len(self._denied) < MOST_LINES:
                self._denied.add((connection.host, connection.port))
        if self._lines >= MOST_LINES:
            self._unsaid += 1
            return
        self._lines += 1
        passed = f"{connection.sent_bytes:,} bytes sent, {connection.received_bytes:,} received"
        text = {
            "allowed": f"Connected to {host}: {passed}",
            "denied": f"Refused to connect to {host}: {connection.message}",
            "failed": f"The connection to {host} failed: {connection.message}",
        }[connection.verdict]
        self._log.write(
            "notice",
            text,
            level="INFO" if connection.verdict == "allowed" else "WARNING",
            host=connection.host,
            port=connection.port,
            verdict=connection.verdict,
            reason=connection.reason,
            sent_bytes=connection.sent_bytes,
            received_bytes=connection.received_bytes,
        )

    def _keep(self, connection: Connection) -> None:
        message = machines_pb2.MachineConnection(
            host=connection.host,
            port=connection.port,
            verdict=connection.verdict,
            reason=connection.reason,
            address=connection.address,
            sent_bytes=connection.sent_bytes,
            received_bytes=connection.received_bytes,
            duration_ms=round(connection.duration_s * 1000),
            count=1,
            ended_at=timestamp(self._clock.now()),
        )
        self._add(message)

    def _add(self, message: machines_pb2.MachineConnection) -> None:
        """Keep a connection, or add it up with others to its host when there are too many."""
        same = self._by_host.get(_key(message))
        if len(self._pending) >= MOST_PENDING:
            if same is None:
                message.host, message.port, message.address, message.reason = _OTHERS, 0, "", ""
                same = self._by_host.get(_key(message))
            if same is not None:
                same.count += message.count
                same.sent_bytes += message.sent_bytes
                same.received_bytes += message.received_bytes
                return
        self._pending.append(message)
        self._by_host[_key(message)] = message

    async def _flush_soon(self) -> None:
        while self._pending:
            await asyncio.sleep(_GATHER_S)
            await self._flush()

    async def _flush(self) -> bool:
        """Record what is pending; return whether nothing is left."""
        async with self._flushing:
            batch, self._pending, self._by_host = self._pending, [], {}
            if not batch:
                return True
            request = machines_pb2.RecordConnectionsRequest(
                machine_id=self._machine_id, connections=batch
            )
            try:
                await self._machines.record_connections(request)
            except AutovibeError:
                newer, self._pending = self._pending, batch
                self._by_host = {_key(one): one for one in batch}
                for one in newer:
                    self._add(one)
                return False
            return True


def _place(connection: Connection) -> str:
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"{host}:{connection.port}"


def _key(one: machines_pb2.MachineConnection) -> tuple[str, int, str, str]:
    return one.host, one.port, one.verdict, one.reason

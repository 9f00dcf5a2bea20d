"""`autovibe worker start`: a process that does orders and has no database.

All it needs of the control plane goes through gRPC; it shares the home, and so the checkpoint
store, with the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from autovibe.agents import adapters
from autovibe.app.compose import (
    Offer,
    http_session,
    local_drivers,
    open_store,
    registered_worker,
    surroundings_of,
)
from autovibe.app.telemetry import gateway_telemetry
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.ids import new_id
from autovibe.kernel.settings import Settings, ensure_home
from autovibe.runtime.admission import Admission
from autovibe.runtime.control import LocalControl
from autovibe.runtime.fleet import LocalFleet
from autovibe.runtime.instance import registered_instance
from autovibe.runtime.protection import protect_process
from autovibe.runtime.recovery import Recovery
from autovibe.runtime.worker import Worker
from autovibe.sdk.grpc_remote import connect_grpc


@dataclass(frozen=True)
class Server:
    """How a server is reached: its gRPC address, a token, and over TLS its certificate (PEM).

    Without a certificate nothing is encrypted: that is for addresses of this host alone.
    """

    target: str
    token: str
    certificate: bytes | None = None


@contextlib.asynccontextmanager
async def open_worker(
    settings: Settings,
    server: Server,
    offer: Offer,
    clock: Clock | None = None,
) -> AsyncGenerator[Worker]:
    """Register a worker with a server and give it; what dead processes left here is recovered.

    Args:
        settings: of the home that it shares with the server; their database is not used.
        server: how it is reached.
        offer: what the worker does, and how much of it at once.
        clock: the system's when not given.

    Raises:
        UnavailableError: the server cannot be reached.
        UnauthenticatedError: the token is not valid.
        WorkerVersionMismatchError: the server is another version.
        InvalidArgumentError: a capability is malformed.
    """
    clock = clock or SystemClock()
    protect_process()
    ensure_home(settings)
    instance_id = new_id()
    async with contextlib.AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            connect_grpc(server.target, server.token, certificate=server.certificate)
        )
        await stack.enter_async_context(
            registered_instance(services.identity, instance_id, settings.run_path)
        )
        store = open_store(settings, clock)
        drivers = local_drivers(settings, clock)
        fleet = LocalFleet(adapters(), drivers)
        http = await stack.enter_async_context(http_session())
        telemetry = await stack.enter_async_context(gateway_telemetry(settings, clock))
        surroundings = surroundings_of(
            settings,
            services,
            store=store,
            fleet=fleet,
            http=http,
            clock=clock,
            instance_id=str(instance_id),
            telemetry=telemetry,
        )
        recovery = Recovery(
            services, drivers, instance_id, settings.run_path, settings.machines_path, clock
        )
        await recovery.at_start()
        await stack.enter_async_context(recovery.served())
        yield await registered_worker(
            surroundings,
            services.queue,
            LocalControl(),
            await _with_what_is_here(offer, fleet),
            Admission(settings.worker),
        )


async def _with_what_is_here(offer: Offer, fleet: LocalFleet) -> Offer:
    """Return the offer with the agents and the machine drivers that this host really has."""
    agents = [name for name, adapter in fleet.adapters.items() if adapter.check() is None]
    drivers = [name for name, driver in fleet.drivers.items() if (await driver.probe()).ok]
    return replace(offer, machine_types=tuple(agents), isolations=tuple(drivers))

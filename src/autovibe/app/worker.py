"""`autovibe worker start`: a process that does orders and has no database.

All it needs of the control plane goes through gRPC. Where it shares the home with the server, it
uses the same checkpoint store; elsewhere it has one of its own, and checkpoints are carried.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Final

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
from autovibe.runtime.far_store import is_shared, open_far_store
from autovibe.runtime.fleet import LocalFleet
from autovibe.runtime.instance import registered_instance
from autovibe.runtime.protection import protect_process
from autovibe.runtime.recovery import Recovery
from autovibe.runtime.store_process import read_store_key
from autovibe.runtime.worker import Worker
from autovibe.sdk.grpc_remote import Patience, connect_grpc
from autovibe.sdk.services import Services
from autovibe.store import Store

PATIENCE_S: Final = 25.0
"""How long a call waits for a server that is away: less than half of an order's lease."""


@dataclass(frozen=True)
class Server:
    """How a server is reached: its gRPC address, a token, and over TLS its certificate (PEM).

    Without a certificate nothing is encrypted: that is for addresses of this host alone.
    """

    target: str
    token: str
    certificate: bytes | None = None
    fresh_token: Callable[[], str] = lambda: ""
    """The token that serves now: a server that is started again makes a new one."""


@contextlib.asynccontextmanager
async def open_worker(
    settings: Settings,
    server: Server,
    offer: Offer,
    clock: Clock | None = None,
) -> AsyncGenerator[Worker]:
    """Register a worker with a server and give it; what dead processes left here is recovered.

    Args:
        settings: of the worker's home; their database is not used.
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
            connect_grpc(
                server.target,
                server.token,
                certificate=server.certificate,
                patience=Patience(PATIENCE_S, server.fresh_token),
            )
        )
        await stack.enter_async_context(
            registered_instance(services.identity, instance_id, settings.run_path)
        )
        store, services = await _store(settings, services, clock)
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


async def _store(settings: Settings, services: Services, clock: Clock) -> tuple[Store, Services]:
    """Return the store of this worker, and services that know of it."""
    if await is_shared(services, settings.run_path):
        return open_store(settings, clock), services
    key = read_store_key(settings.checkpoints.key_file)
    return await open_far_store(services, settings.home / "far-stores", clock, key)


async def _with_what_is_here(offer: Offer, fleet: LocalFleet) -> Offer:
    """Return the offer with the agents and the machine drivers that this host really has."""
    agents = [name for name, adapter in fleet.adapters.items() if adapter.check() is None]
    drivers = [name for name, driver in fleet.drivers.items() if (await driver.probe()).ok]
    return replace(offer, machine_types=tuple(agents), isolations=tuple(drivers))

"""`autovibe worker start`: a process that does orders and has no database.

All it needs of the control plane goes through gRPC; it shares the home, and so the checkpoint
store, with the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from autovibe.agents import adapters
from autovibe.app.compose import (
    http_session,
    local_drivers,
    registered_worker,
    surroundings_of,
)
from autovibe.app.telemetry import gateway_telemetry
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.ids import new_id
from autovibe.kernel.settings import Settings, ensure_home
from autovibe.runtime.control import LocalControl
from autovibe.runtime.fleet import LocalFleet
from autovibe.runtime.instance import registered_instance
from autovibe.runtime.protection import protect_process
from autovibe.runtime.recovery import Recovery
from autovibe.runtime.worker import Worker
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.store import Store


@contextlib.asynccontextmanager
async def open_worker(
    settings: Settings, target: str, token: str, slots: int, clock: Clock | None = None
) -> AsyncGenerator[Worker]:
    """Register a worker with a server and give it; what dead processes left here is recovered.

    Args:
        settings: of the home that it shares with the server; their database is not used.
        target: the server's gRPC address, as in `127.0.0.1:8421`.
        token: one that may do internal operations.
        slots: how many tasks it works on at once.
        clock: the system's when not given.

    Raises:
        UnavailableError: the server cannot be reached.
        UnauthenticatedError: the token is not valid.
    """
    clock = clock or SystemClock()
    protect_process()
    ensure_home(settings)
    instance_id = new_id()
    async with contextlib.AsyncExitStack() as stack:
        services = await stack.enter_async_context(connect_grpc(target, token))
        await stack.enter_async_context(
            registered_instance(services.identity, instance_id, settings.run_path)
        )
        store = Store.open(settings.store_path, clock=clock)
        drivers = local_drivers(settings, clock)
        http = await stack.enter_async_context(http_session())
        telemetry = stack.enter_context(gateway_telemetry(settings, clock))
        surroundings = surroundings_of(
            settings,
            services,
            store=store,
            fleet=LocalFleet(adapters(), drivers),
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
        yield await registered_worker(surroundings, LocalControl(), slots)

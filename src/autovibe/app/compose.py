"""Joining the parts of one control-plane process."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from autovibe import __version__
from autovibe.agents import adapters
from autovibe.app.agent_api import MachineListener
from autovibe.app.egress import egress_opener
from autovibe.app.jobs import maintenance_service, make_scheduler
from autovibe.app.telemetry import gateway_telemetry
from autovibe.db import Database, open_configured
from autovibe.db.upgrade import ensure_schema
from autovibe.domains.audit import AuditService
from autovibe.domains.checkpoints import CheckpointService, TransferService
from autovibe.domains.collaboration import ChatService, ConversingApprovals
from autovibe.domains.identity import IdentityService
from autovibe.domains.knowledge import DocumentService
from autovibe.domains.machines import MachineService
from autovibe.domains.machines.asking import Asking
from autovibe.domains.machines.driver import Limits, MachineDriver
from autovibe.domains.metering import CallObserver, MeteringService, PriceBook
from autovibe.domains.metering.egress import EgressObserver
from autovibe.domains.metering.gateway import CallingMachine, Gateways, OpenGateway, TellEvent
from autovibe.domains.projects import ProjectService
from autovibe.domains.work import (
    AgentService,
    Leave,
    LogService,
    QueueService,
    RelayAgentCall,
    WorkDefaults,
    WorkService,
    check_lease,
)
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.gateway import (
    BodyKeeper,
    GatewayTelemetry,
    Ledger,
    MachineBinding,
    ProviderPolicy,
    Upstream,
    build_gateway,
    serve_listener,
)
from autovibe.gateway import Limits as CallLimits
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.gateway_settings import PROVIDERS
from autovibe.kernel.ids import new_id
from autovibe.kernel.money import to_text
from autovibe.kernel.redaction import Redactor
from autovibe.kernel.settings import Settings, ensure_home
from autovibe.operations import Operations, Registry, local_twin
from autovibe.runtime.admission import Admission
from autovibe.runtime.control import LocalControl, ReachingControl
from autovibe.runtime.fleet import LocalFleet
from autovibe.runtime.instance import host_name, registered_instance
from autovibe.runtime.protection import protect_process
from autovibe.runtime.recovery import Recovery
from autovibe.runtime.scheduler import Scheduler
from autovibe.runtime.store_process import StoreProcess, read_store_key
from autovibe.runtime.surroundings import Surroundings
from autovibe.runtime.worker import Worker
from autovibe.sdk.services import Services
from autovibe.store import Store
from autovibe.v1 import projects_pb2, queue_pb2
from autovibe.v1 import services as protocols

_CONNECT_TIMEOUT_S: Final = 30
_READ_TIMEOUT_S: Final = 600


@dataclass(frozen=True)
class ControlPlane:
    """The parts of a running control plane that its front doors need."""

    settings: Settings
    clock: Clock
    instance_id: uuid.UUID
    database: Database
    operations: Operations
    services: Services
    control: LocalControl
    surroundings: Surroundings
    recovery: Recovery
    scheduler: Scheduler

    async def worker(self, slots: int) -> Worker:
        """Register the worker of this host and return it."""
        return await registered_worker(
            self.surroundings,
            self.services.queue,
            self.control,
            Offer(slots),
            Admission(self.settings.worker),
        )


@contextlib.asynccontextmanager
async def open_control_plane(
    settings: Settings, clock: Clock | None = None
) -> AsyncGenerator[ControlPlane]:
    """Open database and store, register the instance, recover what dead ones left.

    Raises:
        HomeUnusableError: the home directory cannot be made or written.
        DatabaseNewerError: a newer version has upgraded the database.
        AutovibeError: database or store cannot be opened.
    """
    clock = clock or SystemClock()
    protect_process()
    ensure_home(settings)
    async with contextlib.AsyncExitStack() as stack:
        database = open_configured(settings, clock=clock)
        stack.push_async_callback(database.close)
        await ensure_schema(database.engine)
        store = open_store(settings, clock)
        instance_id = new_id()
        control = LocalControl()
        reaching = ReachingControl(control, clock)
        telemetry = await stack.enter_async_context(
            gateway_telemetry(settings, clock, database.metrics.registry)
        )
        drivers = local_drivers(settings, clock)
        fleet = LocalFleet(adapters(), drivers)
        operations = _operations(
            settings,
            clock,
            instance_id,
            database=database,
            store=store,
            control=reaching,
            fleet=fleet,
            telemetry=telemetry,
        )
        owner = Actor("system", _user_name(), ALL_SCOPES)
        services = local_twin(operations, lambda: operations.context(owner))
        reaching.services = services
        await stack.enter_async_context(
            registered_instance(services.identity, instance_id, settings.run_path)
        )
        http = await stack.enter_async_context(http_session())
        surroundings = surroundings_of(
            settings,
            services,
            store=store,
            fleet=fleet,
            http=http,
            clock=clock,
            instance_id=str(instance_id),
            telemetry=telemetry,
            metrics=database.metrics.registry,
        )
        recovery = Recovery(
            services, drivers, instance_id, settings.run_path, settings.machines_path, clock
        )
        await recovery.at_start()
        yield ControlPlane(
            settings,
            clock,
            instance_id,
            database,
            operations,
            services,
            control,
            surroundings,
            recovery,
            make_scheduler(settings, services, database, instance_id, clock),
        )


def open_store(settings: Settings, clock: Clock) -> Store:
    """Open the checkpoint store of this home, as a resident process keeps it.

    Raises:
        AutovibeError: it cannot be opened, or not with this key.
    """
    key = read_store_key(settings.checkpoints.key_file)
    return Store.open(settings.store_path, key=key, clock=clock, journal=True)


def _operations(
    settings: Settings,
    clock: Clock,
    instance_id: uuid.UUID,
    *,
    database: Database,
    store: Store,
    control: ReachingControl,
    fleet: LocalFleet,
    telemetry: GatewayTelemetry,
) -> Operations:
    """Return every operation, its service joined with what it works with."""
    relay = RelayAgentCall()
    keeper = StoreProcess(settings.store_path, settings.checkpoints.key_file)
    leave = Leave(settings.approvals.deadline_s)
    work = WorkService(store, control, fleet, _defaults(settings), leave)
    registry = Registry(
        {
            "autovibe.v1.IdentityService": IdentityService(settings.people),
            "autovibe.v1.AuditService": AuditService(),
            "autovibe.v1.ChatService": ChatService(
                settings.chat, settings.home / "attachments", database.bells
            ),
            "autovibe.v1.DocumentService": DocumentService(settings.documents),
            "autovibe.v1.ProjectService": ProjectService(
                {name: upstream.api for name, upstream in settings.upstreams.items()},
                settings.egress.allow,
            ),
            "autovibe.v1.MachineService": MachineService(),
            "autovibe.v1.CheckpointService": CheckpointService(store, keeper, check_lease),
            "autovibe.v1.TransferService": TransferService(store),
            "autovibe.v1.MeteringService": MeteringService(
                max_rate_age_days=settings.rates_max_age_days, parked=telemetry.brake.parked
            ),
            "autovibe.v1.MaintenanceService": maintenance_service(
                store, keeper, settings.maintenance
            ),
            "autovibe.v1.WorkService": work,
            "autovibe.v1.LogService": LogService(),
            "autovibe.v1.AgentService": AgentService(work.create_task, relay),
            "autovibe.v1.ApprovalService": ConversingApprovals(database.bells, leave),
            "autovibe.v1.QueueService": QueueService(database.bells, __version__),
        }
    )
    operations = Operations(database, registry, instance_id=instance_id, clock=clock)
    relay.invoke = operations.invoke_for_machine
    return operations


def surroundings_of(
    settings: Settings,
    services: Services,
    *,
    store: Store,
    fleet: LocalFleet,
    http: aiohttp.ClientSession,
    clock: Clock,
    instance_id: str,
    telemetry: GatewayTelemetry,
    metrics: CollectorRegistry | None = None,
) -> Surroundings:
    """Return what executions of this process work with, wherever its services are.

    Args:
        settings: of this process.
        services: the control plane's.
        store: the checkpoint store.
        fleet: agents and drivers of this host.
        http: for calls upstream.
        clock: the time.
        instance_id: of this process.
        telemetry: what the gateways of this process tell and share.
        metrics: where to count; none in a process without `/metrics`.
    """
    missed = Counter(
        "autovibe_checkpoint_missed_changes",
        "Changed files that the kernel had not reported and an audit found.",
        registry=metrics,
    )
    return Surroundings(
        work=services.work,
        machines=services.machines,
        checkpoints=services.checkpoints,
        metering=services.metering,
        approvals=services.approvals,
        chat=services.chat,
        logs=services.logs,
        documents=services.documents,
        store=store,
        adapters=fleet.adapters,
        drivers=fleet.drivers,
        gateways=_gateways(settings, services, http, clock, telemetry),
        clock=clock,
        instance_id=instance_id,
        machines_path=settings.machines_path,
        limits=Limits(
            cpus=settings.cpus, memory_mb=settings.memory_mb, processes=settings.processes
        ),
        checkpoint_settings=settings.checkpoints,
        approval_settings=settings.approvals,
        breaker_settings=settings.breaker,
        log_settings=settings.logs,
        redactor=Redactor(_secrets(settings), settings.logs.redact),
        count_missed=missed.inc,
    )


@dataclass(frozen=True)
class Offer:
    """What a worker offers: how much at once, of which kind, how well, and what it has.

    No `machine_types` and no `isolations` mean any.
    """

    slots: int = 1
    worker_type: str = "feature"
    capabilities: tuple[str, ...] = ()
    name: str = ""
    machine_types: tuple[str, ...] = ()
    isolations: tuple[str, ...] = ()
    grace_s: float = 0.0


async def registered_worker(
    surroundings: Surroundings,
    queue: protocols.QueueService,
    control: LocalControl,
    offer: Offer,
    admission: Admission | None,
) -> Worker:
    """Register the worker of this process and return it.

    An instance has a worker of its own, so that each one's slots are its own.

    Raises:
        WorkerVersionMismatchError: the server is another version.
        InvalidArgumentError: a capability is malformed.
    """
    registered = await queue.register_worker(
        queue_pb2.RegisterWorkerRequest(
            name=offer.name or f"{host_name()}-{surroundings.instance_id[:8]}",
            worker_type=offer.worker_type,
            max_concurrent_tasks=offer.slots,
            capabilities=offer.capabilities,
            version=__version__,
            machine_types=offer.machine_types,
            isolations=offer.isolations,
            host=host_name(),
        )
    )
    return Worker(
        surroundings,
        queue,
        registered.id,
        control,
        offer.slots,
        admission,
        offer.grace_s,
    )


def local_drivers(settings: Settings, clock: Clock) -> dict[str, MachineDriver]:
    """Return the drivers whose machines run on this host, by name."""
    scratch = settings.machines_path / "scratch"
    return {
        "sandbox": SandboxDriver(scratch, settings.sandbox_ro, clock),
        "process": ProcessDriver(scratch, clock),
    }


def _defaults(settings: Settings) -> WorkDefaults:
    budget = settings.default_task_budget
    return WorkDefaults(
        task_budget="" if budget is None else to_text(budget),
        task_timeout_s=settings.task_timeout_s,
    )


def _gateways(
    settings: Settings,
    services: Services,
    http: aiohttp.ClientSession,
    clock: Clock,
    telemetry: GatewayTelemetry,
) -> Gateways:
    prices = PriceBook(_existing(settings.home / "prices.toml"))
    ledger = Ledger(services.metering, clock)
    own = settings.gateway
    keeper = BodyKeeper(services.work, _secrets(settings), own.body_kb * 1024)

    open_egress = egress_opener(services.projects, settings.egress.private, clock)

    async def open_gateway(
        machine: CallingMachine,
        listener: socket.socket,
        observer: CallObserver,
        egress: EgressObserver,
        tell: TellEvent | None = None,
        *,
        asking: Asking | None = None,
    ) -> OpenGateway:
        project = await services.projects.get_project(
            projects_pb2.GetProjectRequest(project=machine.project_id)
        )
        stated = await services.projects.get_model_policy(
            projects_pb2.GetModelPolicyRequest(project=machine.project_id)
        )
        gateway = build_gateway(
            MachineBinding(
                **asdict(machine),
                policy=ProviderPolicy.of_project(stated),
                greediness=float(project.greediness),
            ),
            metering=services.metering,
            upstreams=_upstreams(settings, stated),
            observer=observer,
            clock=clock,
            session=http,
            prices=prices,
            ledger=ledger,
            telemetry=telemetry,
            keeper=keeper,
            limits=CallLimits(parked_wait_s=own.parked_wait_s),
        )
        served = MachineListener(
            gateway,
            services.agent,
            machine,
            tell,
            asking=asking,
            port=listener.getsockname()[1],
            clock=clock,
        )
        return await serve_listener(
            served, listener, await open_egress(machine, project.name, egress)
        )

    return open_gateway


def _upstreams(settings: Settings, stated: projects_pb2.ModelPolicy) -> dict[str, Upstream]:
    """Return where the calls of a project go, by API."""
    routes = {name: name for name in PROVIDERS}
    routes |= {route.api: route.upstream for route in stated.routes}
    return {api: _upstream(settings, name) for api, name in routes.items()}


def _upstream(settings: Settings, name: str) -> Upstream:
    found = settings.upstreams.get(name)
    if found is None:
        return Upstream(
            "",
            name=name,
            fault=f"There is no upstream {name}; add [upstream.{name}] to config.toml where this "
            "machine runs, and start autovibe there again.",
        )
    return Upstream(
        base_url=found.url,
        key=found.key,
        name="" if name in PROVIDERS else name,
        prices=found.prices,
        needs_key=found.needs_key,
    )


def _secrets(settings: Settings) -> tuple[str, ...]:
    keys = [upstream.key for upstream in settings.upstreams.values()]
    return tuple(key for key in [*keys, settings.token] if key)


def http_session() -> aiohttp.ClientSession:
    """Return the client for the providers' APIs."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S
        ),
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0),
    )


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _user_name() -> str:
    return os.environ.get("USER") or str(os.getuid())

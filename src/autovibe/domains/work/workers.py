"""The registry of workers: who there is, what each can do, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.claims import find_worker, hear_of
from autovibe.domains.work.errors import (
    WorkerHoldsOrdersError,
    WorkerNotFoundError,
    WorkerVersionMismatchError,
)
from autovibe.domains.work.messages import column_value, worker_traits
from autovibe.domains.work.models import (
    CapabilityLevel,
    TaskType,
    Worker,
    WorkerCapability,
    WorkerStatus,
)
from autovibe.domains.work.repository import workers as worker_rows
from autovibe.domains.work.routing import Capability, parse_capability
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.v1 import queue_pb2, work_pb2

_NO_LIMIT_S: Final = 30 * 86_400
"""Of a worker that sets none: the order's own limit decides."""


async def register(
    tx: WriteTx, ctx: CallContext, request: queue_pb2.RegisterWorkerRequest, version: str
) -> Worker:
    """Return the worker of a name as it describes itself now, registered when absent.

    Args:
        tx: the transaction.
        ctx: of the call.
        request: what the worker says of itself.
        version: of this server.

    Raises:
        WorkerVersionMismatchError: the worker's version does not work with this one.
        InvalidArgumentError: a capability is malformed or named twice.
    """
    if _release(request.version) != _release(version):
        raise WorkerVersionMismatchError(
            f"The worker is autovibe {request.version[:40]}, the server {version}; install "
            f"{version} on the worker's host.",
            worker=request.version,
            server=version,
        )
    capabilities = _parse(request.capabilities)
    worker = await worker_rows.find_worker_by_name(tx, request.name)
    if worker is None:
        worker = Worker(
            name=request.name,
            worker_type=TaskType.FEATURE,
            config={},
            capabilities=[],
            capability_rows=[],
        )
        tx.session.add(worker)
    worker.worker_type = TaskType(request.worker_type or worker.worker_type)
    worker.status = WorkerStatus.IDLE
    worker.version = request.version
    worker.max_concurrent_tasks = max(1, request.max_concurrent_tasks)
    worker.timeout_seconds = request.timeout_s or _NO_LIMIT_S
    worker.last_heartbeat_at = ctx.clock.now()
    config = worker_traits(worker)
    config.host = request.host
    config.machine_types[:] = request.machine_types
    config.isolations[:] = request.isolations
    config.draining = False
    _write_config(worker, config)
    _set_capabilities(worker, capabilities)
    await tx.session.flush()  # the row's defaults are part of the answer
    return worker


async def beat(tx: WriteTx, ctx: CallContext, worker_id: str) -> Worker:
    """Note that a worker lives.

    Raises:
        WorkerNotFoundError: there is none.
    """
    worker = await find_worker(tx, worker_id)
    hear_of(worker, ctx.clock.now())
    worker.last_heartbeat_at = ctx.clock.now()
    return worker


async def sign_off(tx: WriteTx, worker_id: str) -> Worker:
    """Note that a worker has ended in order.

    Raises:
        WorkerNotFoundError: there is none.
        WorkerHoldsOrdersError: it has not ended all that it does.
    """
    worker = await find_worker(tx, worker_id)
    held = await repository.count_active_assignments(tx, worker.id)
    if held:
        raise WorkerHoldsOrdersError(
            f"Worker {worker.name} still holds {held} orders; end them first.", held=held
        )
    worker.status = WorkerStatus.OFFLINE
    await tx.session.flush()  # the answer shows the worker as it is now
    return worker


async def drain(tx: WriteTx, id_or_prefix: str) -> Worker:
    """Let a worker claim nothing more, and tell it so.

    Raises:
        WorkerNotFoundError: there is none.
        InvalidArgumentError: the beginning of the id fits several.
    """
    worker = await get_worker(tx, id_or_prefix)
    config = worker_traits(worker)
    config.draining = True
    _write_config(worker, config)
    tx.ring(worker_topic(str(worker.id)))
    await tx.session.flush()  # the answer shows the worker as it is now
    return worker


async def get_worker(tx: ReadTx, id_or_prefix: str) -> Worker:
    """Return one worker by its id or the beginning of it.

    Raises:
        WorkerNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await worker_rows.find_workers_between(tx, *id_range(id_or_prefix, "worker"))
    if not found:
        raise WorkerNotFoundError(
            f"There is no worker {id_or_prefix}; see `autovibe worker list`.",
            worker_id=id_or_prefix,
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several workers begin with {id_or_prefix}; give more of the id.", field="worker_id"
        )
    return found[0]


def worker_topic(worker_id: str) -> str:
    """Return the bell that rings when something is wanted of a worker."""
    return f"worker:{worker_id}"


def _parse(texts: Iterable[str]) -> dict[str, Capability]:
    capabilities: dict[str, Capability] = {}
    for text in texts:
        one = parse_capability(text, CapabilityLevel.INTERMEDIATE)
        if one.name in capabilities:
            raise InvalidArgumentError(
                f"The capability {one.name} is named twice; name it once.", field="capabilities"
            )
        capabilities[one.name] = one
    return capabilities


def _set_capabilities(worker: Worker, wanted: dict[str, Capability]) -> None:
    worker.capabilities = sorted(wanted)
    kept = {row.capability_name: row for row in worker.capability_rows}
    for name, row in kept.items():
        if name not in wanted:
            worker.capability_rows.remove(row)
    for name in sorted(wanted):
        if name in kept:
            kept[name].capability_level = wanted[name].level
        else:
            worker.capability_rows.append(
                WorkerCapability(capability_name=name, capability_level=wanted[name].level)
            )


def _write_config(worker: Worker, config: work_pb2.WorkerTraits) -> None:
    # What else is in the column, secrets among it, is not this message's.
    known = {field.name for field in config.DESCRIPTOR.fields}
    others = {name: value for name, value in worker.config.items() if name not in known}
    worker.config = {**others, **column_value(config)}


def _release(version: str) -> tuple[str, ...]:
    """Return the part of a version that must be equal on both sides."""
    return tuple(version.split(".")[:2])

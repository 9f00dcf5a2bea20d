"""The checkpoint store of a worker that does not share the server's.

It keeps what its machines begin with and what they make. A checkpoint counts only when the server
has all of it: its objects are sent, those that are missing there only, and it is named there,
before its row is recorded (decision E2). What is here is a copy, and may be removed at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, UnavailableError
from autovibe.runtime.instance import lock_path
from autovibe.sdk.services import Services
from autovibe.store import Sent, Store
from autovibe.v1 import checkpoints_pb2, services, transfer_pb2

_IDS: Final = 50_000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_BASES: Final = "bases/"
_KEPT: Final = timedelta(days=7)
"""How long what was begun with, or made, is kept for the next task that needs the same."""
_NAME_LENGTH: Final = 32
_LOST: Final = "STORE_OBJECT_MISSING"


class FarStore(Store):
    """A store that fetches a snapshot from the server before it restores it."""

    fetch: Callable[[str], None]

    def restore(self, root: str, dest: Path, **options: Any) -> Any:
        """Restore as any store does; what it lacks is fetched.

        Raises:
            AutovibeError: as `Store.restore`, or the server cannot be reached.
        """
        self.fetch(root)
        return super().restore(root, dest, **options)

    def drop_old(self, clock: Clock) -> None:
        """Drop the names of what nobody has used for days, and give back its space.

        Raises:
            AutovibeError: the store is in use, full or cannot be written.
        """
        oldest_ns = int((clock.now() - _KEPT).timestamp() * 1e9)
        for ref in self.list_refs():
            if ref.at_ns < oldest_ns:
                self.delete_ref(ref.name)
        self.prune()


@dataclass
class Carrier:
    """Carries snapshots between the store here and that of the server."""

    transfer: services.TransferService
    store: FarStore
    _sent: Sent = field(init=False)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Nothing has been sent yet."""
        self._sent = Sent(self.store)

    async def fetch(self, root: str) -> None:
        """Get all of a snapshot that is not here; what has arrived is kept whatever follows.

        Raises:
            AutovibeError: the server cannot give it, or it cannot be kept here.
        """
        for ids in _portions(await self._missing_here(root), _IDS):
            rest = list(ids)
            while rest:
                answer = await self.transfer.get_objects(
                    transfer_pb2.GetObjectsRequest(ids=[bytes.fromhex(one) for one in rest])
                )
                got = dict(zip(rest, answer.contents, strict=False))
                if not got:
                    raise UnavailableError("The server gave no object; try again.")
                await asyncio.to_thread(self.store.add_objects, got)
                del rest[: len(got)]
        await asyncio.to_thread(self.store.write_ref, f"{_BASES}{root}", root)

    async def _missing_here(self, root: str) -> list[str]:
        request = transfer_pb2.GetSnapshotObjectsRequest(root=root)
        missing: list[str] = []
        while True:
            page = await self.transfer.get_snapshot_objects(request)
            ids = [one.hex() for one in page.ids]
            missing += await asyncio.to_thread(self.store.missing_objects, ids)
            if not page.more:
                return missing
            request.after = ids[-1]

    async def send(self, checkpoint_id: str, root: str) -> None:
        """Give the server all of a snapshot that it lacks, and name it there as a checkpoint.

        Raises:
            AutovibeError: the server cannot take it, or the snapshot is not whole here.
        """
        name = transfer_pb2.NameSnapshotRequest(checkpoint_id=checkpoint_id, root=root)
        async with self._sending:
            for again in (False, True):
                needs, known = await asyncio.to_thread(self._sent.needs, root)
                for ids in _portions(needs, _IDS):
                    await self._send(ids)
                try:
                    await self.transfer.name_snapshot(name)
                except AutovibeError as error:
                    if error.reason != _LOST or again:
                        raise
                    self._sent.forget()  # it has lost something that it had been given
                else:
                    self._sent.note(known)
                    return

    async def _send(self, ids: Sequence[str]) -> None:
        request = transfer_pb2.FindMissingObjectsRequest(ids=[bytes.fromhex(one) for one in ids])
        answer = await self.transfer.find_missing_objects(request)
        rest = [one.hex() for one in answer.ids]
        while rest:
            read = await asyncio.to_thread(self.store.read_objects, rest, _BATCH_BYTES)
            objects = [
                transfer_pb2.StoreObject(id=bytes.fromhex(one), content=content)
                for one, content in read.items()
            ]
            await self.transfer.put_objects(transfer_pb2.PutObjectsRequest(objects=objects))
            del rest[: len(read)]


async def is_shared(services: Services, run_path: Path) -> bool:
    """Return whether the server's store is the one in this home.

    A copy of a store has the same id; only who shares the home finds the server's own lock in it.

    Raises:
        AutovibeError: the server cannot be reached.
    """
    told = await services.transfer.describe_store(transfer_pb2.DescribeStoreRequest())
    return lock_path(run_path, told.instance_id).exists()


async def open_far_store(
    services: Services, stores: Path, clock: Clock, key: bytes | None
) -> tuple[FarStore, Services]:
    """Return a store for the work of one server, and services that send checkpoints to it.

    Args:
        services: the server's.
        stores: where the stores of such servers are.
        clock: the time.
        key: of encrypted stores.

    Raises:
        AutovibeError: the server cannot be reached, or the store cannot be opened.
    """
    told = await services.transfer.describe_store(transfer_pb2.DescribeStoreRequest())

    def opened() -> FarStore:
        # The server's word is no path.
        name = hashlib.sha256(told.store_id.encode()).hexdigest()[:_NAME_LENGTH]
        store = FarStore.open(stores / name, key=key, clock=clock, journal=True)
        with contextlib.suppress(AutovibeError):  # in use by another worker of this home
            store.drop_old(clock)
        return store

    store = await asyncio.to_thread(opened)
    carrier = Carrier(services.transfer, store)
    loop = asyncio.get_running_loop()
    store.fetch = lambda root: asyncio.run_coroutine_threadsafe(carrier.fetch(root), loop).result()
    return store, replace(services, checkpoints=_sending(services.checkpoints, carrier))


def _sending(inner: services.CheckpointService, carrier: Carrier) -> services.CheckpointService:
    """Return a service that sends the files of a checkpoint before it records the row."""

    async def record_checkpoint(
        request: checkpoints_pb2.RecordCheckpointRequest, /
    ) -> checkpoints_pb2.Checkpoint:
        await carrier.send(request.id, request.manifest_root)
        return await inner.record_checkpoint(request)

    methods = {**vars(inner), "record_checkpoint": record_checkpoint}
    return cast("services.CheckpointService", SimpleNamespace(**methods))


def _portions(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]

"""The service that gives objects of the store to workers on other hosts, and takes theirs."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from autovibe.db import ReadTx
from autovibe.domains.checkpoints.references import PREFIX
from autovibe.kernel.context import CallContext
from autovibe.store import RefExistsError, Store, objects_of
from autovibe.v1 import transfer_pb2

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Of the objects of one answer, unless one alone is larger: a message may have 64 MB."""
_IDS: Final = 100_000


class _OnStore(Generic[RequestT, AnswerT]):
    """A long operation that is nothing but work on the store, in a thread."""

    def __init__(self, work: Callable[[CallContext, RequestT], AnswerT]) -> None:
        self._work = work

    async def prepare(self, tx: ReadTx, ctx: CallContext, request: RequestT) -> RequestT:
        """Go on with the request: nothing of it is in the database."""
        del tx, ctx
        return request

    async def act(self, ctx: CallContext, plan: RequestT) -> AnswerT:
        """Do the work."""
        return await asyncio.to_thread(self._work, ctx, plan)


class TransferService:
    """Implements autovibe.v1.TransferService."""

    def __init__(self, store: Store) -> None:
        """Give and take objects of a store."""
        self._store = store
        self.describe_store = _OnStore(self._describe)
        self.get_snapshot_objects = _OnStore(self._objects_of)
        self.get_objects = _OnStore(self._get)
        self.find_missing_objects = _OnStore(self._missing)
        self.put_objects = _OnStore(self._put)
        self.name_snapshot = _OnStore(self._name)

    def _describe(
        self, ctx: CallContext, request: transfer_pb2.DescribeStoreRequest
    ) -> transfer_pb2.DescribeStoreResponse:
        del request
        return transfer_pb2.DescribeStoreResponse(
            store_id=self._store.store_id, instance_id=str(ctx.instance_id)
        )

    def _objects_of(
        self, ctx: CallContext, request: transfer_pb2.GetSnapshotObjectsRequest
    ) -> transfer_pb2.GetSnapshotObjectsResponse:
        del ctx
        found = objects_of(self._store, request.root)
        start = bisect_right(found, request.after)
        return transfer_pb2.GetSnapshotObjectsResponse(
            ids=[bytes.fromhex(one) for one in found[start : start + _IDS]],
            more=len(found) > start + _IDS,
        )

    def _get(
        self, ctx: CallContext, request: transfer_pb2.GetObjectsRequest
    ) -> transfer_pb2.GetObjectsResponse:
        del ctx
        found = self._store.read_objects((one.hex() for one in request.ids), ANSWER_BYTES)
        return transfer_pb2.GetObjectsResponse(contents=found.values())

    def _missing(
        self, ctx: CallContext, request: transfer_pb2.FindMissingObjectsRequest
    ) -> transfer_pb2.FindMissingObjectsResponse:
        del ctx
        missing = self._store.missing_objects(one.hex() for one in request.ids)
        return transfer_pb2.FindMissingObjectsResponse(ids=[bytes.fromhex(one) for one in missing])

    def _put(
        self, ctx: CallContext, request: transfer_pb2.PutObjectsRequest
    ) -> transfer_pb2.PutObjectsResponse:
        del ctx
        self._store.add_objects({one.id.hex(): one.content for one in request.objects})
        return transfer_pb2.PutObjectsResponse()

    def _name(
        self, ctx: CallContext, request: transfer_pb2.NameSnapshotRequest
    ) -> transfer_pb2.NameSnapshotResponse:
        """Write the reference of a checkpoint whose row comes next (decision E2)."""
        del ctx
        name = f"{PREFIX}{request.checkpoint_id}"
        known = self._store.read_ref(name)
        if known not in {None, request.root}:
            raise RefExistsError(
                f"Checkpoint {request.checkpoint_id} is another snapshot already; make one anew.",
                ref=name,
            )
        self._store.write_ref(name, request.root)
        return transfer_pb2.NameSnapshotResponse()

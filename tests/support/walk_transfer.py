"""The part of a walk in which a worker on another host exchanges checkpoints."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

from walk import Walk

from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import transfer_pb2

CHECKPOINT = "00000000-0000-4000-8000-000000000009"
CONTENT = b"from far away"


async def transfer(going: Walk) -> None:
    """Compare stores, give objects, take some, and name a snapshot."""
    transfers = going.services.transfer
    ids = [hashlib.sha256(content).digest() for content in (CONTENT, b"nowhere")]
    await transfers.describe_store(transfer_pb2.DescribeStoreRequest())
    await transfers.find_missing_objects(transfer_pb2.FindMissingObjectsRequest(ids=ids))
    for content in (b"changed on the way", CONTENT):
        sent = transfer_pb2.StoreObject(id=ids[0], content=content)
        with contextlib.suppress(AutovibeError):
            await transfers.put_objects(transfer_pb2.PutObjectsRequest(objects=[sent]))
    await transfers.find_missing_objects(transfer_pb2.FindMissingObjectsRequest(ids=ids))
    await transfers.get_objects(transfer_pb2.GetObjectsRequest(ids=ids[:1]))
    files = going.directory / "far-away"
    files.mkdir()
    (files / "a.txt").write_bytes(CONTENT)
    store = going.plane.surroundings.store
    taken = await asyncio.to_thread(store.snapshot, {"workspace": files})
    for root in (taken.root, "0" * 64):
        with contextlib.suppress(AutovibeError):
            await transfers.get_snapshot_objects(transfer_pb2.GetSnapshotObjectsRequest(root=root))
        with contextlib.suppress(AutovibeError):
            await transfers.name_snapshot(
                transfer_pb2.NameSnapshotRequest(checkpoint_id=CHECKPOINT, root=root)
            )

"""A worker's own store: what its machines begin with is fetched, what they make is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from plane import Plane

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.ids import new_id
from autovibe.runtime.far_store import FarStore, is_shared, open_far_store
from autovibe.runtime.instance import lock_path
from autovibe.sdk.services import Services
from autovibe.store import NewRef, ObjectMissingError
from autovibe.v1 import checkpoints_pb2, projects_pb2, transfer_pb2


@dataclass
class Lines:
    """The server's transfers, with a count of the objects that went over, and a line to cut."""

    inner: Any
    sent: list[int] = field(default_factory=list)
    got: list[int] = field(default_factory=list)
    cut_after: int = 1_000

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def put_objects(self, request: transfer_pb2.PutObjectsRequest) -> Any:
        self.sent.append(len(request.objects))
        return await self.inner.put_objects(request)

    async def get_objects(self, request: transfer_pb2.GetObjectsRequest) -> Any:
        if len(self.got) >= self.cut_after:
            raise ConnectionResetError("the line is cut")
        few = transfer_pb2.GetObjectsRequest(ids=request.ids[:2])
        answer = await self.inner.get_objects(few)
        self.got.append(len(answer.contents))
        return answer


@dataclass
class Far:
    """A worker's store, the services that it uses, and what went over the line."""

    store: FarStore
    services: Services
    lines: Lines


async def far_from(plane: Plane, directory: Path) -> Far:
    lines = Lines(plane.services.transfer)
    given = Services(**{**vars(plane.services), "transfer": lines})
    store, services = await open_far_store(given, directory / "far", plane.clock, None)
    return Far(store, services, lines)


def tree(directory: Path, **files: str) -> dict[str, Path]:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)
    return {"workspace": directory}


async def record(plane: Plane, far: Far, root: str) -> str:
    """Record a checkpoint as a machine of the worker would."""
    found = await plane.services.projects.ensure_project(
        projects_pb2.EnsureProjectRequest(project="website")
    )
    checkpoint_id = str(new_id())
    await far.services.checkpoints.record_checkpoint(
        checkpoints_pb2.RecordCheckpointRequest(
            id=checkpoint_id,
            project_id=found.project.id,
            checkpoint_type="automatic",
            manifest_root=root,
            verified=True,
        )
    )
    return checkpoint_id


async def test_only_what_the_server_lacks_is_sent_and_it_is_whole_there(
    one_plane: Plane, tmp_path: Path
) -> None:
    far = await far_from(one_plane, tmp_path)
    files = tree(tmp_path / "work", a="one", b="two")
    first = await asyncio.to_thread(far.store.snapshot, files)
    checkpoint_id = await record(one_plane, far, first.root)
    assert one_plane.store.read_ref(f"checkpoints/{checkpoint_id}") == first.root
    assert one_plane.store.verify(first.root).ok
    assert sum(far.lines.sent) == len(set(first.new_objects))
    tree(tmp_path / "work", a="changed")
    second = await asyncio.to_thread(far.store.snapshot, files)
    far.lines.sent.clear()
    await record(one_plane, far, second.root)
    assert sum(far.lines.sent) == 3  # the file, its directory, and the root
    assert b"".join(one_plane.store.read(second.root, "workspace/a")) == b"changed"


async def test_a_broken_fetch_goes_on_where_it_was(one_plane: Plane, tmp_path: Path) -> None:
    files = tree(tmp_path / "work", a="1", b="2", c="3", d="4")
    root = one_plane.store.snapshot(files, ref=NewRef("checkpoints/base")).root
    far = await far_from(one_plane, tmp_path)
    far.lines.cut_after = 2
    with pytest.raises(ConnectionResetError):
        await asyncio.to_thread(far.store.restore, root, tmp_path / "broken")
    far.lines.cut_after = 1_000
    await asyncio.to_thread(far.store.restore, root, tmp_path / "whole")
    assert (tmp_path / "whole/workspace/d").read_text() == "4"
    assert sum(far.lines.got) == 6  # four files, their directory, and the root: each once
    await asyncio.to_thread(far.store.restore, root, tmp_path / "again")
    assert sum(far.lines.got) == 6


async def test_what_arrives_damaged_is_refused_and_nothing_of_it_is_kept(
    one_plane: Plane,
) -> None:
    transfer = one_plane.services.transfer
    objects = [
        transfer_pb2.StoreObject(id=bytes(31) + bytes([number]), content=b"something else")
        for number in range(2)
    ]
    with pytest.raises(AutovibeError) as caught:
        await transfer.put_objects(transfer_pb2.PutObjectsRequest(objects=objects))
    assert caught.value.reason == "STORE_OBJECT_CORRUPT"
    asked = transfer_pb2.FindMissingObjectsRequest(ids=[one.id for one in objects])
    assert len((await transfer.find_missing_objects(asked)).ids) == 2


async def test_a_snapshot_that_is_not_whole_gets_no_name(one_plane: Plane, tmp_path: Path) -> None:
    far = await far_from(one_plane, tmp_path)
    taken = far.store.snapshot(tree(tmp_path / "work", a="one"))
    name = transfer_pb2.NameSnapshotRequest(checkpoint_id=str(new_id()), root=taken.root)
    with pytest.raises(ObjectMissingError):
        await one_plane.services.transfer.name_snapshot(name)
    assert one_plane.store.ref_names() == []


async def test_only_who_shares_the_servers_home_shares_its_store(
    one_plane: Plane, tmp_path: Path
) -> None:
    assert not await is_shared(one_plane.services, tmp_path)
    lock_path(tmp_path, one_plane.instance_id).touch()
    assert await is_shared(one_plane.services, tmp_path)


async def test_what_nobody_has_used_for_a_week_is_dropped(one_plane: Plane, tmp_path: Path) -> None:
    far = await far_from(one_plane, tmp_path)
    far.store.snapshot(tree(tmp_path / "work", a="one"), ref=NewRef("checkpoints/old"))
    one_plane.clock.advance(days=8)
    far.store.drop_old(one_plane.clock)
    assert far.store.ref_names() == []

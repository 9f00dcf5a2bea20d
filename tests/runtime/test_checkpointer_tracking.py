"""What a checkpoint looks at: what events told, what they did not, and what processes map."""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_desk import Desk
from plane import write_files

from autovibe.domains.machines.driver import MachineSpec
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter
from autovibe.kernel.protoconv import from_struct
from autovibe.store.tracking import InotifyTracker
from autovibe.store.tracking.directories import Event
from autovibe.v1 import work_pb2


async def test_what_the_store_could_not_capture_is_written_down(desk: Desk):

    os.mkfifo(desk.workspace / "pipe")
    await desk.checkpointer.before_response([])
    await desk.settle()
    (made,) = await desk.made()
    told = from_struct(made.metadata)
    assert set(told.pop("timing")) == {"total_ms", "frozen_ms"}
    assert told == {
        "special": ["workspace/pipe"],
        "detection": {"method": "walk", "audited": True},
    }


async def test_checkpoints_say_how_changes_were_found_and_the_last_looks_at_everything(desk: Desk):
    cp = desk.checkpointer
    told = cp.tree.detection
    for number in range(3):
        write_files(desk.workspace, {"a.txt": f"{number}\n"})
        await cp.before_response([])
        await desk.settle()
    await cp.final()
    first, *middle, last = [c.detection for c in await desk.made()]
    assert (first.method, first.audited) == ("walk", True)  # nothing was known yet
    assert [(d.method, d.audited) for d in middle] == [(told, told == "walk")] * 2
    assert (last.method, last.audited) == (told, True)


class Deaf(InotifyTracker):
    """Tells nothing of one name."""

    def _events(self) -> Iterator[Event]:
        return (event for event in super()._events() if event.name != b"a.txt")


async def test_what_events_did_not_tell_is_in_the_last_checkpoint_and_is_told(desk: Desk):
    cp = desk.checkpointer
    counted: list[int] = []
    cp.count_missed = counted.append
    cp.tree.close()
    cp.tree.tracker = Deaf()
    cp.tree.tracker.start(cp.tree.roots)
    for _ in range(2):  # until the file is no longer so young that it is looked at anyway
        await cp.before_response([])
        await desk.settle()
        await asyncio.sleep(0.03)
    write_files(desk.workspace, {"a.txt": "nobody told\n"})
    await cp.before_response([])
    await desk.settle()
    last = await cp.final()
    assert b"".join(desk.store.read(last.manifest_root, "workspace/a.txt")) == b"nobody told\n"
    assert list(last.detection.missed) == ["workspace/a.txt"]
    assert counted == [1]
    assert cp.tree.detection == "walk"
    await cp.log.flush()
    logs = await desk.plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=desk.order.task.id)
    )
    (notice,) = [entry for entry in logs.entries if entry.event.kind == "notice"]
    assert notice.level == "WARNING"
    assert "workspace/a.txt" in notice.message


_COUNTER = """
import mmap, struct, time
with open("counter", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 4096)
number = 0
while True:
    number += 1
    struct.pack_into("<Q", mapped, 0, number)
    time.sleep(0.0002)
"""


@pytest.mark.parametrize("kind", [SandboxDriver, ProcessDriver], ids=lambda kind: kind.name)
async def test_what_a_machine_has_stored_through_a_mapping_is_in_its_next_checkpoint(
    desk: Desk, tmp_path: Path, kind: type[SandboxDriver | ProcessDriver]
):
    cp, path = desk.checkpointer, desk.workspace / "counter"
    path.write_bytes(bytes(4096))
    spec = MachineSpec(
        cp.scope.machine_id,
        cp.scope.workspace,
        cp.scope.home,
        [str(own_interpreter()), "-I", "-S", "-c", _COUNTER],
        {},
    )
    machine = await kind(tmp_path / "scratch").spawn(spec)
    cp.machine = machine
    try:
        stored: list[int] = []
        for _ in range(15):
            before = stored[-1] if stored else 0
            await desk.until(lambda at=before: _number(path.read_bytes()) > at)
            stored.append(_number(path.read_bytes()))
            await cp.before_response([])
            await desk.settle()
    finally:
        await machine.destroy()
    assert cp.error is None
    made = await desk.made()
    found = [_number(b"".join(desk.store.read(c.manifest_root, "workspace/counter"))) for c in made]
    assert len(found) == len(stored)
    assert all(seen >= at for seen, at in zip(found, stored, strict=True)), (found, stored)


def _number(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


async def test_files_that_processes_map_are_read_at_every_checkpoint(desk: Desk):
    path = desk.workspace / "mapped"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
        desk.machine.processes = [os.getpid()]
        for number in range(1, 9):
            mapped[0] = number
            await desk.checkpointer.before_response([])
            await desk.settle()
    for number, made in enumerate(await desk.made(), start=1):
        content = b"".join(desk.store.read(made.manifest_root, "workspace/mapped"))
        assert content[0] == number

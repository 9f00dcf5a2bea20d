from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from plane import write_files
from spoiling import spoil

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.progress import Step, listening
from autovibe.runtime import store_process
from autovibe.runtime.store_process import (
    StoreProcess,
    StoreProcessError,
    read_store_key,
)
from autovibe.store import Store, StoreKeyError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "dir"
    write_files(
        directory,
        {
            "a.txt": "one\n",
            "sub/b.bin": os.urandom(300_000),
            "caf\udce9": "odd\n",
            "x.log": "left out\n",
            "odd*[name].env": "left out\n",
        },
    )
    return directory


def _children() -> set[int]:
    """Return the processes that this one has started."""
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = entry.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(int(entry.parent.name))
    return found


async def test_a_directory_is_imported_verified_and_damage_is_named(
    directory: Path, tmp_path: Path
):
    work = StoreProcess(tmp_path / "store")
    exclude = ["*.log", "/odd\\*\\[name\\].env"]
    snapshot, verified = await work.import_tree({"workspace": directory}, exclude)
    assert verified
    assert snapshot.excluded == ("workspace/odd*[name].env", "workspace/x.log")
    store = Store.open(tmp_path / "store")
    paths = {entry.path for entry in store.entries(snapshot.root, "workspace")}
    assert paths == {"a.txt", "sub", "sub/b.bin", "caf\udce9"}
    # It is the very snapshot that the store makes in this process.
    again, verified = await work.import_tree({"workspace": directory}, exclude)
    assert (again.root, again.new_objects, verified) == (snapshot.root, (), True)
    assert isinstance(snapshot.new_objects, tuple)

    whole = await work.verify_tree(snapshot.root)
    assert whole.ok
    assert whole.objects >= 5
    for pack in (tmp_path / "store" / "packs").glob("*.pack"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 0xFF
        pack.write_bytes(data)
    broken = await work.verify_tree(snapshot.root)
    assert not broken.ok
    assert {path for damage in broken.corrupt for path in damage.paths} == {"workspace/sub/b.bin"}


async def test_errors_of_the_store_arrive_as_what_they_are(tmp_path: Path):
    work = StoreProcess(tmp_path / "store")
    with pytest.raises(AutovibeError) as refused:
        await work.import_tree({"workspace": tmp_path / "absent"}, [])
    assert (refused.value.reason, refused.value.exit_status) == ("STORE_PATH_NOT_FOUND", 2)
    with pytest.raises(AutovibeError) as refused:
        await work.import_tree({"workspace": tmp_path}, ["[z-a]"])
    assert refused.value.reason == "INVALID_ARGUMENT"
    with pytest.raises(AutovibeError) as refused:
        await StoreProcess(tmp_path / "none").verify_tree("0" * 64)
    assert refused.value.reason == "STORE_NOT_FOUND"
    assert not (tmp_path / "none").exists()


async def test_a_store_without_room_is_said_to_be_full_and_nothing_is_half_done(
    directory: Path, tmp_path: Path
):
    Store.open(tmp_path / "store")
    work = StoreProcess(tmp_path / "store")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # The size limit of files stands for a full disk: the process inherits it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        with pytest.raises(AutovibeError) as refused:
            await work.import_tree({"workspace": directory}, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert refused.value.reason == "STORE_FULL"
    stats = Store.open(tmp_path / "store").stats()
    assert (stats.objects, stats.packs, stats.refs) == (0, 0, 0)
    _, verified = await work.import_tree({"workspace": directory}, [])
    assert verified


async def _until_child(before: set[int]) -> int:
    while True:
        started = _children() - before
        if started:
            return started.pop()
        await asyncio.sleep(0.001)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Give a directory that takes long to read."""
    directory = tmp_path / "endless"
    directory.mkdir()
    with (directory / "hole").open("wb") as file:
        file.truncate(200 * 1024**3)
    return directory


async def test_a_process_that_is_killed_leaves_a_store_that_works(
    endless: Path, directory: Path, tmp_path: Path
):
    work = StoreProcess(tmp_path / "store")
    before = _children()
    job = asyncio.create_task(work.import_tree({"workspace": endless}, []))
    os.kill(await _until_child(before), signal.SIGKILL)
    with pytest.raises(StoreProcessError) as failed:
        await job
    assert "-9" in failed.value.message
    _, verified = await work.import_tree({"workspace": directory}, [])
    assert verified
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


async def test_a_job_that_is_cancelled_takes_its_process_along(endless: Path, tmp_path: Path):
    before = _children()
    job = asyncio.create_task(StoreProcess(tmp_path / "store").import_tree({"w": endless}, []))
    child = await _until_child(before)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not Path(f"/proc/{child}").exists()


async def test_who_listens_hears_how_far_an_import_is(endless: Path, tmp_path: Path):
    heard: asyncio.Queue[Step] = asyncio.Queue()
    with listening(heard.put_nowait):
        job = asyncio.create_task(StoreProcess(tmp_path / "store").import_tree({"w": endless}, []))
    first, second = await heard.get(), await heard.get()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert (first.phase, second.phase) == ("read", "read")
    assert 0 < first.bytes < second.bytes


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.exit(3)",
        'print(\'{"event": "progress", "items": 1}\')',
        'print(\'{"event": "result", "root": \')',
        "print('not json at all')",
        "import sys; sys.stderr.write('Traceback\\nMemoryError: no memory\\n')",
    ],
)
async def test_a_process_that_ends_without_a_result_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
):
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(store_process.sys, "executable", str(fake))
    with pytest.raises(StoreProcessError) as failed:
        await StoreProcess(tmp_path / "store").verify_tree("0" * 64)
    assert "nothing was changed" in failed.value.message


async def test_the_whole_store_is_read_and_pruned_in_a_process_of_its_own(
    directory: Path, tmp_path: Path
):
    work = StoreProcess(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    for name in ("a", "b"):
        (directory / "a.txt").write_text(f"{name}\n")
        snapshot, _ = await work.import_tree({"workspace": directory}, [])
        store.write_ref(f"checkpoints/{name}", snapshot.root)
    fine = await work.audit()
    assert (fine.ok, fine.refs, fine.damaged) == (True, 2, ())
    spoil(Store.open(tmp_path / "store"), b"a\n")
    found = await work.audit()
    assert [(one.name, one.paths) for one in found.damaged] == [
        ("checkpoints/a", ("workspace/a.txt",))
    ]

    store.delete_ref("checkpoints/a")
    held = await work.prune(timedelta(days=1), dry_run=False)
    assert (held.objects_removed, held.held_bytes > 0) == (0, True)
    (tmp_path / "store" / "refs" / "checkpoints" / "b").write_text("nonsense\n")
    with pytest.raises(AutovibeError) as caught:
        await work.prune(timedelta(days=1), dry_run=True)
    assert caught.value.reason == "STORE_OBJECT_CORRUPT"


async def test_what_is_damaged_is_stored_again_when_the_whole_is_asked_for(
    directory: Path, tmp_path: Path
):
    work = StoreProcess(tmp_path / "store")
    first, _ = await work.import_tree({"workspace": directory}, [])
    spoil(Store.open(tmp_path / "store"), b"one\n")
    again, verified = await work.import_tree({"workspace": directory}, [])
    assert (again.root, again.new_objects, verified) == (first.root, (), True)  # nothing was read
    assert not (await work.verify_tree(first.root)).ok
    healed, verified = await work.import_tree({"workspace": directory}, [], whole=True)
    assert (healed.root, verified) == (first.root, True)
    assert (await work.verify_tree(first.root)).ok


async def test_an_encrypted_store_is_worked_on_with_the_key_of_a_file(
    directory: Path, tmp_path: Path
):
    key_file = tmp_path / "key"
    with pytest.raises(StoreKeyError, match="cannot be read"):
        read_store_key(key_file)
    key_file.write_text("0f" * 32)
    work = StoreProcess(tmp_path / "store", key_file)
    snapshot, verified = await work.import_tree({"workspace": directory}, [])
    assert verified
    store = Store.open(tmp_path / "store", key=read_store_key(key_file))
    store.write_ref("checkpoints/a", snapshot.root)
    assert (await work.audit()).refs == 1
    with pytest.raises(AutovibeError) as caught:
        await StoreProcess(tmp_path / "store").audit()
    assert caught.value.reason == "STORE_KEY_WRONG"

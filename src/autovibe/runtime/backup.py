"""Backups of a control plane: the database first, then the store, and a manifest of every file.

The order is what makes them fit: a checkpoint's reference in the store is durable before its row is
(decision E2), so a store that is copied after the database holds all that the rows name. What it
holds besides is garbage like any other. The key ring is not part of a backup: whoever steals one
must not get the secrets with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

from autovibe.db.base_backup import prepare_recovery, take_base_backup
from autovibe.db.dialects.sqlite_backup import check_sqlite, copy_sqlite
from autovibe.db.engine import Database
from autovibe.db.errors import BackupFailedError
from autovibe.db.revisions import current
from autovibe.kernel.clock import Clock
from autovibe.kernel.settings import Settings
from autovibe.runtime.errors import HomeInUseError, HomeNotEmptyError
from autovibe.store.errors import StoreBusyError
from autovibe.store.guard import Guard

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_DATABASE: Final = "autovibe.db"
_BASE: Final = "base"
_STORE: Final = "store"
_CHUNK: Final = 1 << 20
_STORE_PARTS: Final = ("format", "epoch", "pins", "journals", "refs")
_PACKS: Final = "packs"
# Their files are never written again, only replaced.
_LINKED: Final = frozenset({"refs", _PACKS})
_WAIT_S: Final = 600.0
_POLL_S: Final = 0.2


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    path: str
    backend: str
    revision: str
    created_at: str
    with_store: bool
    files: int
    bytes: int
    format: int = FORMAT
    autovibe: str = field(default_factory=lambda: version("autovibe"))
    keys: str = "not included; copy keys.json of the home to another place"


@dataclass(frozen=True)
class Restored:
    """What a restore put where."""

    backup: Backup
    database: str
    store: str
    kept: str
    """Where what was there before is now; "" if there was nothing."""


async def make_backup(
    settings: Settings,
    database: Database,
    target: Path,
    *,
    with_store: bool = True,
    programs: Path | None = None,
) -> Backup:
    """Write a backup; nothing is held up meanwhile but the pruning of the store.

    Snapshots wait for a moment, while its refs and journals are copied.

    Args:
        settings: of the home.
        database: its database.
        target: a directory that does not exist or is empty, or a file that ends in `.tar`.
        with_store: copy the checkpoint store too; its packs are hard links where that is possible.
        programs: where PostgreSQL's own programs are, if not on the path.

    Raises:
        BackupFailedError: the target is in use, or something cannot be read or written.
        DatabaseAbsentError: there is no database.
        ProgramMissingError: PostgreSQL's programs are not here.
        StoreBusyError: the store has been pruned or repaired all the time.
    """
    revision = await current(database)
    now = database.clock.now()
    with _writing(target):
        _require_new(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            if database.dialect.name == "sqlite":
                source = Path(str(database.url.database))
                revision = await asyncio.to_thread(copy_sqlite, source, work / _DATABASE)
            else:
                await take_base_backup(database.url, settings.database, work / _BASE, programs)
            if with_store and settings.store_path.is_dir():
                await asyncio.to_thread(
                    copy_store, settings.store_path, work / _STORE, database.clock
                )
            backup = await asyncio.to_thread(
                _seal, work, target, database.dialect.name, revision, now
            )
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return backup


def copy_store(source: Path, target: Path, clock: Clock) -> None:
    """Copy a store while others add to it; nothing is removed from it meanwhile.

    All refs and journals are those of one moment, for which others wait: a ref that was written in
    the middle would name objects of a journal that was copied before. Packs only come to it.

    Raises:
        StoreBusyError: it has been pruned or repaired, or written, for too long.
    """
    guard = Guard(source)
    with _nobody_removing(guard, clock):
        with guard.removing(_WAIT_S, clock):
            for part in _STORE_PARTS:
                _copy_part(source / part, target / part)
        _copy_part(source / _PACKS, target / _PACKS)
    (target / "tmp").mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _nobody_removing(guard: Guard, clock: Clock) -> Generator[None]:
    """Wait until nobody prunes or repairs, and let nobody begin to."""
    deadline = clock.monotonic() + _WAIT_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(guard.maintaining())
                break
            except StoreBusyError:
                if clock.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
        yield


def _copy_part(here: Path, to: Path) -> None:
    if here.is_file():
        to.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(here, to)
    elif here.is_dir():
        _copy_tree(here, to, link=here.name in _LINKED)


def read_backup(source: Path) -> Backup:
    """Check every file of a backup directory against its manifest, and return what it holds.

    Raises:
        BackupFailedError: it is no backup, of a newer format, incomplete or changed.
    """
    try:
        manifest: dict[str, Any] = json.loads((source / _MANIFEST).read_text(encoding="utf-8"))
        backup = Backup(**manifest["backup"])
        files = cast("dict[str, list[Any]]", manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupFailedError(
            f"{source} is no backup of autovibe, or its manifest is damaged; name another."
        ) from None
    if backup.format > FORMAT:
        raise BackupFailedError(
            f"{source} is of a newer format ({backup.format}); install a newer autovibe."
        )
    found = dict(_hashes(source))
    wrong = sorted(
        name for name in files.keys() | found.keys() if found.get(name) != files.get(name)
    )
    if wrong:
        raise BackupFailedError(
            f"{source} is not as it was written ({wrong[0]} and {len(wrong) - 1} other files are "
            "missing or changed); restore another backup.",
            file=wrong[0],
        )
    return backup


@dataclass(frozen=True)
class Recovery:
    """What restoring a PostgreSQL needs besides; nothing of it is for SQLite."""

    data_dir: Path | None = None
    """The data directory to make."""
    wal: Path | None = None
    """The log that was received since the backup."""
    until: datetime | None = None
    """The moment to go forward to; aware."""


def restore_backup(
    settings: Settings,
    source: Path,
    clock: Clock,
    *,
    force: bool = False,
    recovery: Recovery = Recovery(),
) -> Restored:
    """Put a backup in the place of a home's database and store; what was there is kept aside.

    Args:
        settings: of the home.
        source: a backup, directory or `.tar` file.
        clock: names the directory of what is kept.
        force: go on although there is a database or a store.
        recovery: of a PostgreSQL.

    Raises:
        BackupFailedError: the backup is damaged, or an argument does not fit its database.
        HomeInUseError: a control plane of the home is running.
        HomeNotEmptyError: there is a database or a store, and `force` is not given.
    """
    with contextlib.ExitStack() as stack:
        if source.is_file():
            source = stack.enter_context(_unpacked(source, settings.home))
        backup = read_backup(source)
        place = _place(settings, backup, recovery)
        stack.enter_context(_only_one(settings))
        old = [path for path in (place, settings.store_path) if _is_used(path)]
        if backup.backend == "sqlite":
            old += [path for end in ("-wal", "-shm") if (path := Path(f"{place}{end}")).exists()]
        if backup.backend != "sqlite" and place in old:
            raise BackupFailedError(f"{place} is not empty; give a new data directory.")
        if not backup.with_store and settings.store_path in old:
            old.remove(settings.store_path)
        if old and not force:
            raise HomeNotEmptyError(
                f"{old[0]} is there already; --force moves it aside and goes on.", path=str(old[0])
            )
        kept = _move_aside(settings.home, old, clock)
        _put(settings, backup, source, place, recovery)
    return Restored(
        backup,
        database=str(place),
        store=str(settings.store_path) if backup.with_store else "",
        kept=kept,
    )


def _place(settings: Settings, backup: Backup, recovery: Recovery) -> Path:
    """Return where the database goes."""
    if backup.backend == "sqlite":
        if recovery != Recovery():
            raise BackupFailedError(
                "A backup of SQLite is of one moment; leave out --data-dir, --wal and --until."
            )
        scheme, _, path = settings.database_url.partition(":///")
        if not scheme.startswith("sqlite"):
            raise BackupFailedError(
                "The backup is of SQLite, and AUTOVIBE_DATABASE_URL names another database; unset "
                "it."
            )
        return Path(path.partition("?")[0])
    if recovery.data_dir is None:
        raise BackupFailedError(
            "Give --data-dir, the new data directory that PostgreSQL is to be started on."
        )
    if recovery.until is not None and recovery.wal is None:
        raise BackupFailedError("--until needs --wal, the directory of the received log.")
    return recovery.data_dir


def _put(settings: Settings, backup: Backup, source: Path, place: Path, recovery: Recovery) -> None:
    with _writing(place):
        if backup.with_store:
            _copy_tree(source / _STORE, settings.store_path, link=False)
            (settings.store_path / "tmp").mkdir(mode=0o700, exist_ok=True)
        if backup.backend != "sqlite":
            prepare_recovery(source / _BASE, place, wal=recovery.wal, until=recovery.until)
            return
        # The database last, and by a rename: until then nothing opens what is half there.
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = place.with_name(f"{place.name}.restoring")
        shutil.copyfile(source / _DATABASE, half)
        half.chmod(0o600)
        check_sqlite(half)
        half.replace(place)


def _seal(work: Path, target: Path, backend: str, revision: str, now: datetime) -> Backup:
    """Write the manifest, and give the backup its name at once."""
    files = dict(_hashes(work))
    backup = Backup(
        path=str(target),
        backend=backend,
        revision=revision,
        created_at=now.isoformat(),
        with_store=(work / _STORE).is_dir(),
        files=len(files),
        bytes=sum(int(size) for _, size in files.values()),
    )
    document = json.dumps({"backup": asdict(backup), "files": files}, indent=1, sort_keys=True)
    with (work / _MANIFEST).open("w", encoding="utf-8") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())
    if target.suffix == ".tar":
        packed = work.with_suffix(".packing")
        try:
            with tarfile.open(packed, "w") as archive:
                archive.add(work, arcname=".")
            packed.chmod(0o600)
            packed.rename(target)
        finally:
            packed.unlink(missing_ok=True)
    else:
        work.rename(target)
    return backup


def _hashes(root: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield name, SHA-256 and size of each file below a directory, but of the manifest."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not path.is_symlink() and name != _MANIFEST:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            yield name, [digest.hexdigest(), path.stat().st_size]


def _copy_tree(source: Path, target: Path, *, link: bool) -> None:
    """Copy a directory; a file that vanishes meanwhile was removed by its owner."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda item: item.name):
        to = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _copy_tree(Path(entry.path), to, link=link)
            continue
        with contextlib.suppress(FileNotFoundError):
            if not (link and _linked(entry.path, to)):
                shutil.copyfile(entry.path, to)


def _linked(source: str, target: Path) -> bool:
    """Return whether a link could be made; not to another file system, nor where there are none.

    Raises:
        FileNotFoundError: the source has gone.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


def _require_new(target: Path) -> None:
    if target.exists() and _is_used(target):
        raise BackupFailedError(f"{target} is there already; give a new directory or file.")


def _is_used(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _move_aside(home: Path, old: list[Path], clock: Clock) -> str:
    if not old:
        return ""
    kept = home / f"before-restore-{clock.now():%Y%m%dT%H%M%S}"
    with _writing(kept):
        kept.mkdir(mode=0o700, parents=True)
        for path in old:
            shutil.move(path, kept / path.name)
    return str(kept)


@contextlib.contextmanager
def _unpacked(archive: Path, home: Path) -> Generator[Path]:
    """Unpack a backup beside the home, where there is room for it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as directory:
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(directory, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise BackupFailedError(
                f"{archive} cannot be unpacked ({error}); restore another backup."
            ) from error
        yield Path(directory)


@contextlib.contextmanager
def _only_one(settings: Settings) -> Generator[None]:
    """Refuse while an instance of the home lives: each holds its lock for its life."""
    with contextlib.ExitStack() as stack:
        for path in sorted(settings.run_path.glob("*.lock")):
            file = stack.enter_context(path.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HomeInUseError(
                    f"A control plane of {settings.home} is running; stop it first.",
                    instance=path.stem,
                ) from None
        yield


@contextlib.contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise BackupFailedError(
            f"{path} cannot be written ({error.strerror}); check its directory and disk."
        ) from error

"""PostgreSQL's own tools: a base backup, its log as it is written, and a data directory to a time.

autovibe starts no database server. It takes what these programs give, and prepares a directory that
PostgreSQL recovers when it is started on it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from autovibe.db.dialects.postgresql import libpq_environment
from autovibe.db.errors import BackupFailedError, ProgramMissingError
from autovibe.kernel.database_settings import DatabaseSettings

APPLICATION: Final = "autovibe_wal"
"""Name under which the log is received; `synchronous_standby_names` may have it (RPO 0)."""
_STOP_S: Final = 10


def find_program(name: str, directory: Path | None) -> str:
    """Return the path of one of PostgreSQL's programs.

    Raises:
        ProgramMissingError: it is not there.
    """
    found = shutil.which(name, path=None if directory is None else str(directory))
    if found is None:
        raise ProgramMissingError(
            f"{name} is not here; install PostgreSQL's client programs of the server's version, or "
            "name their directory with --pg-bin.",
            program=name,
        )
    return found


async def take_base_backup(
    url: URL, settings: DatabaseSettings, target: Path, directory: Path | None
) -> None:
    """Copy the whole server, with the log that the copy needs, into a new directory.

    Raises:
        ProgramMissingError: pg_basebackup or pg_verifybackup is not here.
        BackupFailedError: it failed, or the copy is damaged.
    """
    await _run(
        [
            find_program("pg_basebackup", directory),
            "--no-password",
            "--pgdata",
            str(target),
            "--wal-method=stream",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
        ],
        libpq_environment(url, settings),
    )
    await _run([find_program("pg_verifybackup", directory), "--quiet", str(target)], {})


async def receive_wal(
    url: URL, settings: DatabaseSettings, target: Path, directory: Path | None, slot: str
) -> None:
    """Write the log of a server into a directory as it comes, until cancelled.

    It flushes at once, so a server whose `synchronous_standby_names` names it loses nothing.

    Raises:
        ProgramMissingError: pg_receivewal is not here.
        BackupFailedError: it ended by itself.
    """
    program = find_program("pg_receivewal", directory)
    environment = libpq_environment(url, settings) | {"PGAPPNAME": APPLICATION}
    await asyncio.to_thread(target.mkdir, mode=0o700, parents=True, exist_ok=True)
    common = [program, "--no-password", "--directory", str(target), "--slot", slot]
    # The slot keeps the log on the server while nobody receives it.
    await _run([*common, "--create-slot", "--if-not-exists"], environment)
    await _run([*common, "--synchronous"], environment)


def prepare_recovery(base: Path, target: Path, *, wal: Path | None, until: datetime | None) -> None:
    """Make a data directory that PostgreSQL recovers when it is started on it.

    Args:
        base: what `take_base_backup` wrote.
        target: a directory that does not exist or is empty.
        wal: what `receive_wal` wrote; without it, the end of the base backup is the only time.
        until: aware; recovery ends there, and the server then takes writes.

    Raises:
        BackupFailedError: the directory cannot be written.
    """
    try:
        shutil.copytree(base, target, dirs_exist_ok=True)
        target.chmod(0o700)
        if wal is None:
            return
        lines = [f"restore_command = {_quoted(_restore_command(wal))}"]
        if until is not None:
            moment = until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
            lines += [f"recovery_target_time = '{moment}'", "recovery_target_action = 'promote'"]
        with (target / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *lines, ""]))
        (target / "recovery.signal").touch(0o600)
    except OSError as error:
        raise BackupFailedError(
            f"{target} cannot be written ({error.strerror}); choose another directory."
        ) from error


def _restore_command(wal: Path) -> str:
    """Return what fetches a segment; the newest one is still being written to."""
    directory = shlex.quote(str(wal.absolute())).replace("%", "%%")
    return f'cp {directory}/%f "%p" || cp {directory}/%f.partial "%p"'


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


async def _run(command: list[str], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | environment,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
        raise
    if process.returncode:
        said = " ".join(errors.decode(errors="replace").split())[-500:]
        raise BackupFailedError(f"{Path(command[0]).name} failed: {said or process.returncode}.")

"""Store work in a process of its own: import, verification and prune (decision A9)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from autovibe.domains.checkpoints import Pruned
from autovibe.kernel.errors import AutovibeError, Code, RemoteError
from autovibe.kernel.progress import Step, report
from autovibe.store import (
    AuditResult,
    Damage,
    RefDamage,
    Snapshot,
    StoreKeyError,
    VerifyResult,
    parse_key,
)

_PIECE: Final = 64 * 1024
_PROGRESS: Final = b'{"event": "progress"'
_LISTS: Final = ("new_objects", "torn", "special", "excluded", "unreadable")


class StoreProcessError(AutovibeError):
    """The process that works on the store ended without a result."""

    code = Code.INTERNAL
    reason = "STORE_PROCESS_FAILED"


def read_store_key(key_file: Path | None) -> bytes | None:
    """Return the key of an encrypted store; `None` of a plain one.

    Raises:
        StoreKeyError: the file cannot be read, or holds no key.
    """
    if key_file is None:
        return None
    try:
        return parse_key(key_file.read_bytes())
    except OSError as error:
        raise StoreKeyError(
            f"The key of the checkpoint store, {key_file}, cannot be read ({error.strerror}); "
            "put it back, or correct checkpoints.key_file.",
            path=str(key_file),
        ) from error


@dataclass(frozen=True)
class StoreProcess:
    """Implements `checkpoints.StoreWork` and `Storekeeper` for a store in a directory."""

    path: Path
    key_file: Path | None = None
    """Of an encrypted store; the process reads it itself: its arguments are no secret."""

    async def import_tree(
        self, roots: Mapping[str, Path], exclude: Sequence[str], *, whole: bool = False
    ) -> tuple[Snapshot, bool]:
        """Snapshot directories, and read back every new object.

        Args:
            roots: name to directory.
            exclude: patterns of the workspace.
            whole: read back all objects, and store again what is damaged.

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        arguments = [f"--root={name}={path}" for name, path in roots.items()]
        arguments += [f"--exclude={pattern}" for pattern in exclude]
        arguments += ["--exclude-in=workspace"]
        if whole:
            arguments.append("--whole")
        told = await self._run("snapshot", *arguments)
        told.update({name: tuple(told[name]) for name in _LISTS})
        snapshot = Snapshot(**told)
        if whole:
            return snapshot, (await self.verify_tree(snapshot.root)).ok
        if not snapshot.new_objects:
            return snapshot, True
        checked = await self._run(
            "verify",
            snapshot.root,
            "--objects-from=-",
            stdin="\n".join(snapshot.new_objects).encode(),
        )
        return snapshot, bool(checked["ok"])

    async def verify_tree(self, root: str) -> VerifyResult:
        """Re-read and re-hash all that a root needs, on one core at most (decision B7).

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        told = await self._run("verify", root, "--alone")
        damages = {
            name: tuple(Damage(item["object"], tuple(item["paths"])) for item in told[name])
            for name in ("missing", "corrupt")
        }
        return VerifyResult(ok=told["ok"], objects=told["objects"], bytes=told["bytes"], **damages)

    async def prune(self, grace: timedelta, *, dry_run: bool) -> Pruned:
        """Give back the space of what no reference has needed for the grace time.

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        options = ["--dry-run"] if dry_run else []
        told = await self._run("prune", f"--grace-s={int(grace.total_seconds())}", *options)
        return Pruned(
            objects_removed=told["objects_removed"],
            packs_removed=told["packs_removed"],
            stored_before=told["stored_before"],
            stored_after=told["stored_after"],
            held_bytes=told["held_bytes"],
            packs_kept=len(told["kept_packs"]),
        )

    async def audit(self) -> AuditResult:
        """Read everything that references need and hash it again, on one core at most.

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        told = await self._run("audit")
        damaged = (RefDamage(**item | {"paths": tuple(item["paths"])}) for item in told["damaged"])
        told.update(damaged=tuple(damaged), unreadable=tuple(told["unreadable"]))
        return AuditResult(**told)

    async def _run(self, command: str, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "autovibe.store",
            f"--store={self.path}",
            *([f"--key-file={self.key_file}"] if self.key_file is not None else []),
            command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            last, err = await _talk(process, stdin)
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        event = last.pop("event", "")
        if event == "result":
            return last
        if event == "error":
            raise RemoteError(Code(last["code"]), last["reason"], last["message"], **last["params"])
        reason = err.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise StoreProcessError(
            f"Working on the checkpoint store {self.path} failed ({reason or process.returncode}); "
            "nothing was changed. Try again."
        )


async def _talk(process: Process, stdin: bytes) -> tuple[dict[str, Any], bytes]:
    """Give the process its input; return what it said last, and its errors."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    last, err, _ = await asyncio.gather(
        _last_event(process.stdout), process.stderr.read(), _feed(process.stdin, stdin)
    )
    await process.wait()
    return last, err


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    # A process that has gone says so by its exit status.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await pipe.wait_closed()


async def _last_event(stream: asyncio.StreamReader) -> dict[str, Any]:
    """Report progress until the stream ends; return the last line.

    A line that was cut off by the end says nothing.
    """
    last = b""
    held = bytearray()
    while piece := await stream.read(_PIECE):
        held += piece
        if b"\n" in piece:
            *lines, rest = bytes(held).split(b"\n")
            for line in lines:
                _report(line)
            last, held = lines[-1], bytearray(rest)
    try:
        return json.loads(bytes(held) or last)
    except ValueError:
        return {}


def _report(line: bytes) -> None:
    if line.startswith(_PROGRESS):
        # What is not understood is not worth a failure: only a result is.
        with contextlib.suppress(ValueError, KeyError):
            told = json.loads(line)
            report(Step(told["phase"], told["items"], told["bytes"]))

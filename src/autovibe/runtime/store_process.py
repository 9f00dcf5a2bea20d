"""Store work in a process of its own: import and verification (decision A9)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autovibe.kernel.errors import AutovibeError, Code, RemoteError
from autovibe.store import Damage, Snapshot, VerifyResult

_LINE_LIMIT: Final = 64 * 1024 * 1024
_LISTS: Final = ("new_objects", "torn", "special", "excluded", "unreadable")


class StoreProcessError(AutovibeError):
    """The process that works on the store ended without a result."""

    code = Code.INTERNAL
    reason = "STORE_PROCESS_FAILED"


@dataclass(frozen=True)
class StoreProcess:
    """Implements `checkpoints.StoreWork` for a store in a directory."""

    path: Path

    async def import_tree(
        self, roots: Mapping[str, Path], exclude: Sequence[str]
    ) -> tuple[Snapshot, bool]:
        """Snapshot directories, and read back every new object.

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        arguments = [f"--root={name}={path}" for name, path in roots.items()]
        arguments += [f"--exclude={pattern}" for pattern in exclude]
        arguments += ["--exclude-in=workspace"]
        told = await self._run("snapshot", *arguments)
        told.update({name: tuple(told[name]) for name in _LISTS})
        snapshot = Snapshot(**told)
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
        """Re-read and re-hash all that a root needs.

        Raises:
            AutovibeError: as the store says.
            StoreProcessError: the process died.
        """
        told = await self._run("verify", root)
        damages = {
            name: tuple(Damage(item["object"], tuple(item["paths"])) for item in told[name])
            for name in ("missing", "corrupt")
        }
        return VerifyResult(ok=told["ok"], objects=told["objects"], bytes=told["bytes"], **damages)

    async def _run(self, command: str, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "autovibe.store",
            f"--store={self.path}",
            command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        try:
            out, err = await process.communicate(stdin)
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        last = _last_event(out)
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


def _last_event(out: bytes) -> dict[str, Any]:
    """Return what the process said last; a line that was cut off by its end says nothing."""
    lines = out.rstrip(b"\n").rsplit(b"\n", 1)
    try:
        return json.loads(lines[-1])
    except ValueError:
        return {}

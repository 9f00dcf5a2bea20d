"""The long operations that read the store: files, diff, restore, verify."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.damage import describe_damage, note_damages, note_whole
from autovibe.domains.checkpoints.messages import (
    change_message,
    checkpoint_message,
    file_message,
)
from autovibe.domains.checkpoints.models import Checkpoint, VerificationStatus
from autovibe.domains.checkpoints.recording import get_readable_root
from autovibe.domains.checkpoints.repository.damage import damages
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.progress import Step, report
from autovibe.kernel.text import utf8
from autovibe.store import Change, CheckpointStore, VerifyResult, iter_patch
from autovibe.v1 import checkpoints_pb2

_FILES_PAGE: Final = 1_000
_FILES_LARGEST_PAGE: Final = 10_000
_PATCH_LIMIT: Final = 4 * 1024 * 1024
_DAMAGED_LISTED: Final = 1_000


@dataclass(frozen=True)
class FilesPlan:
    """Which entries of which tree are wanted."""

    root: str
    path: str
    skip: int
    size: int
    wanted: Sequence[str] = ()
    """Files, or directories above files, relative to `path`; all when empty."""


class ListCheckpointFiles:
    """The long operation ListCheckpointFiles."""

    def __init__(self, store: CheckpointStore) -> None:
        """Read from a store."""
        self._store = store

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.ListCheckpointFilesRequest
    ) -> FilesPlan:
        """Find the tree; the token is the number of entries that were shown."""
        _, root = await get_readable_root(tx, request.checkpoint_id)
        skip = _shown(decode_token(request.page_token, 1))
        size = page_size(request.page_size, default=_FILES_PAGE, largest=_FILES_LARGEST_PAGE)
        path = tree_path(request.path, home=request.home)
        wanted = [relative_path(item) for item in request.paths]
        return FilesPlan(root, path, skip, size, wanted)

    async def act(
        self, ctx: CallContext, plan: FilesPlan
    ) -> checkpoints_pb2.ListCheckpointFilesResponse:
        """List one page of entries."""

        def read() -> list[checkpoints_pb2.FileEntry]:
            entries = (
                entry
                for entry in self._store.entries(plan.root, plan.path)
                if is_wanted(utf8(entry.path), plan.wanted)
            )
            return [
                file_message(entry)
                for entry in islice(entries, plan.skip, plan.skip + plan.size + 1)
            ]

        files = await asyncio.to_thread(read)
        more = len(files) > plan.size
        return checkpoints_pb2.ListCheckpointFilesResponse(
            files=files[: plan.size],
            next_page_token=encode_token(str(plan.skip + plan.size)) if more else "",
        )


def _shown(token: Sequence[str] | None) -> int:
    if token is None:
        return 0
    if not re.fullmatch("[0-9]{1,12}", token[0]):
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        )
    return int(token[0])


@dataclass(frozen=True)
class DiffPlan:
    """Which trees are to be compared, and how."""

    base_root: str | None
    root: str
    path: str
    with_patch: bool
    without_git: bool
    wanted: Sequence[str] = ()
    """As in `FilesPlan`."""


class DiffCheckpoints:
    """The long operation DiffCheckpoints."""

    def __init__(self, store: CheckpointStore) -> None:
        """Read from a store."""
        self._store = store

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.DiffCheckpointsRequest
    ) -> DiffPlan:
        """Find both trees; the older side is the parent unless one is given."""
        checkpoint, root = await get_readable_root(tx, request.checkpoint_id)
        base_root = None
        base_id = request.base_checkpoint_id or str(checkpoint.parent_checkpoint_id or "")
        if base_id:
            _, base_root = await get_readable_root(tx, base_id)
        path = tree_path(request.path, home=request.home)
        wanted = [relative_path(item) for item in request.paths]
        return DiffPlan(base_root, root, path, request.with_patch, request.without_git, wanted)

    async def act(
        self, ctx: CallContext, plan: DiffPlan
    ) -> checkpoints_pb2.DiffCheckpointsResponse:
        """Compare."""

        def compare() -> checkpoints_pb2.DiffCheckpointsResponse:
            changes = [
                change
                for change in self._store.diff(plan.base_root, plan.root, path=plan.path)
                if not (plan.without_git and is_git_internal(change.path))
                and is_wanted(utf8(change.path), plan.wanted)
            ]
            response = checkpoints_pb2.DiffCheckpointsResponse(
                changes=[change_message(change) for change in changes]
            )
            if plan.with_patch:
                text, response.patch_truncated = self._patch(plan, changes)
                response.patch = text
            return response

        return await asyncio.to_thread(compare)

    def _patch(self, plan: DiffPlan, changes: Sequence[Change]) -> tuple[str, bool]:
        pieces: list[str] = []
        size = 0
        paths = {change.path for change in changes}
        for piece in iter_patch(
            self._store, plan.base_root, plan.root, path=plan.path, paths=paths
        ):
            size += len(piece)
            if size > _PATCH_LIMIT:
                return "".join(pieces), True
            pieces.append(utf8(piece))
        return "".join(pieces), False


@dataclass(frozen=True)
class RestorePlan:
    """What is to be written where."""

    root: str
    path: str
    directory: Path
    exact: bool


class RestoreCheckpoint:
    """The long operation RestoreCheckpoint."""

    def __init__(self, store: CheckpointStore) -> None:
        """Restore from a store."""
        self._store = store

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.RestoreCheckpointRequest
    ) -> RestorePlan:
        """Find the tree."""
        _, root = await get_readable_root(tx, request.checkpoint_id)
        path = tree_path(request.path, home=request.home)
        return RestorePlan(root, path, Path(request.directory), request.exact)

    async def act(
        self, ctx: CallContext, plan: RestorePlan
    ) -> checkpoints_pb2.RestoreCheckpointResponse:
        """Write the files.

        Raises:
            TargetNotEmptyError: the directory holds something.
            PathNotFoundError: the checkpoint has no such path.
            StoreFullError: the disk is full.
        """
        result = await asyncio.to_thread(
            self._store.restore,
            plan.root,
            plan.directory,
            path=plan.path,
            exact=plan.exact,
            progress=lambda at: report(Step(at.phase, at.items, at.bytes)),
        )
        return checkpoints_pb2.RestoreCheckpointResponse(files=result.files, bytes=result.bytes)


class Verifier(Protocol):
    """Verifies snapshots in a process of its own (decision A9)."""

    async def verify_tree(self, root: str) -> VerifyResult:
        """Re-read and re-hash all that a root needs."""
        ...


@dataclass(frozen=True)
class VerifyPlan:
    """What is to be verified."""

    checkpoint_id: uuid.UUID
    root: str


class VerifyCheckpoint:
    """The long operation VerifyCheckpoint."""

    def __init__(self, verifier: Verifier) -> None:
        """Verify by means of a verifier."""
        self._verifier = verifier

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.VerifyCheckpointRequest
    ) -> VerifyPlan:
        """Find the tree."""
        checkpoint, root = await get_readable_root(tx, request.checkpoint_id)
        return VerifyPlan(checkpoint.id, root)

    async def act(self, ctx: CallContext, plan: VerifyPlan) -> VerifyResult:
        """Re-read and re-hash everything that the checkpoint needs."""
        return await self._verifier.verify_tree(plan.root)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: VerifyPlan, outcome: VerifyResult
    ) -> checkpoints_pb2.VerifyCheckpointResponse:
        """Record a first verification; of one that was verified only damage is noted, beside it."""
        row = await tx.session.get_one(Checkpoint, plan.checkpoint_id, with_for_update=True)
        was_verified = row.verification_status == VerificationStatus.VERIFIED
        if not was_verified:
            row.verification_status = (
                VerificationStatus.VERIFIED if outcome.ok else VerificationStatus.FAILED
            )
            row.verified_at = max(ctx.clock.now(), row.created_at) if outcome.ok else None
            await tx.session.flush()  # the answer shows the row as it is now
        damaged = sorted(
            {path for damage in (*outcome.missing, *outcome.corrupt) for path in damage.paths}
        )
        if outcome.ok:
            await note_whole(tx, ctx, [row.id])
        elif was_verified:
            await note_damages(tx, ctx, {row.id: describe_damage(len(damaged), damaged)})
        return checkpoints_pb2.VerifyCheckpointResponse(
            checkpoint=checkpoint_message(row, await damages(tx, [row.id])),
            ok=outcome.ok,
            objects=outcome.objects,
            bytes=outcome.bytes,
            damaged_paths=[utf8(path) for path in damaged[:_DAMAGED_LISTED]],
        )


def tree_path(path: str, *, home: bool) -> str:
    """Return the path in a snapshot for a relative path of workspace or home.

    Raises:
        InvalidArgumentError: the path is absolute or climbs.
    """
    below = relative_path(path)
    root = "home" if home else "workspace"
    return f"{root}/{below}" if below else root


def relative_path(path: str) -> str:
    """Return a path below the top of a tree without needless parts, "" for the top itself.

    Raises:
        InvalidArgumentError: the path is absolute or climbs.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts:
        raise InvalidArgumentError(
            f"{path!r} must be relative to the top of the tree, without `..`.", field="path"
        )
    return "/".join(parts)


def is_wanted(path: str, wanted: Sequence[str]) -> bool:
    """Return whether a path is one of those wanted, or lies below one; none means all."""
    return not wanted or any(
        not item or path == item or path.startswith(f"{item}/") for item in wanted
    )


def is_git_internal(path: str) -> bool:
    """Return whether a path of a workspace belongs to its repository's own files."""
    return path.split("/", 1)[0] == ".git"

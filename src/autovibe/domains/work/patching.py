"""The result of a task as a patch for git, byte for byte; it needs no repository."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.checkpoints import change_message
from autovibe.domains.checkpoints.git import git
from autovibe.domains.work.apply import (
    ApplyPlan,
    check_paths,
    content_changes,
    ignored_changes,
    repository_prefix,
)
from autovibe.domains.work.commit_writer import WORKSPACE, CommitWriter
from autovibe.domains.work.errors import NothingToApplyError
from autovibe.domains.work.ports import HistoryReader
from autovibe.domains.work.results import ApplyTask
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import decode_token, encode_token
from autovibe.kernel.text import utf8
from autovibe.store import Change, CheckpointStore, iter_patch
from autovibe.v1 import work_pb2

_PAGE_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class PatchPlan:
    """Which trees are to be compared, and how many bytes have been given already."""

    trees: ApplyPlan
    offset: int


class GetTaskPatch:
    """The long operation GetTaskPatch."""

    def __init__(self, store: CheckpointStore, history: HistoryReader) -> None:
        """Compare trees in a store; what is prepared is what ApplyTask prepares."""
        self._store = store
        self._trees = ApplyTask(store, history)

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.GetTaskPatchRequest
    ) -> PatchPlan:
        """Find both trees and where they came from.

        Raises:
            NothingToApplyError: the task has no result yet.
        """
        apply = work_pb2.ApplyTaskRequest(
            task_id=request.task_id, include_ignored=request.include_ignored
        )
        return PatchPlan(await self._trees.prepare(tx, ctx, apply), _offset(request.page_token))

    async def act(self, ctx: CallContext, plan: PatchPlan) -> work_pb2.GetTaskPatchResponse:
        """Give one page of the patch; the whole is made anew for each, as most have only one.

        Raises:
            NothingToApplyError: nothing is left that a patch can hold.
            UnsafePathsError: a changed path may not be written.
            GitFailedError: git, which knows what is ignored, is not installed.
        """
        trees = plan.trees
        changes = await asyncio.to_thread(
            content_changes, self._store, trees.base_root, trees.result_root
        )
        prefix, ignored = await self._left_out(trees, changes)
        wanted = [change for change in changes if change.path not in ignored]
        check_paths([change.path for change in wanted])
        if not wanted:
            left_out = " Only ignored files changed; --include-ignored takes them."
            raise NothingToApplyError(
                f"Task {trees.task_id} changed nothing that a patch can hold."
                + (left_out if ignored else "")
            )
        page, more = await asyncio.to_thread(self._page, plan, wanted, prefix)
        response = work_pb2.GetTaskPatchResponse(patch=page)
        if more:
            response.next_page_token = encode_token(str(plan.offset + len(page)))
        if plan.offset == 0:
            response.files.extend(change_message(change) for change in wanted)
            response.ignored.extend(utf8(path) for path in sorted(ignored))
        return response

    async def _left_out(self, trees: ApplyPlan, changes: Sequence[Change]) -> tuple[str, set[str]]:
        """Return where the directory lies in its repository, and the changed paths left out.

        Outside a repository, or without the commit of the import, `.gitignore` files of the
        trees alone decide.
        """
        with tempfile.TemporaryDirectory(prefix="autovibe-patch-") as scratch:
            rules = Path(scratch) / "rules"
            rules.mkdir()
            prefix = await repository_prefix(trees)
            if prefix is not None:
                writer = CommitWriter(self._store, trees.directory, prefix, rules)
                await writer.start(trees.head_commit)
            else:
                empty = Path(scratch) / "empty"
                empty.mkdir()
                await git(empty, "init", "--quiet", "--template=")
                writer = CommitWriter(self._store, empty, "", rules)
            return prefix or "", await ignored_changes(writer, trees, changes)

    def _page(self, plan: PatchPlan, wanted: Sequence[Change], prefix: str) -> tuple[bytes, bool]:
        """Return the bytes after those given already, and whether there are more."""
        trees, skip = plan.trees, plan.offset
        page = bytearray()
        for piece in iter_patch(
            self._store,
            trees.base_root,
            trees.result_root,
            path=WORKSPACE,
            paths={change.path for change in wanted},
            binary=True,
            prefix=prefix,
        ):
            data = piece.encode("utf-8", "surrogateescape")
            page += data[skip:]
            skip = max(0, skip - len(data))
            if len(page) > _PAGE_BYTES:
                return bytes(page[:_PAGE_BYTES]), True
        return bytes(page), False


def _offset(token: str) -> int:
    parts = decode_token(token, 1)
    if parts is None:
        return 0
    if not re.fullmatch("[0-9]{1,12}", parts[0]):
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        )
    return int(parts[0])

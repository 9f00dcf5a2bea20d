"""Importing a directory: what is read, what is left out, and what git knew about it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import repository
from autovibe.domains.checkpoints.damage import note_whole
from autovibe.domains.checkpoints.errors import NotADirectoryGivenError
from autovibe.domains.checkpoints.git import (
    GitFailedError,
    WorkTree,
    find_work_tree,
    git,
    untracked_paths,
)
from autovibe.domains.checkpoints.manifest import manifest_of
from autovibe.domains.checkpoints.messages import checkpoint_message
from autovibe.domains.checkpoints.models import Checkpoint
from autovibe.domains.checkpoints.recording import NewCheckpoint, insert_checkpoint
from autovibe.domains.checkpoints.repository.damage import damages
from autovibe.domains.checkpoints.secrets import Finding, scan
from autovibe.domains.projects import (
    advance_current_checkpoint,
    get_project,
    remember_in_metadata,
)
from autovibe.kernel.context import CallContext
from autovibe.kernel.ids import new_id
from autovibe.kernel.text import utf8
from autovibe.store import CheckpointStore, Exclude, Snapshot
from autovibe.v1 import checkpoints_pb2

REPOSITORY_ROOT: Final = "repository"
"""Root of a checkpoint that holds what becomes `.git` of the workspace in a machine."""
_DIRTY_LIMIT: Final = 10_000
_LISTED_LIMIT: Final = 1_000


class Importer(Protocol):
    """Takes a snapshot of directories in a process of its own (decision A9)."""

    async def import_tree(
        self, roots: Mapping[str, Path], exclude: Sequence[str], *, whole: bool = False
    ) -> tuple[Snapshot, bool]:
        """Return the snapshot and whether every new object could be read back.

        Args:
            roots: name to directory.
            exclude: patterns of the workspace.
            whole: read back all objects, and store again what is damaged.

        Raises:
            AutovibeError: the store is full or cannot be written.
        """
        ...


@dataclass(frozen=True)
class ImportPlan:
    """What is to be imported, and what stands in the project now."""

    project_id: uuid.UUID
    directory: Path
    exclude: Sequence[str]
    include_secrets: bool
    parent_id: uuid.UUID | None
    parent_root: str | None
    distrust: bool = False
    """Something in the store is known to be damaged: what is there already is read back too."""


@dataclass(frozen=True)
class Imported:
    """A snapshot that is durable in the store under the reference of a checkpoint-to-be."""

    checkpoint_id: uuid.UUID
    snapshot: Snapshot
    verified: bool
    manifest: checkpoints_pb2.FileManifest
    secrets: Sequence[str]
    work_tree: WorkTree | None


class ImportDirectory:
    """The long operation ImportDirectory."""

    def __init__(self, store: CheckpointStore, importer: Importer) -> None:
        """Import into a store by means of an importer."""
        self._store = store
        self._importer = importer

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.ImportDirectoryRequest
    ) -> ImportPlan:
        """Find the project and what it excludes already."""
        project = await get_project(tx, request.project)
        parent = None
        if project.current_checkpoint_id is not None:
            parent = await tx.session.get(Checkpoint, project.current_checkpoint_id)
        return ImportPlan(
            project_id=project.id,
            directory=Path(request.directory),
            exclude=_exclude(project.metadata_, request.exclude),
            include_secrets=request.include_secrets,
            parent_id=parent.id if parent else None,
            parent_root=parent.manifest_root if parent and not parent.pruned_at else None,
            distrust=bool(await damages(tx)),
        )

    async def act(self, ctx: CallContext, plan: ImportPlan) -> Imported:
        """Read the tree into the store and make its reference durable."""
        check_directory(plan.directory)
        work_tree = await find_work_tree(plan.directory)
        secrets: list[str] = []
        if not plan.include_secrets:
            findings = await find_secrets(plan.directory, work_tree)
            secrets = [finding.path for finding in findings]
        exclude = [*plan.exclude, *(literal_glob(path) for path in secrets)]
        async with _import_roots(plan.directory) as roots:
            snapshot, verified = await self._importer.import_tree(
                roots, exclude, whole=plan.distrust
            )
        checkpoint_id = new_id()

        def make_durable() -> checkpoints_pb2.FileManifest:
            self._store.write_ref(f"checkpoints/{checkpoint_id}", snapshot.root)
            changes = self._store.diff(plan.parent_root, snapshot.root)
            return manifest_of(changes, str(plan.parent_id) if plan.parent_root else "")

        manifest = await asyncio.to_thread(make_durable)
        return Imported(checkpoint_id, snapshot, verified, manifest, secrets, work_tree)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: ImportPlan, outcome: Imported
    ) -> checkpoints_pb2.ImportDirectoryResponse:
        """Insert the checkpoint, or use the one that has this very tree."""
        snapshot, tree = outcome.snapshot, outcome.work_tree
        response = checkpoints_pb2.ImportDirectoryResponse(
            excluded=[utf8(path) for path in snapshot.excluded[:_LISTED_LIMIT]],
            head_commit=tree.head_commit if tree else "",
            dirty=bool(tree and tree.dirty_paths),
        )
        await remember_in_metadata(
            tx,
            plan.project_id,
            exclude=list(plan.exclude),
            secrets_left_out=[utf8(path) for path in outcome.secrets[:_LISTED_LIMIT]],
        )
        existing = await repository.find_newest_with_root(tx, plan.project_id, snapshot.root)
        if existing is not None and _same_origin(existing, plan.directory, tree):
            response.reused = True
            if plan.distrust and outcome.verified:
                await note_whole(tx, ctx, [existing.id])
            known = await damages(tx, [existing.id])
            response.checkpoint.CopyFrom(checkpoint_message(existing, known))
            return response
        row = await insert_checkpoint(
            tx,
            ctx,
            NewCheckpoint(
                id=outcome.checkpoint_id,
                project_id=plan.project_id,
                parent_id=plan.parent_id,
                kind="manual" if plan.parent_id else "genesis",
                creation_context="import",
                manifest_root=snapshot.root,
                manifest_file_count=snapshot.file_count,
                manifest=outcome.manifest,
                size_bytes=snapshot.total_bytes,
                stored_bytes=snapshot.stored_bytes,
                original_bytes=snapshot.read_bytes,
                metadata=_import_metadata(plan, outcome),
                verified=outcome.verified,
            ),
        )
        if outcome.verified:
            await advance_current_checkpoint(tx, plan.project_id, plan.parent_id, row.id)
        response.checkpoint.CopyFrom(checkpoint_message(row))
        return response


@dataclass(frozen=True)
class ScanPlan:
    """Where to look for secrets, and what will be left out anyway."""

    directory: Path
    exclude: Sequence[str]


class ScanSecrets:
    """The long operation ScanSecrets."""

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.ScanSecretsRequest
    ) -> ScanPlan:
        """Find the project and what it excludes already."""
        project = await get_project(tx, request.project)
        return ScanPlan(Path(request.directory), _exclude(project.metadata_, request.exclude))

    async def act(self, ctx: CallContext, plan: ScanPlan) -> checkpoints_pb2.ScanSecretsResponse:
        """Look at ignored and untracked files; outside git at all files."""
        check_directory(plan.directory)
        found = await find_secrets(plan.directory, await find_work_tree(plan.directory))
        left_out = _matcher(plan.exclude)
        findings = [finding for finding in found if not left_out(finding.path)]
        return checkpoints_pb2.ScanSecretsResponse(
            findings=[
                checkpoints_pb2.SecretFinding(path=utf8(finding.path), why=finding.why)
                for finding in findings[:_LISTED_LIMIT]
            ]
        )


def check_directory(directory: Path) -> None:
    """Refuse what is no directory.

    Raises:
        NotADirectoryGivenError: it is absent, or something else.
    """
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise NotADirectoryGivenError(
            f"{directory} {problem}; give an existing directory with --repo.", path=str(directory)
        )


async def find_secrets(directory: Path, work_tree: WorkTree | None) -> list[Finding]:
    """Return the files that look like secrets; inside git only those that are not tracked."""
    paths = None if work_tree is None else await untracked_paths(directory)
    return await asyncio.to_thread(scan, directory, paths)


def _exclude(metadata: Mapping[str, Any], more: Sequence[str]) -> list[str]:
    """Return the patterns that stand in a project, and those that were given now."""
    kept: list[str] = metadata.get("exclude", [])
    return [*dict.fromkeys([*kept, *more])]


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a file, or a directory that it is in, is left out by the patterns.

    Raises:
        InvalidArgumentError: a pattern is malformed.
    """
    matcher = Exclude(tuple(patterns)).matcher("workspace")
    if matcher is None:
        return lambda _: False

    def left_out(path: str) -> bool:
        parents = (os.fsencode(parent) for parent in PurePosixPath(path).parents)
        return matcher.matches(os.fsencode(path), is_dir=False) or any(
            matcher.matches(parent, is_dir=True) for parent in parents
        )

    return left_out


def literal_glob(path: str) -> str:
    """Return the exclude pattern that matches one path only."""
    quoted = "".join(f"\\{char}" if char in "*?[]\\!" else char for char in path)
    return f"/{quoted}"


@contextlib.asynccontextmanager
async def _import_roots(directory: Path) -> AsyncGenerator[dict[str, Path]]:
    """Yield what is to be snapshotted.

    A linked work tree or submodule has a `.git` file that names a directory elsewhere, and `.git`
    may be a link to one; the machine gets a self-contained repository of the same HEAD, index and
    refs instead (B1).
    """
    named = directory / ".git"
    if not (named.is_file() or named.is_symlink()):
        yield {"workspace": directory}
        return
    with tempfile.TemporaryDirectory(prefix="autovibe-git-") as scratch:
        target = Path(scratch) / "git"
        try:
            await _copy_repository(directory, target)
        except GitFailedError:
            # The file names nothing that git understands: it is imported as the file it is.
            yield {"workspace": directory}
            return
        yield {"workspace": directory, REPOSITORY_ROOT: target}


async def _copy_repository(directory: Path, target: Path) -> None:
    where = await git(
        directory, "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"
    )
    own, common = (Path(line) for line in os.fsdecode(where.out).split("\n")[:2])

    def copy() -> None:
        target.mkdir(mode=0o700)
        for name in ("objects", "refs", "reftable", "info", "packed-refs", "config", "shallow"):
            _copy(common / name, target / name)
        for name in ("HEAD", "index"):
            _copy(own / name, target / name)

    await asyncio.to_thread(copy)
    # Both settings tie the copy to the place that it came from.
    for setting in ("core.worktree", "core.bare"):
        await git(
            directory, "config", "-f", str(target / "config"), "--unset", setting, check=False
        )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.is_file():
        shutil.copy2(source, target)


def _same_origin(existing: Checkpoint, directory: Path, tree: WorkTree | None) -> bool:
    """Return whether an equal tree was imported from here, at the same HEAD: `apply` needs both."""
    told: dict[str, Any] = existing.metadata_.get("import", {})
    head_commit = tree.head_commit if tree else ""
    return told.get("repo_path") == str(directory) and told.get("head_commit", "") == head_commit


def _captured(paths: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Return the paths that the snapshot speaks of: what was left out is not what was deleted."""
    gone = {path.removeprefix("workspace/") for path in left_out}
    return [
        path
        for path in paths
        if path not in gone and not any(str(parent) in gone for parent in Path(path).parents)
    ]


def _import_metadata(plan: ImportPlan, outcome: Imported) -> dict[str, Any]:
    tree, snapshot = outcome.work_tree, outcome.snapshot
    origin: dict[str, Any] = {"repo_path": str(plan.directory)}
    if tree is not None:
        dirty = _captured(tree.dirty_paths, [*snapshot.excluded, *snapshot.unreadable])
        origin |= {
            "head_commit": tree.head_commit,
            "dirty_paths": [utf8(path) for path in dirty[:_DIRTY_LIMIT]],
            "dirty_cut": len(dirty) > _DIRTY_LIMIT,
        }
    told = {
        "exclude": plan.exclude,
        "secrets_left_out": outcome.secrets,
        "torn": snapshot.torn,
        "unreadable": snapshot.unreadable,
        "special": snapshot.special,
    }
    lists = {
        name: [utf8(p) for p in paths[:_LISTED_LIMIT]] for name, paths in told.items() if paths
    }
    return {"import": origin, **lists}

"""Which checkpoints touched a path."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Boolean, case, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import Checkpoint

PATHS_OF_MANIFEST = (
    '(jsonb_path_query_array({manifest}, \'$."files"[*]."path"\')'
    " || coalesce({manifest} -> 'deleted', '[]'::jsonb))"
)
"""What the index of paths is on, in PostgreSQL's words: changed and deleted paths as one array."""


class PathVersion(NamedTuple):
    """One checkpoint that touched a path, and since when its machine had worked on it."""

    checkpoint_id: uuid.UUID
    machine_id: uuid.UUID | None
    checkpoint_type: str
    created_at: datetime
    since: datetime | None
    """When the checkpoint before it was made, if the same machine made it."""
    deleted: bool
    truncated: bool
    """The manifest does not name all changes; the path may have changed unseen before this one."""


async def path_history(
    tx: ReadTx | WriteTx,
    project_id: uuid.UUID,
    path: str,
    *,
    after: tuple[datetime, uuid.UUID] | None = None,
    limit: int,
) -> Sequence[PathVersion]:
    """Return the checkpoints of a project that changed or deleted a path, the newest first.

    Args:
        tx: any transaction.
        project_id: whose checkpoints.
        path: as in manifests: it begins with `workspace/` or `home/`.
        after: time and id of the last one of the page before.
        limit: how many at most.
    """
    parent = aliased(Checkpoint)
    same_machine = parent.creating_machine_id == Checkpoint.creating_machine_id
    query = (
        select(
            Checkpoint.id,
            Checkpoint.creating_machine_id,
            Checkpoint.checkpoint_type,
            Checkpoint.created_at,
            case((same_machine, parent.created_at)),
            _manifest_deletes(Checkpoint.file_manifest, path),
            Checkpoint.file_manifest["truncated"].as_boolean(),
        )
        .outerjoin(parent, parent.id == Checkpoint.parent_checkpoint_id)
        .where(Checkpoint.project_id == project_id, _manifest_names(Checkpoint.file_manifest, path))
        .order_by(Checkpoint.created_at.desc(), Checkpoint.id)
        .limit(limit)
    )
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                Checkpoint.created_at < time,
                (Checkpoint.created_at == time) & (Checkpoint.id > last_id),
            )
        )
    return [
        PathVersion(*row[:5], deleted=bool(row[5]), truncated=bool(row[6]))
        for row in await tx.session.execute(query)
    ]


class _manifest_names(GenericFunction[bool]):  # noqa: N801 - SQL functions are named in lower case
    """Whether a manifest changes or deletes a path."""

    type = Boolean()
    inherit_cache = True


class _manifest_deletes(GenericFunction[bool]):  # noqa: N801 - as above
    """Whether a manifest deletes a path."""

    type = Boolean()
    inherit_cache = True


def _parts(element: Any, compiler: SQLCompiler, **options: Any) -> tuple[str, str]:
    manifest, path = element.clauses
    return compiler.process(manifest, **options), compiler.process(path, **options)


@compiles(_manifest_names, "postgresql")
def _names_on_postgresql(element: Any, compiler: SQLCompiler, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    manifest, path = _parts(element, compiler, **options)
    return (
        f"{PATHS_OF_MANIFEST.format(manifest=manifest)} @> jsonb_build_array(CAST({path} AS text))"
    )


@compiles(_manifest_deletes, "postgresql")
def _deletes_on_postgresql(element: Any, compiler: SQLCompiler, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    manifest, path = _parts(element, compiler, **options)
    return f"coalesce({manifest} -> 'deleted' ? CAST({path} AS text), false)"


@compiles(_manifest_names, "sqlite")
def _names_on_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    manifest, path = _parts(element, compiler, **options)
    deleted = _deletes_on_sqlite(element, compiler, **options)
    return (
        f"(EXISTS (SELECT 1 FROM json_each({manifest}, '$.files') AS file"  # noqa: S608 - compiled clauses
        f" WHERE json_extract(file.value, '$.path') = {path}) OR {deleted})"
    )


@compiles(_manifest_deletes, "sqlite")
def _deletes_on_sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    manifest, path = _parts(element, compiler, **options)
    return (
        f"EXISTS (SELECT 1 FROM json_each({manifest}, '$.deleted') AS gone"  # noqa: S608 - compiled clauses
        f" WHERE gone.value = {path})"
    )

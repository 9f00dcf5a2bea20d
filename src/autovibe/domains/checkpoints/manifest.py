"""What a checkpoint changed against its parent: the content of `checkpoints.file_manifest`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autovibe.kernel.text import utf8
from autovibe.store import Change
from autovibe.v1 import checkpoints_pb2

MANIFEST_LIMIT: Final = 10_000


def manifest_of(changes: Sequence[Change], parent_id: str) -> checkpoints_pb2.FileManifest:
    """Return the manifest of a checkpoint, cut at 10,000 entries (schema.md, section 2).

    Args:
        changes: against the parent; paths begin with the name of their root.
        parent_id: the parent's id, "" for a root.
    """
    message = checkpoints_pb2.FileManifest(relative_to=parent_id)
    for change in changes[:MANIFEST_LIMIT]:
        if change.new is None:
            message.deleted.append(utf8(change.path))
            continue
        file = message.files.add(
            path=utf8(change.path), size=change.new.size, sha256=change.new.sha256 or ""
        )
        file.modified_at.FromNanoseconds(change.new.mtime_ns)
    message.truncated = len(changes) > MANIFEST_LIMIT
    return message

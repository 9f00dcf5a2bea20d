"""Versions of documents: each change of title, content or tags makes one, and none is lost."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.knowledge import repository
from autovibe.domains.knowledge.errors import DocumentVersionNotFoundError
from autovibe.domains.knowledge.models import ContextDocument, ContextDocumentVersion
from autovibe.kernel.context import CallContext
from autovibe.v1 import documents_pb2


def keep_version(
    tx: WriteTx, ctx: CallContext, document: ContextDocument, why: Mapping[str, Any] | None = None
) -> None:
    """Write down what a document says now, under its number and who made it say so."""
    tx.session.add(
        ContextDocumentVersion(
            document_id=document.id,
            version=document.version,
            title=document.title,
            content=document.content,
            tags=list(document.tags),
            created_by=ctx.actor.user_id,
            metadata=dict(why or {}),
        )
    )


def change(
    tx: WriteTx,
    ctx: CallContext,
    document: ContextDocument,
    *,
    title: str,
    content: str,
    tags: Sequence[str],
    why: Mapping[str, Any] | None = None,
) -> None:
    """Give a document, which is locked, new words; nothing new makes no version."""
    tags = list(tags)
    if (document.title, document.content, list(document.tags)) == (title, content, tags):
        return
    document.title, document.content, document.tags = title, content, tags
    document.version += 1
    keep_version(tx, ctx, document, why)


async def get_version(
    tx: ReadTx | WriteTx, document: ContextDocument, version: int
) -> ContextDocumentVersion:
    """Return one version of a document.

    Raises:
        DocumentVersionNotFoundError: there is none of this number.
    """
    found = await repository.find_version(tx, document.id, version)
    if found is None:
        raise DocumentVersionNotFoundError(
            f"Document {document.id} has no version {version}; it has 1 to {document.version}.",
            document_id=str(document.id),
            version=version,
        )
    return found


def difference(
    earlier: ContextDocumentVersion, later: ContextDocumentVersion
) -> documents_pb2.DocumentDiff:
    """Return what changed from one version to another."""
    return documents_pb2.DocumentDiff(
        document_id=str(later.document_id),
        from_version=earlier.version,
        to_version=later.version,
        patch=_patch(earlier, later),
        from_title=earlier.title,
        to_title=later.title,
        added_tags=[tag for tag in later.tags if tag not in earlier.tags],
        removed_tags=[tag for tag in earlier.tags if tag not in later.tags],
    )


def _patch(earlier: ContextDocumentVersion, later: ContextDocumentVersion) -> str:
    lines = difflib.unified_diff(
        earlier.content.split("\n"),
        later.content.split("\n"),
        f"version {earlier.version}",
        f"version {later.version}",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines)

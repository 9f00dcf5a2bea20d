"""Queries on context documents."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.knowledge.models import ContextDocument, ContextDocumentVersion


@dataclass(frozen=True)
class Wanted:
    """Which documents are looked for; what is empty does not count."""

    project_id: uuid.UUID | None = None
    document_type: str = ""
    tags: Sequence[str] = ()
    repository_url: str = ""
    words: Sequence[str] = ()


async def find_between(
    tx: ReadTx | WriteTx, low: uuid.UUID, high: uuid.UUID
) -> Sequence[ContextDocument]:
    """Return at most two documents whose ids lie between these; a deleted one is none."""
    query = _living().where(ContextDocument.id.between(low, high)).limit(2)
    return (await tx.session.scalars(query)).all()


async def lock(tx: WriteTx, document: ContextDocument) -> None:
    """Lock a document that was read before, and read it again as it is now."""
    await tx.session.refresh(document, with_for_update=True)


async def list_page(
    tx: ReadTx, wanted: Wanted, after: tuple[str, uuid.UUID] | None, limit: int
) -> Sequence[ContextDocument]:
    """Return documents by title and id, those after the given place."""
    document = ContextDocument
    query = _living().order_by(document.title, document.id).limit(limit)
    if wanted.project_id is not None:
        query = query.where(document.project_id == wanted.project_id)
    if wanted.document_type:
        query = query.where(document.document_type == wanted.document_type)
    if wanted.repository_url:
        query = query.where(document.repository_url == wanted.repository_url)
    for tag in wanted.tags:
        query = query.where(tx.dialect.json_has(document.tags, tag))
    for word in wanted.words:
        query = query.where(
            or_(
                tx.dialect.holds_words(document.title, [word]),
                tx.dialect.holds_words(document.content, [word]),
            )
        )
    if after is not None:
        title, last_id = after
        query = query.where(
            or_(document.title > title, (document.title == title) & (document.id > last_id))
        )
    return (await tx.session.scalars(query)).all()


async def of_project(tx: ReadTx, project_id: uuid.UUID) -> Sequence[ContextDocument]:
    """Return the documents of a project by title."""
    query = (
        _living()
        .where(ContextDocument.project_id == project_id)
        .order_by(ContextDocument.title, ContextDocument.id)
    )
    return (await tx.session.scalars(query)).all()


async def find_version(
    tx: ReadTx | WriteTx, document_id: uuid.UUID, version: int
) -> ContextDocumentVersion | None:
    """Return one version of a document."""
    query = select(ContextDocumentVersion).where(
        ContextDocumentVersion.document_id == document_id,
        ContextDocumentVersion.version == version,
    )
    return (await tx.session.scalars(query)).one_or_none()


async def list_versions(
    tx: ReadTx, document_id: uuid.UUID, before: int | None, limit: int
) -> Sequence[ContextDocumentVersion]:
    """Return versions of a document, the newest first, those before the given one."""
    version = ContextDocumentVersion
    query = (
        select(version)
        .where(version.document_id == document_id)
        .order_by(version.version.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(version.version < before)
    return (await tx.session.scalars(query)).all()


def _living() -> Select[ContextDocument]:
    return select(ContextDocument).where(ContextDocument.deleted_at.is_(None))

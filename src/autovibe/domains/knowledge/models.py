"""Tables of the knowledge domain."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import (
    CHAR,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import Base, Created, Identified, Timestamps, WithMetadata, one_of, tags
from autovibe.db.types import EnumText, RealArray

if TYPE_CHECKING:
    from autovibe.domains.identity.models import User
    from autovibe.domains.projects.models import Project


class DocumentType(StrEnum):
    """What a context document is."""

    DESIGN = "design"
    PLAN = "plan"
    SPECIFICATION = "specification"
    GUIDE = "guide"
    REFERENCE = "reference"


class ContextDocument(Identified, WithMetadata, Timestamps, Base):
    """A document in Markdown that agents read; each change of its content is a version."""

    __tablename__ = "context_documents"
    __table_args__ = (
        one_of("document_type", DocumentType, "ck_context_documents_type"),
        CheckConstraint("version >= 1", name="ck_context_documents_version"),
        Index("idx_context_docs_type", "document_type"),
        Index("idx_context_docs_repo", "repository_url"),
        Index("idx_context_docs_tags", "tags", postgresql_using="gin").ddl_if(dialect="postgresql"),
        Index("idx_context_docs_created_by", "created_by"),
        Index("idx_context_docs_project", "project_id"),
    )

    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="SET NULL")
    )
    title: Mapped[str] = mapped_column(String(255))
    document_type: Mapped[DocumentType] = mapped_column(EnumText(DocumentType, 50))
    content: Mapped[str] = mapped_column(Text)
    repository_url: Mapped[str | None] = mapped_column(String(500))
    tags: Mapped[list[str]] = tags()
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    deleted_at: Mapped[datetime | None] = mapped_column()

    creator: Mapped[User | None] = relationship(back_populates="context_documents")
    project: Mapped[Project | None] = relationship(back_populates="context_documents")
    versions: Mapped[list[ContextDocumentVersion]] = relationship(
        back_populates="document",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by="ContextDocumentVersion.version.desc()",
    )
    chunks: WriteOnlyMapped[RagDocument] = relationship(
        back_populates="context_document", passive_deletes=True
    )


class ContextDocumentVersion(Identified, WithMetadata, Created, Base):
    """What a document said before."""

    __tablename__ = "context_document_versions"
    __table_args__ = (
        UniqueConstraint("document_id", "version", name="uq_context_document_versions"),
        Index("idx_context_document_versions_created_by", "created_by"),
    )

    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("context_documents.id", ondelete="CASCADE")
    )
    version: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(String(255))
    content: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = tags()
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )

    document: Mapped[ContextDocument] = relationship(back_populates="versions")


class RagDocument(Identified, WithMetadata, Timestamps, Base):
    """One chunk of a source for retrieval, with its embedding when a model gave one."""

    __tablename__ = "rag_documents"
    __table_args__ = (
        UniqueConstraint("document_id", name="uq_rag_documents_document_id"),
        UniqueConstraint("parent_document_id", "chunk_index", name="uq_rag_documents_chunk"),
        CheckConstraint(
            "chunk_index IS NULL OR total_chunks IS NULL"
            " OR (chunk_index >= 0 AND chunk_index < total_chunks)",
            name="ck_rag_documents_chunks",
        ),
        Index("idx_rag_documents_hash", "content_hash"),
        Index("idx_rag_documents_source", "source_path"),
        Index("idx_rag_documents_context", "context_document_id"),
    )

    document_id: Mapped[str] = mapped_column(String(100))
    parent_document_id: Mapped[str | None] = mapped_column(String(100))
    context_document_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("context_documents.id", ondelete="CASCADE")
    )
    source_path: Mapped[str | None] = mapped_column(String(500))
    content: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(CHAR(64))
    chunk_index: Mapped[int | None] = mapped_column()
    total_chunks: Mapped[int | None] = mapped_column()
    embedding_model: Mapped[str | None] = mapped_column(String(100))
    embedding: Mapped[list[float] | None] = mapped_column(RealArray())

    context_document: Mapped[ContextDocument | None] = relationship(back_populates="chunks")

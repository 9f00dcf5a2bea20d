"""From rows to messages."""

from __future__ import annotations

from autovibe.domains.etags import etag_of
from autovibe.domains.knowledge.models import ContextDocument, ContextDocumentVersion
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import documents_pb2


def document_message(
    document: ContextDocument, *, with_content: bool = True
) -> documents_pb2.ContextDocument:
    """Return the message of a document. Its etag is the same with and without its content."""
    message = documents_pb2.ContextDocument(
        id=str(document.id),
        project_id=id_text(document.project_id),
        title=document.title,
        document_type=document.document_type,
        content=document.content,
        repository_url=document.repository_url or "",
        tags=document.tags,
        metadata=struct(document.metadata_),
        created_by=id_text(document.created_by),
        version=document.version,
        created_at=timestamp(document.created_at),
        updated_at=timestamp(document.updated_at),
        size_bytes=len(document.content.encode()),
    )
    message.etag = etag_of(message)
    if not with_content:
        message.ClearField("content")
    return message


def earlier_message(
    document: ContextDocument, version: ContextDocumentVersion
) -> documents_pb2.ContextDocument:
    """Return the message of a document as it was; it has no etag, as nothing changes it."""
    message = document_message(document)
    message.title = version.title
    message.content = version.content
    message.tags[:] = version.tags
    message.version = version.version
    message.size_bytes = len(version.content.encode())
    message.created_by = id_text(version.created_by)
    message.updated_at.FromDatetime(version.created_at)
    message.ClearField("etag")
    return message


def version_message(version: ContextDocumentVersion) -> documents_pb2.DocumentVersion:
    """Return the message of a version, without its content."""
    return documents_pb2.DocumentVersion(
        document_id=str(version.document_id),
        version=version.version,
        title=version.title,
        tags=version.tags,
        size_bytes=len(version.content.encode()),
        created_by=id_text(version.created_by),
        created_at=timestamp(version.created_at),
        metadata=struct(version.metadata_),
    )

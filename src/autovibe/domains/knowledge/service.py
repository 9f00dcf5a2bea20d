"""The rules of context documents."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.etags import check_etag
from autovibe.domains.knowledge import repository
from autovibe.domains.knowledge.errors import (
    DocumentAttachedError,
    DocumentNotFoundError,
    DocumentTooLargeError,
)
from autovibe.domains.knowledge.messages import document_message, earlier_message, version_message
from autovibe.domains.knowledge.models import ContextDocument, DocumentType
from autovibe.domains.knowledge.versions import change, difference, get_version, keep_version
from autovibe.domains.projects import resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.talk_settings import DocumentSettings
from autovibe.v1 import documents_pb2

_KB: Final = 1024
_PLACE: Final = 2


class DocumentService:
    """Implements autovibe.v1.DocumentService."""

    def __init__(self, settings: DocumentSettings) -> None:
        """Take how large documents may be."""
        self._settings = settings

    async def create_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.CreateDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Write a document.

        Raises:
            ProjectNotFoundError: there is no such project.
            DocumentTooLargeError: it is larger than the settings allow.
        """
        self._check_size(request.content)
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        document = ContextDocument(
            id=uuid.uuid4(),
            project_id=project_id,
            title=request.title,
            document_type=DocumentType(request.document_type or DocumentType.REFERENCE),
            content=request.content,
            repository_url=request.repository_url or None,
            tags=_distinct(request.tags),
            created_by=ctx.actor.user_id,
            version=1,
            metadata={},
        )
        tx.session.add(document)
        await tx.session.flush()  # its first version refers to it
        keep_version(tx, ctx, document)
        return document_message(document)

    async def get_document(
        self, tx: ReadTx, ctx: CallContext, request: documents_pb2.GetDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Return one document, as it is now or as it was.

        Raises:
            DocumentNotFoundError: there is none.
            DocumentVersionNotFoundError: it has no such version.
        """
        del ctx
        document = await get_document(tx, request.document_id)
        if request.version in {0, document.version}:
            return document_message(document)
        return earlier_message(document, await get_version(tx, document, request.version))

    async def list_documents(
        self, tx: ReadTx, ctx: CallContext, request: documents_pb2.ListDocumentsRequest
    ) -> documents_pb2.ListDocumentsResponse:
        """Return one page of documents by title, without their content.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        del ctx
        size = page_size(request.page_size)
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        rows = await repository.list_page(
            tx,
            repository.Wanted(
                project_id,
                request.document_type,
                list(request.tags),
                request.repository_url,
                request.query.split(),
            ),
            _place(request.page_token),
            size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return documents_pb2.ListDocumentsResponse(
            documents=[document_message(row, with_content=False) for row in rows[:size]],
            next_page_token=encode_token(last.title, str(last.id)) if last else "",
        )

    async def update_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.UpdateDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Change a document; what is not given stays.

        Raises:
            DocumentNotFoundError: there is none.
            DocumentTooLargeError: the content is larger than the settings allow.
            EtagMismatchError: it has changed since the caller looked.
        """
        document = await _locked(tx, request.document_id, request.etag)
        content = request.content if request.HasField("content") else document.content
        self._check_size(content)
        if request.document_type:
            document.document_type = DocumentType(request.document_type)
        if request.HasField("repository_url"):
            document.repository_url = request.repository_url or None
        tags = _distinct(request.tags.tags) if request.HasField("tags") else document.tags
        title = request.title or document.title
        change(tx, ctx, document, title=title, content=content, tags=tags)
        await tx.session.flush()  # the time of the change is part of the answer
        return document_message(document)

    async def delete_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.DeleteDocumentRequest
    ) -> documents_pb2.DeleteDocumentResponse:
        """Delete a document; its row and versions stay, and nothing shows them.

        Raises:
            DocumentNotFoundError: there is none.
            EtagMismatchError: it has changed since the caller looked.
        """
        document = await _locked(tx, request.document_id, request.etag)
        document.deleted_at = ctx.clock.now()
        return documents_pb2.DeleteDocumentResponse()

    async def list_document_versions(
        self, tx: ReadTx, ctx: CallContext, request: documents_pb2.ListDocumentVersionsRequest
    ) -> documents_pb2.ListDocumentVersionsResponse:
        """Return one page of the versions of a document, the newest first.

        Raises:
            DocumentNotFoundError: there is none.
        """
        del ctx
        size = page_size(request.page_size)
        before = _before(request.page_token)
        document = await get_document(tx, request.document_id)
        rows = await repository.list_versions(tx, document.id, before, size + 1)
        more = len(rows) > size
        return documents_pb2.ListDocumentVersionsResponse(
            versions=[version_message(row) for row in rows[:size]],
            next_page_token=encode_token(str(rows[size - 1].version)) if more else "",
        )

    async def diff_document(
        self, tx: ReadTx, ctx: CallContext, request: documents_pb2.DiffDocumentRequest
    ) -> documents_pb2.DocumentDiff:
        """Return what changed between two versions of a document.

        Raises:
            DocumentNotFoundError: there is none.
            DocumentVersionNotFoundError: it has no such version.
        """
        del ctx
        document = await get_document(tx, request.document_id)
        later = request.to_version or document.version
        earlier = request.from_version or max(later - 1, 1)
        return difference(
            await get_version(tx, document, earlier), await get_version(tx, document, later)
        )

    async def rollback_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.RollbackDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Bring title, content and tags of an earlier version back, as a new version.

        Raises:
            DocumentNotFoundError: there is none.
            DocumentVersionNotFoundError: it has no such version.
            EtagMismatchError: it has changed since the caller looked.
        """
        document = await _locked(tx, request.document_id, request.etag)
        then = await get_version(tx, document, request.version)
        change(
            tx,
            ctx,
            document,
            title=then.title,
            content=then.content,
            tags=then.tags,
            why={"rolled_back_to": then.version},
        )
        await tx.session.flush()  # the time of the change is part of the answer
        return document_message(document)

    async def attach_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.AttachDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Attach a document to a project.

        Raises:
            DocumentNotFoundError: there is none.
            ProjectNotFoundError: there is no such project.
            DocumentAttachedError: it is attached to another.
        """
        del ctx
        document = await _locked(tx, request.document_id)
        project_id = await resolve_project_id(tx, request.project)
        if document.project_id not in {None, project_id}:
            raise DocumentAttachedError(
                "The document is attached to another project; take it from there first with "
                f"`autovibe document detach {document.id}`.",
                document_id=str(document.id),
                project_id=str(document.project_id),
            )
        document.project_id = project_id
        await tx.session.flush()  # the time of the change is part of the answer
        return document_message(document)

    async def detach_document(
        self, tx: WriteTx, ctx: CallContext, request: documents_pb2.DetachDocumentRequest
    ) -> documents_pb2.ContextDocument:
        """Take a document from its project.

        Raises:
            DocumentNotFoundError: there is none.
        """
        del ctx
        document = await _locked(tx, request.document_id)
        document.project_id = None
        await tx.session.flush()  # the time of the change is part of the answer
        return document_message(document)

    async def get_machine_documents(
        self, tx: ReadTx, ctx: CallContext, request: documents_pb2.GetMachineDocumentsRequest
    ) -> documents_pb2.MachineDocuments:
        """Return the documents that a machine of a project is given, the smallest first if not all.

        What is left out is named: nobody is to believe that an agent knows it.
        """
        del ctx
        rows = await repository.of_project(tx, uuid.UUID(request.project_id))
        room = self._settings.machine_kb * _KB
        given: set[uuid.UUID] = set()
        for row in sorted(rows, key=lambda row: len(row.content.encode())):
            room -= len(row.content.encode())
            if room < 0:
                break
            given.add(row.id)
        return documents_pb2.MachineDocuments(
            documents=[document_message(row) for row in rows if row.id in given],
            left_out=[row.title for row in rows if row.id not in given],
        )

    def _check_size(self, content: str) -> None:
        size, most = len(content.encode()), self._settings.max_kb * _KB
        if size > most:
            raise DocumentTooLargeError(
                f"The document has {size} bytes and may have {most}; divide it, or raise "
                "documents.max_kb in config.toml.",
                size_bytes=size,
                limit_bytes=most,
            )


async def get_document(tx: ReadTx | WriteTx, id_or_prefix: str) -> ContextDocument:
    """Return one document by its id or the beginning of it.

    Raises:
        DocumentNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await repository.find_between(tx, *id_range(id_or_prefix, "document"))
    if not found:
        raise DocumentNotFoundError(
            f"There is no document {id_or_prefix}; see `autovibe document list`.",
            document_id=id_or_prefix,
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several documents begin with {id_or_prefix}; give more of the id.",
            field="document_id",
        )
    return found[0]


async def _locked(tx: WriteTx, id_or_prefix: str, etag: str = "") -> ContextDocument:
    """Return a document that nobody else changes, if it still is what the caller saw."""
    document = await get_document(tx, id_or_prefix)
    await repository.lock(tx, document)
    check_etag(etag, document_message(document).etag)
    return document


def _distinct(tags: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _place(token: str) -> tuple[str, uuid.UUID] | None:
    key = decode_token(token, _PLACE)
    if key is None:
        return None
    try:
        return key[0], uuid.UUID(key[1])
    except ValueError:
        raise _not_ours() from None


def _before(token: str) -> int | None:
    key = decode_token(token, 1)
    if key is None:
        return None
    if not (key[0].isascii() and key[0].isdecimal() and len(key[0]) <= len(str(2**31))):
        raise _not_ours()
    return int(key[0])


def _not_ours() -> InvalidArgumentError:
    return InvalidArgumentError(
        "The page token is not valid; start again without one.", what="page_token"
    )

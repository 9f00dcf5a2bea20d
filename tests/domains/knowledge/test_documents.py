from __future__ import annotations

from typing import Any

import pytest
from plane import Plane

from autovibe.domains.etags import EtagMismatchError
from autovibe.domains.knowledge.errors import (
    DocumentAttachedError,
    DocumentNotFoundError,
    DocumentTooLargeError,
    DocumentVersionNotFoundError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import documents_pb2


async def _create(plane: Plane, title: str, **fields: Any) -> documents_pb2.ContextDocument:
    return await plane.services.documents.create_document(
        documents_pb2.CreateDocumentRequest(title=title, **fields)
    )


async def _update(plane: Plane, document_id: str, **fields: Any) -> documents_pb2.ContextDocument:
    return await plane.services.documents.update_document(
        documents_pb2.UpdateDocumentRequest(document_id=document_id, **fields)
    )


async def _get(plane: Plane, document_id: str, version: int = 0) -> documents_pb2.ContextDocument:
    return await plane.services.documents.get_document(
        documents_pb2.GetDocumentRequest(document_id=document_id, version=version)
    )


async def _titles(plane: Plane, **fields: Any) -> list[str]:
    answer = await plane.services.documents.list_documents(
        documents_pb2.ListDocumentsRequest(**fields)
    )
    assert not any(one.content for one in answer.documents)
    return [one.title for one in answer.documents]


@pytest.mark.req("S3-74", "S3-81")
async def test_a_change_makes_a_version_and_every_version_is_kept(plane: Plane):
    first = await _create(plane, "Style", content="Tabs.\nNo more.\n", tags=["style", "style"])
    assert (first.version, first.document_type, list(first.tags)) == (1, "reference", ["style"])
    second = await _update(plane, first.id[:8], content="Spaces.\nNo more.\n", etag=first.etag)
    assert (second.version, second.title) == (2, "Style")
    same = await _update(plane, first.id, content="Spaces.\nNo more.\n", document_type="guide")
    assert (same.version, same.document_type) == (2, "guide")
    assert (await _get(plane, first.id, 1)).content == "Tabs.\nNo more.\n"
    assert (await _get(plane, first.id)) == same == await _get(plane, first.id, 2)
    with pytest.raises(DocumentVersionNotFoundError):
        await _get(plane, first.id, 3)
    with pytest.raises(EtagMismatchError):
        await _update(plane, first.id, content="x", etag=first.etag)
    diff = await plane.services.documents.diff_document(
        documents_pb2.DiffDocumentRequest(document_id=first.id)
    )
    assert (diff.from_version, diff.to_version) == (1, 2)
    assert "-Tabs.\n+Spaces.\n No more.\n" in diff.patch
    back = await plane.services.documents.rollback_document(
        documents_pb2.RollbackDocumentRequest(document_id=first.id, version=1)
    )
    assert (back.version, back.content) == (3, "Tabs.\nNo more.\n")
    versions = await plane.services.documents.list_document_versions(
        documents_pb2.ListDocumentVersionsRequest(document_id=first.id, page_size=2)
    )
    assert [one.version for one in versions.versions] == [3, 2]
    assert versions.versions[0].metadata["rolled_back_to"] == 1
    rest = await plane.services.documents.list_document_versions(
        documents_pb2.ListDocumentVersionsRequest(
            document_id=first.id, page_token=versions.next_page_token
        )
    )
    assert [one.version for one in rest.versions] == [1]


@pytest.mark.req("S3-74", "S3-78", "S3-79")
async def test_documents_are_found_by_tag_type_repository_and_words(plane: Plane):
    await plane.project()
    await _create(plane, "B", content="Ünder the Hood_", tags=["api", "v2"], project="website")
    await _create(plane, "A", content="hood", tags=["api"], document_type="plan")
    await _create(plane, "C", repository_url="https://example.org/x")
    assert await _titles(plane) == ["A", "B", "C"]
    assert await _titles(plane, tags=["api"]) == ["A", "B"]
    assert await _titles(plane, tags=["v2", "api"]) == ["B"]
    assert await _titles(plane, tags=["ap"]) == []
    assert await _titles(plane, document_type="plan") == ["A"]
    assert await _titles(plane, project="website") == ["B"]
    assert await _titles(plane, repository_url="https://example.org/x") == ["C"]
    assert await _titles(plane, query="HOOD") == ["A", "B"]
    assert await _titles(plane, query="hood_ the") == ["B"]
    assert await _titles(plane, query="h%d") == []
    page = await plane.services.documents.list_documents(
        documents_pb2.ListDocumentsRequest(page_size=2)
    )
    assert await _titles(plane, page_token=page.next_page_token) == ["C"]
    with pytest.raises(InvalidArgumentError):
        await _titles(plane, page_token="WyJhIiwiYiJd")


async def test_a_document_belongs_to_one_project_at_a_time(one_plane: Plane):
    plane = one_plane
    website = await plane.project()
    shop = await plane.project("shop")
    made = await _create(plane, "Rules", content="Be nice.")

    async def attach(project: str) -> documents_pb2.ContextDocument:
        return await plane.services.documents.attach_document(
            documents_pb2.AttachDocumentRequest(document_id=made.id, project=project)
        )

    assert (await attach("website")).project_id == website.id
    assert (await attach(website.id)).project_id == website.id
    with pytest.raises(DocumentAttachedError):
        await attach("shop")
    detached = await plane.services.documents.detach_document(
        documents_pb2.DetachDocumentRequest(document_id=made.id)
    )
    assert detached.project_id == ""
    assert (await attach("shop")).project_id == shop.id


async def test_what_is_deleted_is_shown_nowhere(one_plane: Plane):
    plane = one_plane
    project = await plane.project()
    made = await _create(plane, "Old", content="x", project="website")
    await plane.services.documents.delete_document(
        documents_pb2.DeleteDocumentRequest(document_id=made.id, etag=made.etag)
    )
    assert await _titles(plane) == []
    with pytest.raises(DocumentNotFoundError):
        await _get(plane, made.id)
    given = await plane.services.documents.get_machine_documents(
        documents_pb2.GetMachineDocumentsRequest(project_id=project.id)
    )
    assert not given.documents
    assert await plane.rows("SELECT count(*) FROM context_document_versions") == [(1,)]


async def test_a_machine_gets_what_fits_and_the_rest_is_named(one_plane: Plane):
    plane = one_plane
    project = await plane.project()
    with pytest.raises(DocumentTooLargeError):
        await _create(plane, "Too large", content="x" * (1024 * 1024 + 1))
    for number in range(9):
        await _create(plane, f"{number}", content="y" * (1024 * 1000), project="website")
    await _create(plane, "small", content="z", project="website")
    given = await plane.services.documents.get_machine_documents(
        documents_pb2.GetMachineDocumentsRequest(project_id=project.id)
    )
    assert len(given.documents) == 9
    assert "small" in [one.title for one in given.documents]
    assert len(given.left_out) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"title": " x"},
        {"title": "a\x1bb"},
        {"title": "x" * 256},
        {"title": "x", "tags": ["two words"]},
        {"title": "x", "tags": [""]},
        {"title": "x", "tags": ["t" * 51]},
        {"title": "x", "content": "a\0b"},
        {"title": "x", "document_type": "novel"},
    ],
)
async def test_a_malformed_document_is_refused(one_plane: Plane, fields: dict[str, Any]):
    with pytest.raises(InvalidArgumentError):
        await one_plane.services.documents.create_document(
            documents_pb2.CreateDocumentRequest(**fields)
        )

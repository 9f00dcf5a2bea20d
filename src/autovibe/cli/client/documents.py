"""`autovibe document`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import clipped, moment, pairs, short, size, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import documents_pb2

_TYPES = ("design", "plan", "specification", "guide", "reference")


@click.group(epilog="Example: autovibe document add STYLE.md --project website --type guide")
def document() -> None:
    """Keep what agents are to know; a project's documents are files in its machines."""


@document.command(epilog="Example: autovibe document add STYLE.md --project website --type guide")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--title", default="", help="The file's name without its ending by default.")
@click.option("--type", "kind", type=click.Choice(_TYPES), default="reference", show_default=True)
@click.option("--project", default="", help="The project it is attached to (name or id).")
@click.option("--tag", "tags", multiple=True, help="A word to find it by.")
@click.option("--repository-url", default="", help="The repository that it is about.")
@json_option
def add(  # noqa: PLR0917 - click gives one argument for each option
    file: Path,
    title: str,
    kind: str,
    project: str,
    tags: Sequence[str],
    repository_url: str,
    *,
    as_json: bool,
) -> None:
    """Write a document from a file in Markdown; "-" reads standard input."""
    content = _read(file)
    if not title and str(file) == "-":
        raise InvalidArgumentError("Give what is read from standard input a --title.")
    _changed(
        lambda connection: connection.services.documents.create_document(
            documents_pb2.CreateDocumentRequest(
                title=title or file.stem,
                document_type=kind,
                content=content,
                project=project,
                repository_url=repository_url,
                tags=tags,
            )
        ),
        "Wrote",
        as_json=as_json,
    )


@document.command("list", epilog="Example: autovibe document list --project website --tag api")
@click.option("--project", default="", help="Only of this project (name or id).")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="Only of this type.")
@click.option("--tag", "tags", multiple=True, help="Only with this tag; several must all be there.")
@click.option("--repository-url", default="", help="Only about this repository.")
@click.option("--search", "words", default="", help="Only with these words in title or content.")
@limit_option
@json_option
def list_(  # noqa: PLR0917 - click gives one argument for each option
    project: str,
    kind: str | None,
    tags: Sequence[str],
    repository_url: str,
    words: str,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List documents by title."""

    async def body(
        connection: Connection,
    ) -> tuple[list[documents_pb2.ContextDocument], str]:
        async def fetch(
            count: int, token: str
        ) -> tuple[Sequence[documents_pb2.ContextDocument], str]:
            answer = await connection.services.documents.list_documents(
                documents_pb2.ListDocumentsRequest(
                    project=project,
                    document_type=kind or "",
                    tags=tags,
                    repository_url=repository_url,
                    query=words,
                    page_size=count,
                    page_token=token,
                )
            )
            return answer.documents, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"documents": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No documents; write one with `autovibe document add FILE`."])
        return
    rows = [
        (
            short(one.id),
            short(one.project_id) or "-",
            one.document_type,
            str(one.version),
            size(one.size_bytes),
            clipped(one.title, 50),
            ",".join(one.tags),
        )
        for one in found
    ]
    print_lines(
        table(("DOCUMENT", "PROJECT", "TYPE", "VERSION", "SIZE", "TITLE", "TAGS"), rows, "VERSION")
    )
    print_notes(more(token))


@document.command(epilog="Example: autovibe document show 1a2b3c4d --version 2")
@click.argument("document_id", metavar="DOCUMENT")
@click.option("--version", type=click.IntRange(1), default=None, help="As it was in this version.")
@json_option
def show(document_id: str, version: int | None, *, as_json: bool) -> None:
    """Show a document."""

    async def body(connection: Connection) -> documents_pb2.ContextDocument:
        return await connection.services.documents.get_document(
            documents_pb2.GetDocumentRequest(document_id=document_id, version=version or 0)
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    head = pairs(
        [
            ("document", found.id),
            ("title", found.title),
            ("type", found.document_type),
            ("version", str(found.version)),
            ("project", found.project_id),
            ("repository", found.repository_url),
            ("tags", " ".join(found.tags)),
            ("changed", f"{moment(found.updated_at)} UTC"),
        ]
    )
    print_lines([*head, "", *found.content.split("\n")])


@document.command(epilog="Example: autovibe document history 1a2b3c4d")
@click.argument("document_id", metavar="DOCUMENT")
@limit_option
@json_option
def history(document_id: str, limit: int, *, as_json: bool) -> None:
    """List the versions of a document, the newest first."""

    async def body(connection: Connection) -> tuple[list[documents_pb2.DocumentVersion], str]:
        async def fetch(
            count: int, token: str
        ) -> tuple[Sequence[documents_pb2.DocumentVersion], str]:
            answer = await connection.services.documents.list_document_versions(
                documents_pb2.ListDocumentVersionsRequest(
                    document_id=document_id, page_size=count, page_token=token
                )
            )
            return answer.versions, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"versions": [to_document(one) for one in found], "next_page_token": token})
        return
    rows = [
        (str(one.version), moment(one.created_at), size(one.size_bytes), clipped(one.title, 60))
        for one in found
    ]
    print_lines(table(("VERSION", "WRITTEN (UTC)", "SIZE", "TITLE"), rows, "VERSION"))
    print_notes(more(token))


@document.command(epilog="Example: autovibe document edit 1a2b3c4d --file STYLE.md")
@click.argument("document_id", metavar="DOCUMENT")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help='The new content; "-" reads standard input. Without any option an editor opens.',
)
@click.option("--title", default="", help="A new title.")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="A new type.")
@click.option("--tag", "tags", multiple=True, help="A tag, in place of those it has.")
@click.option("--no-tags", is_flag=True, help="Take all tags away.")
@json_option
def edit(
    document_id: str,
    file: Path | None,
    title: str,
    kind: str | None,
    tags: Sequence[str],
    *,
    no_tags: bool,
    as_json: bool,
) -> None:
    """Change a document; a new title, content or tags make a version."""
    if tags and no_tags:
        raise InvalidArgumentError("Give --tag or --no-tags, not both.")
    content = _read(file) if file is not None else None
    by_hand = content is None and not (title or kind or tags or no_tags)

    async def body(connection: Connection) -> documents_pb2.ContextDocument:
        service = connection.services.documents
        found = await service.get_document(
            documents_pb2.GetDocumentRequest(document_id=document_id)
        )
        request = documents_pb2.UpdateDocumentRequest(
            document_id=found.id, title=title, document_type=kind or "", etag=found.etag
        )
        new = click.edit(found.content, extension=".md") if by_hand else content
        if new is not None:
            request.content = new
        if tags or no_tags:
            request.tags.CopyFrom(documents_pb2.DocumentTags(tags=tags))
        return await service.update_document(request)

    _changed(body, "Changed", as_json=as_json)


@document.command(epilog="Example: autovibe document diff 1a2b3c4d --from 1 --to 3")
@click.argument("document_id", metavar="DOCUMENT")
@click.option("--from", "earlier", type=click.IntRange(1), help="The one before --to by default.")
@click.option("--to", "later", type=click.IntRange(1), help="The present version by default.")
@json_option
def diff(document_id: str, earlier: int | None, later: int | None, *, as_json: bool) -> None:
    """Compare two versions of a document."""

    async def body(connection: Connection) -> documents_pb2.DocumentDiff:
        return await connection.services.documents.diff_document(
            documents_pb2.DiffDocumentRequest(
                document_id=document_id, from_version=earlier or 0, to_version=later or 0
            )
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    lines: list[str] = []
    if found.from_title != found.to_title:
        lines += [f"-title: {found.from_title}", f"+title: {found.to_title}"]
    lines += [f"-tag: {tag}" for tag in found.removed_tags]
    lines += [f"+tag: {tag}" for tag in found.added_tags]
    print_lines([*lines, *found.patch.rstrip("\n").split("\n")] if found.patch else lines)
    if not lines and not found.patch:
        print_notes([f"Versions {found.from_version} and {found.to_version} are the same."])


@document.command(epilog="Example: autovibe document rollback 1a2b3c4d --to 2")
@click.argument("document_id", metavar="DOCUMENT")
@click.option("--to", "version", type=click.IntRange(1), required=True, help="Which version.")
@json_option
def rollback(document_id: str, version: int, *, as_json: bool) -> None:
    """Bring an earlier version back, as a new one."""
    _changed(
        lambda connection: connection.services.documents.rollback_document(
            documents_pb2.RollbackDocumentRequest(document_id=document_id, version=version)
        ),
        "Rolled back",
        as_json=as_json,
    )


@document.command(epilog="Example: autovibe document attach 1a2b3c4d website")
@click.argument("document_id", metavar="DOCUMENT")
@click.argument("project")
@json_option
def attach(document_id: str, project: str, *, as_json: bool) -> None:
    """Attach a document to a project: machines that start from now on get it."""
    _changed(
        lambda connection: connection.services.documents.attach_document(
            documents_pb2.AttachDocumentRequest(document_id=document_id, project=project)
        ),
        "Attached",
        as_json=as_json,
    )


@document.command(epilog="Example: autovibe document detach 1a2b3c4d")
@click.argument("document_id", metavar="DOCUMENT")
@json_option
def detach(document_id: str, *, as_json: bool) -> None:
    """Take a document from its project: machines that start from now on do not get it."""
    _changed(
        lambda connection: connection.services.documents.detach_document(
            documents_pb2.DetachDocumentRequest(document_id=document_id)
        ),
        "Detached",
        as_json=as_json,
    )


@document.command(epilog="Example: autovibe document rm 1a2b3c4d")
@click.argument("document_id", metavar="DOCUMENT")
@json_option
def rm(document_id: str, *, as_json: bool) -> None:
    """Delete a document, with all its versions, for all who could see it."""

    async def body(connection: Connection) -> str:
        service = connection.services.documents
        found = await service.get_document(
            documents_pb2.GetDocumentRequest(document_id=document_id)
        )
        await service.delete_document(
            documents_pb2.DeleteDocumentRequest(document_id=found.id, etag=found.etag)
        )
        return found.id

    deleted = with_connection(body)
    if as_json:
        print_json({"document_id": deleted})
    else:
        print_notes([f"Deleted document {short(deleted)}."])


def _changed(
    body: Callable[[Connection], Awaitable[documents_pb2.ContextDocument]],
    what: str,
    *,
    as_json: bool,
) -> None:
    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    else:
        print_notes([f"{what} {done.title} ({short(done.id)}), now version {done.version}."])


def _read(file: Path) -> str:
    """Return what is in a file, which must be text.

    Raises:
        InvalidArgumentError: it cannot be read, or is no text in UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{file} is no text in UTF-8; convert it first.") from None

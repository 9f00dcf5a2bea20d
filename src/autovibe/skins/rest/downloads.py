"""Files that people sent: given as files to be saved, never as pages (decision C13).

What a browser is given under our own address it would run with our rights, so the bytes have no
type of their own, no name that could change it, and nothing may be loaded by them.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from autovibe.v1 import chat_pb2

_BYTES: Final = "application/octet-stream"
_JSON: Final = "application/json"


def is_download(response_type: type[Message]) -> bool:
    """Return whether what an operation answers is a file."""
    return response_type is chat_pb2.AttachmentContent


def download(request: Request, answer: Message) -> Response | None:
    """Return a file as it is to be saved; None for all else, and for who takes JSON only."""
    accepted = {part.partition(";")[0].strip() for part in _accept(request).split(",")}
    if not isinstance(answer, chat_pb2.AttachmentContent) or accepted == {_JSON}:
        return None
    return Response(
        answer.content,
        media_type=_BYTES,
        headers={
            "content-disposition": _disposition(answer.attachment.file_name),
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
        },
    )


def shown() -> dict[str, Any]:
    """Return what the document says of such an answer beside its JSON."""
    return {_BYTES: {"schema": {"contentMediaType": _BYTES}}}


def _accept(request: Request) -> str:
    return request.headers.get("accept", "").lower()


def _disposition(name: str) -> str:
    """Return the header for a name (RFC 6266): whole in UTF-8, and what of it is plain letters."""
    plain = "".join(
        char if char.isascii() and (char.isalnum() or char in "._- ") else "_" for char in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

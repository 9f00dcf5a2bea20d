"""Attachments over REST: files to be saved, never pages."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from composed import Composed, composed

from autovibe.domains.collaboration.chat_errors import (
    AttachmentTooLargeError,
    AttachmentTypeRefusedError,
)
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import chat_pb2, projects_pb2

_PAGE = b"<html><script>alert(1)</script></html>\xff\x00"
_NAME = 'a "quoted" \u202e name; ü.html'


async def _attach(world: Composed, **fields: object) -> chat_pb2.ChatAttachment:
    sent = await world.local.chat.send_message(
        chat_pb2.SendMessageRequest(project="website", message="look")
    )
    given: dict[str, object] = {"file_name": "a.txt", "content": b"x", **fields}
    return await world.local.chat.attach_file(
        chat_pb2.AttachFileRequest(message_id=sent.id, **given)  # type: ignore[arg-type]  # fields of the message
    )


@pytest.mark.req("S3-72")
async def test_a_file_is_given_to_be_saved_and_kept_by_its_checksum(tmp_path: Path) -> None:
    async with composed(tmp_path) as world:
        await world.local.projects.create_project(projects_pb2.CreateProjectRequest(name="website"))
        made = await _attach(world, file_name=_NAME, content=_PAGE)
        again = await _attach(world, file_name="same", content=_PAGE)
        assert (made.file_type, again.sha256) == ("text/html", made.sha256)
        [kept] = [
            path for path in (tmp_path / ".autovibe/attachments").rglob("*") if path.is_file()
        ]
        assert kept.name == made.sha256
        assert kept.stat().st_mode & 0o177 == 0
        url = f"{world.rest.url}/api/v1/attachments/{made.id}/content"
        headers = {"authorization": f"Bearer {world.token}", "accept": "text/html,*/*"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(url) as answer,
        ):
            assert await answer.read() == _PAGE
            told = answer.headers
        assert told["content-type"] == "application/octet-stream"
        assert told["content-disposition"].startswith("attachment; filename=")
        assert '"quoted"' not in told["content-disposition"]
        assert told["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in told["content-security-policy"]
        read = await world.http.chat.read_attachment(
            chat_pb2.ReadAttachmentRequest(attachment_id=made.id)
        )
        assert (read.content, read.attachment.file_name) == (_PAGE, _NAME)
        kept.write_bytes(b"other")
        with pytest.raises(AutovibeError) as caught:
            await world.http.chat.read_attachment(
                chat_pb2.ReadAttachmentRequest(attachment_id=made.id)
            )
        assert caught.value.reason == "ATTACHMENT_DAMAGED"
        await _refusals(world)


async def _refusals(world: Composed) -> None:
    for name in ("../x", "a/b", "..", ".", "a\\b", "a\nb", ""):
        with pytest.raises(AutovibeError) as caught:
            await _attach(world, file_name=name)
        assert caught.value.reason == "INVALID_ARGUMENT"
    with pytest.raises(AttachmentTooLargeError):
        await _attach(world, content=b"x" * (10 * 1024 * 1024 + 1))
    with pytest.raises(AttachmentTypeRefusedError):
        await _attach(world, file_type="application/x-msdownload")

"""The service of chat; its rules are in the modules beside it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.domains.collaboration import mail
from autovibe.domains.collaboration.attachments import AttachFile, ReadAttachment, get_attachment
from autovibe.domains.collaboration.chat_errors import (
    MessageDeliveredError,
    MessageNotFoundError,
)
from autovibe.domains.collaboration.chat_messages import (
    EDITS,
    LETTER_ID,
    attachment_message,
    chat_message,
    chat_messages,
    conversation_message,
    message_etag,
)
from autovibe.domains.collaboration.models import (
    ChatConversation,
    ChatMessage,
    MessageType,
    SenderType,
)
from autovibe.domains.collaboration.questions import answer_in_chat
from autovibe.domains.collaboration.repository import chat as repository
from autovibe.domains.collaboration.repository.chat import ARCHIVED, Scope
from autovibe.domains.collaboration.talking import (
    Words,
    check_own,
    ensure_conversation,
    get_conversation,
    get_message,
    new_conversation,
    say,
)
from autovibe.domains.etags import check_etag
from autovibe.domains.identity.names import user_name
from autovibe.domains.machines.letters import reword
from autovibe.domains.projects import resolve_project_id
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.talk_settings import ChatSettings
from autovibe.v1 import chat_pb2

_MOST_EDITS: Final = 100


class ChatService:
    """Implements autovibe.v1.ChatService."""

    def __init__(self, settings: ChatSettings, files: Path, bells: Bells) -> None:
        """Keep attachments below a directory, and hear of messages by the bells of this process."""
        self.attach_file = AttachFile(settings, files)
        self.read_attachment = ReadAttachment(files)
        self.wait_for_mail = mail.WaitForMail(bells)

    async def create_conversation(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.CreateConversationRequest
    ) -> chat_pb2.Conversation:
        """Begin a conversation about a project or a task.

        Raises:
            ProjectNotFoundError: there is no such project.
            TaskNotFoundError: there is no such task.
            InvalidArgumentError: neither is named.
        """
        return conversation_message(
            await new_conversation(
                tx, ctx, project=request.project, task_id=request.task_id, title=request.title
            )
        )

    async def get_conversation(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.GetConversationRequest
    ) -> chat_pb2.Conversation:
        """Return one conversation.

        Raises:
            ConversationNotFoundError: there is none.
        """
        del ctx
        return conversation_message(await get_conversation(tx, request.conversation_id))

    async def list_conversations(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.ListConversationsRequest
    ) -> chat_pb2.ListConversationsResponse:
        """Return one page of conversations, the newest first.

        Raises:
            ProjectNotFoundError: there is no such project.
            TaskNotFoundError: there is no such task.
        """
        del ctx
        size = page_size(request.page_size)
        rows = await repository.list_conversations(
            tx,
            await _scope(tx, project=request.project, task_id=request.task_id),
            archived=request.archived,
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return chat_pb2.ListConversationsResponse(
            conversations=[conversation_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def update_conversation(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.UpdateConversationRequest
    ) -> chat_pb2.Conversation:
        """Rename a conversation, archive it or bring it back; what is not given stays.

        Raises:
            ConversationNotFoundError: there is none.
            EtagMismatchError: it has changed since the caller looked.
        """
        row = await get_conversation(tx, request.conversation_id)
        await repository.lock(tx, row)
        check_etag(request.etag, conversation_message(row).etag)
        row.title = request.title or row.title
        if request.HasField("archived") and request.archived != (ARCHIVED in row.metadata_):
            kept = {name: value for name, value in row.metadata_.items() if name != ARCHIVED}
            since = {ARCHIVED: ctx.clock.now().isoformat()} if request.archived else {}
            row.metadata_ = {**kept, **since}
        await tx.session.flush()  # the time of the change is part of the answer
        return conversation_message(row)

    async def send_message(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.SendMessageRequest
    ) -> chat_pb2.ChatMessage:
        """Say something in a conversation; the agent of its task gets it, unless it may not.

        Raises:
            ConversationNotFoundError: there is no such conversation.
            ConversationArchivedError: it takes no more messages.
            MessageNotFoundError: what it answers is no message of the conversation.
            ProjectNotFoundError: there is no such project.
            TaskNotFoundError: there is no such task.
            InvalidArgumentError: not exactly one place is named.
        """
        conversation = await self._place(tx, ctx, request)
        parent = await _parent(tx, conversation, request.parent_message_id)
        asked = parent if parent and parent.message_type == MessageType.QUESTION else None
        answered = asked is not None and await answer_in_chat(tx, ctx, asked, request.message)
        kind = request.message_type or (MessageType.RESPONSE if asked else MessageType.TEXT)
        words = Words(
            SenderType.USER,
            ctx.actor.user_id,
            await user_name(tx, ctx.actor),
            request.message,
            MessageType(kind),
            parent.id if parent else None,
            # What answers a question the agent gets as its answer, and not twice.
            for_agent=not request.people_only and not answered,
        )
        return await chat_message(tx, await say(tx, ctx, conversation, words))

    @staticmethod
    async def _place(
        tx: WriteTx, ctx: CallContext, request: chat_pb2.SendMessageRequest
    ) -> ChatConversation:
        named = [request.conversation_id, request.task_id, request.project]
        if sum(map(bool, named)) != 1:
            raise InvalidArgumentError(
                "Name a conversation, or a task, or a project.", field="conversation_id"
            )
        if request.conversation_id:
            return await get_conversation(tx, request.conversation_id)
        return await ensure_conversation(tx, ctx, project=request.project, task_id=request.task_id)

    async def get_message(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.GetMessageRequest
    ) -> chat_pb2.ChatMessage:
        """Return one message.

        Raises:
            MessageNotFoundError: there is none.
        """
        del ctx
        return await chat_message(tx, await get_message(tx, request.message_id))

    async def list_messages(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.ListMessagesRequest
    ) -> chat_pb2.ListMessagesResponse:
        """Return one page of the messages of a conversation.

        Raises:
            ConversationNotFoundError: there is none.
            MessageNotFoundError: there is no message that they were to answer.
        """
        del ctx
        size = page_size(request.page_size)
        after = decode_place(request.page_token)
        conversation = await get_conversation(tx, request.conversation_id)
        parent = await _parent(tx, conversation, request.parent_message_id)
        rows = await repository.list_messages(
            tx,
            conversation.id,
            parent_id=parent.id if parent else None,
            newest_first=request.newest_first,
            after=after,
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return chat_pb2.ListMessagesResponse(
            messages=await chat_messages(tx, rows[:size]),
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def edit_message(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.EditMessageRequest
    ) -> chat_pb2.ChatMessage:
        """Say a message of one's own in other words; what it said before is kept.

        Raises:
            MessageNotFoundError: there is none.
            NotYourMessageError: somebody else sent it.
            MessageDeliveredError: the agent has it already.
            EtagMismatchError: it has changed since the caller looked.
        """
        row = await get_message(tx, request.message_id)
        await repository.lock(tx, row)
        check_own(ctx, row)
        check_etag(request.etag, message_etag(row))
        if row.message != request.message:
            letter_id = row.metadata_.get(LETTER_ID)
            if letter_id and not await reword(tx, uuid.UUID(letter_id), request.message):
                raise MessageDeliveredError(
                    "The agent has this message already; send another one that corrects it.",
                    message_id=str(row.id),
                )
            now = ctx.clock.now()
            edits = [
                *row.metadata_.get(EDITS, ()),
                {"message": row.message, "edited_at": now.isoformat()},
            ]
            row.metadata_ = {**row.metadata_, EDITS: edits[-_MOST_EDITS:]}
            row.message, row.edited_at = request.message, now
            await tx.session.flush()  # what is answered is what is kept
        return await chat_message(tx, row)

    async def search_messages(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.SearchMessagesRequest
    ) -> chat_pb2.SearchMessagesResponse:
        """Return one page of the messages that hold all words of a query, the newest first.

        Raises:
            ConversationNotFoundError: there is no such conversation.
            ProjectNotFoundError: there is no such project.
            TaskNotFoundError: there is no such task.
            InvalidArgumentError: the query has no words.
        """
        del ctx
        size = page_size(request.page_size)
        words = request.query.split()
        if not words:
            raise InvalidArgumentError("Give words to look for.", field="query")
        rows = await repository.search(
            tx,
            words,
            await _scope(
                tx,
                project=request.project,
                task_id=request.task_id,
                conversation_id=request.conversation_id,
            ),
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return chat_pb2.SearchMessagesResponse(
            messages=await chat_messages(tx, rows[:size]),
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def get_attachment(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.GetAttachmentRequest
    ) -> chat_pb2.ChatAttachment:
        """Return what is known of an attachment.

        Raises:
            AttachmentNotFoundError: there is none.
        """
        del ctx
        return attachment_message(await get_attachment(tx, request.attachment_id))

    async def take_mail(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.TakeMailRequest
    ) -> chat_pb2.TakeMailResponse:
        """Take what is in the mailbox of a machine.

        Raises:
            LeaseLostError: the machine works under an old lease.
        """
        return await mail.take(tx, ctx, request)

    async def report_mail(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.ReportMailRequest
    ) -> chat_pb2.ReportMailResponse:
        """Record what became of mail that was taken.

        Raises:
            LeaseLostError: the machine works under an old lease.
        """
        await mail.report(tx, ctx, request)
        return chat_pb2.ReportMailResponse()

    async def post_agent_message(
        self, tx: WriteTx, ctx: CallContext, request: chat_pb2.PostAgentMessageRequest
    ) -> chat_pb2.ChatMessage:
        """Record what an agent says or asks in the conversation of its task.

        Raises:
            LeaseLostError: the machine works under an old lease.
            MessageNotFoundError: what it answers is no message of the conversation.
        """
        return await chat_message(tx, await mail.post_agent_message(tx, ctx, request))


async def _parent(
    tx: ReadTx | WriteTx, conversation: ChatConversation, message_id: str
) -> ChatMessage | None:
    if not message_id:
        return None
    parent = await get_message(tx, message_id)
    if parent.conversation_id != conversation.id:
        raise MessageNotFoundError(
            f"Message {message_id} is in another conversation; answer it there.",
            message_id=message_id,
        )
    return parent


async def _scope(tx: ReadTx, *, project: str, task_id: str, conversation_id: str = "") -> Scope:
    conversation = await get_conversation(tx, conversation_id) if conversation_id else None
    task = await get_task(tx, task_id) if task_id else None
    return Scope(
        conversation.id if conversation else None,
        task.id if task else None,
        await resolve_project_id(tx, project) if project else None,
    )

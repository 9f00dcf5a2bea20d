"""The part of a walk in which people and an agent talk, and documents are written."""

from __future__ import annotations

import contextlib

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import chat_pb2, documents_pb2, machines_pb2, work_pb2

NOBODY = "00000000-0000-4000-8000-000000000000"


async def talk(
    services: Services, order: work_pb2.ClaimedOrder, machine: machines_pb2.Machine
) -> None:
    """Talk about a task while its agent works, and about its project."""
    chat = services.chat
    lease = {"execution_id": order.execution.id, "lease_generation": order.lease_generation}
    sent = await chat.send_message(
        chat_pb2.SendMessageRequest(task_id=order.task.id, message="Use tabs, not ✂")
    )
    await chat.send_message(
        chat_pb2.SendMessageRequest(
            conversation_id=sent.conversation_id, message="Good luck", people_only=True
        )
    )
    await chat.edit_message(
        chat_pb2.EditMessageRequest(message_id=sent.id, message="Use spaces", etag=sent.etag)
    )
    await chat.wait_for_mail(
        chat_pb2.WaitForMailRequest(task_id=order.task.id, machine_id=machine.id)
    )
    taken = await chat.take_mail(chat_pb2.TakeMailRequest(machine_id=machine.id, **lease))
    await chat.report_mail(
        chat_pb2.ReportMailRequest(
            ids=[item.id for item in taken.items], status="processed", **lease
        )
    )
    asked = await chat.post_agent_message(
        chat_pb2.PostAgentMessageRequest(message="How many?", message_type="question", **lease)
    )
    await chat.send_message(
        chat_pb2.SendMessageRequest(
            conversation_id=sent.conversation_id, message="Four", parent_message_id=asked.id
        )
    )
    await chat.get_message(chat_pb2.GetMessageRequest(message_id=sent.id))
    await chat.list_messages(
        chat_pb2.ListMessagesRequest(conversation_id=sent.conversation_id, newest_first=True)
    )
    await chat.search_messages(chat_pb2.SearchMessagesRequest(query="SPACES", project="website"))
    await _files(services, sent.id)
    await _conversations(services, sent.conversation_id)
    for refused in (
        chat.send_message(chat_pb2.SendMessageRequest(message="nowhere")),
        chat.get_message(chat_pb2.GetMessageRequest(message_id=NOBODY)),
        chat.edit_message(chat_pb2.EditMessageRequest(message_id=sent.id, message="too late")),
        chat.edit_message(chat_pb2.EditMessageRequest(message_id=asked.id, message="not mine")),
        chat.take_mail(chat_pb2.TakeMailRequest(machine_id=machine.id, execution_id=NOBODY)),
    ):
        with contextlib.suppress(AutovibeError):
            await refused


async def _files(services: Services, message_id: str) -> None:
    chat = services.chat
    made = await chat.attach_file(
        chat_pb2.AttachFileRequest(
            message_id=message_id, file_name="ü notes.html", content=b"<script>\xff</script>"
        )
    )
    await chat.get_attachment(chat_pb2.GetAttachmentRequest(attachment_id=made.id))
    await chat.read_attachment(chat_pb2.ReadAttachmentRequest(attachment_id=made.id))
    with contextlib.suppress(AutovibeError):
        await chat.attach_file(
            chat_pb2.AttachFileRequest(
                message_id=message_id, file_name="run", file_type="application/x-msdownload"
            )
        )
    with contextlib.suppress(AutovibeError):
        await chat.read_attachment(chat_pb2.ReadAttachmentRequest(attachment_id=NOBODY))


async def _conversations(services: Services, conversation_id: str) -> None:
    chat = services.chat
    made = await chat.create_conversation(
        chat_pb2.CreateConversationRequest(project="website", title="Plans")
    )
    await chat.update_conversation(
        chat_pb2.UpdateConversationRequest(
            conversation_id=made.id, title="Old plans", archived=True
        )
    )
    await chat.get_conversation(chat_pb2.GetConversationRequest(conversation_id=conversation_id))
    await chat.list_conversations(
        chat_pb2.ListConversationsRequest(project="website", archived=True)
    )
    with contextlib.suppress(AutovibeError):
        await chat.send_message(
            chat_pb2.SendMessageRequest(conversation_id=made.id, message="into an archive")
        )


async def write(services: Services, project_id: str) -> None:
    """Write, change, compare, roll back, move and delete documents."""
    documents = services.documents
    made = await documents.create_document(
        documents_pb2.CreateDocumentRequest(
            title="Style", document_type="guide", content="Täbs\n", project="website", tags=["a"]
        )
    )
    await documents.update_document(
        documents_pb2.UpdateDocumentRequest(
            document_id=made.id, content="Spaces\n", tags=documents_pb2.DocumentTags(tags=["b"])
        )
    )
    await documents.diff_document(documents_pb2.DiffDocumentRequest(document_id=made.id))
    await documents.rollback_document(
        documents_pb2.RollbackDocumentRequest(document_id=made.id, version=1)
    )
    await documents.get_document(documents_pb2.GetDocumentRequest(document_id=made.id, version=2))
    await documents.list_documents(
        documents_pb2.ListDocumentsRequest(project="website", tags=["a"], query="täb")
    )
    await documents.list_document_versions(
        documents_pb2.ListDocumentVersionsRequest(document_id=made.id)
    )
    await documents.get_machine_documents(
        documents_pb2.GetMachineDocumentsRequest(project_id=project_id)
    )
    with contextlib.suppress(AutovibeError):
        await documents.attach_document(
            documents_pb2.AttachDocumentRequest(document_id=made.id, project="a/b: c")
        )
    other = await documents.create_document(
        documents_pb2.CreateDocumentRequest(title="Plan", document_type="plan")
    )
    await documents.attach_document(
        documents_pb2.AttachDocumentRequest(document_id=other.id, project="website")
    )
    await documents.detach_document(documents_pb2.DetachDocumentRequest(document_id=other.id))
    await documents.delete_document(documents_pb2.DeleteDocumentRequest(document_id=other.id))
    for refused in (
        documents.get_document(documents_pb2.GetDocumentRequest(document_id=other.id)),
        documents.get_document(documents_pb2.GetDocumentRequest(document_id=made.id, version=9)),
        documents.update_document(
            documents_pb2.UpdateDocumentRequest(document_id=made.id, etag="old")
        ),
        documents.create_document(
            documents_pb2.CreateDocumentRequest(title="Long", content="x" * 1_100_000)
        ),
    ):
        with contextlib.suppress(AutovibeError):
            await refused

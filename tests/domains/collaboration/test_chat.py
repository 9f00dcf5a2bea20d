from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plane import Plane

from autovibe.domains.collaboration.chat_errors import (
    ConversationArchivedError,
    ConversationNotFoundError,
    MessageDeliveredError,
    MessageNotFoundError,
)
from autovibe.domains.etags import EtagMismatchError
from autovibe.domains.work.errors import LeaseLostError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import approvals_pb2, chat_pb2, work_pb2


async def _send(plane: Plane, message: str, **fields: Any) -> chat_pb2.ChatMessage:
    return await plane.services.chat.send_message(
        chat_pb2.SendMessageRequest(message=message, **fields)
    )


async def _see(plane: Plane, message: chat_pb2.ChatMessage) -> chat_pb2.ChatMessage:
    return await plane.services.chat.get_message(chat_pb2.GetMessageRequest(message_id=message.id))


async def _texts(plane: Plane, conversation_id: str, **fields: Any) -> list[str]:
    answer = await plane.services.chat.list_messages(
        chat_pb2.ListMessagesRequest(conversation_id=conversation_id, **fields)
    )
    return [one.message for one in answer.messages]


async def _task(plane: Plane, tmp_path: Path) -> work_pb2.Task:
    """Queue a task that a worker could claim."""
    await plane.project()
    await plane.worker()
    directory = tmp_path / "dir"
    directory.mkdir()
    await plane.load(directory)
    return await plane.task()


async def _start(plane: Plane, order: work_pb2.ClaimedOrder) -> str:
    """Attach a machine to an execution and return its id."""
    machine = await plane.machine(order.task.project_id)
    await plane.services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id,
            machine_id=machine.id,
            lease_generation=order.lease_generation,
        )
    )
    return machine.id


async def _take(
    plane: Plane, order: work_pb2.ClaimedOrder, machine_id: str
) -> list[chat_pb2.MailItem]:
    answer = await plane.services.chat.take_mail(
        chat_pb2.TakeMailRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            machine_id=machine_id,
        )
    )
    return list(answer.items)


async def _report(
    plane: Plane, order: work_pb2.ClaimedOrder, item: chat_pb2.MailItem, status: str
) -> None:
    await plane.services.chat.report_mail(
        chat_pb2.ReportMailRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            ids=[item.id],
            status=status,
        )
    )


@pytest.mark.req("S3-64", "S3-65", "S3-69")
async def test_a_conversation_is_read_in_order_with_its_threads(plane: Plane):
    await plane.project()
    question = await _send(plane, "Which database?", project="website", message_type="question")
    answer = await _send(
        plane,
        "PostgreSQL",
        conversation_id=question.conversation_id,
        parent_message_id=question.id[:8],
    )
    assert (answer.message_type, answer.sender_type, answer.sender_name) == (
        "response",
        "user",
        "tests",
    )
    third = await _send(plane, "Thanks", project="website")
    assert third.conversation_id == question.conversation_id
    conversation = question.conversation_id
    everything = ["Which database?", "PostgreSQL", "Thanks"]
    assert await _texts(plane, conversation) == everything
    assert await _texts(plane, conversation, newest_first=True) == everything[::-1]
    assert await _texts(plane, conversation, parent_message_id=question.id) == ["PostgreSQL"]
    first = await plane.services.chat.list_messages(
        chat_pb2.ListMessagesRequest(conversation_id=conversation, page_size=2)
    )
    rest = await _texts(plane, conversation, page_token=first.next_page_token)
    assert [one.message for one in first.messages] + rest == everything
    other = await plane.services.chat.create_conversation(
        chat_pb2.CreateConversationRequest(project="website", title="Other")
    )
    with pytest.raises(MessageNotFoundError):
        await _send(plane, "x", conversation_id=other.id, parent_message_id=question.id)
    with pytest.raises(ConversationNotFoundError):
        await _send(plane, "x", conversation_id=question.id)


async def test_a_conversation_is_renamed_archived_and_brought_back(plane: Plane):
    await plane.project()
    first = await _send(plane, "one", project="website")
    chat = plane.services.chat

    async def update(**fields: Any) -> chat_pb2.Conversation:
        plane.clock.advance(seconds=1)
        return await chat.update_conversation(
            chat_pb2.UpdateConversationRequest(conversation_id=first.conversation_id, **fields)
        )

    async def listed(**fields: Any) -> list[str]:
        answer = await chat.list_conversations(chat_pb2.ListConversationsRequest(**fields))
        return [one.id for one in answer.conversations]

    renamed = await update(title="Plans")
    assert (renamed.title, renamed.archived) == ("Plans", False)
    archived = await update(archived=True, etag=renamed.etag)
    assert (archived.title, archived.archived) == ("Plans", True)
    with pytest.raises(EtagMismatchError):
        await update(title="Late", etag=renamed.etag)
    assert await listed(project="website") == []
    assert await listed(project="website", archived=True) == [first.conversation_id]
    with pytest.raises(ConversationArchivedError):
        await _send(plane, "two", conversation_id=first.conversation_id)
    second = await _send(plane, "two", project="website")
    assert second.conversation_id != first.conversation_id
    assert not (await update(archived=False)).archived
    assert len(await listed(project="website")) == 2


@pytest.mark.req("S3-68")
async def test_an_edit_keeps_what_was_said_before(plane: Plane):
    await plane.project()
    sent = await _send(plane, "Teh plan", project="website")
    chat = plane.services.chat
    plane.clock.advance(seconds=5)
    edited = await chat.edit_message(
        chat_pb2.EditMessageRequest(message_id=sent.id, message="The plan", etag=sent.etag)
    )
    assert edited.message == "The plan"
    assert edited.edited_at.ToDatetime(plane.clock.now().tzinfo) == plane.clock.now()
    assert [edit.message for edit in edited.edits] == ["Teh plan"]
    with pytest.raises(EtagMismatchError):
        await chat.edit_message(
            chat_pb2.EditMessageRequest(message_id=sent.id, message="x", etag=sent.etag)
        )
    assert await _see(plane, sent) == edited


async def test_messages_are_found_by_their_words(plane: Plane):
    await plane.project()
    await plane.project("shop")
    await _send(plane, "Deploy 100% on Monday", project="website")
    last = await _send(plane, "deploy_it again", project="website")
    await _send(plane, "Deploy the shop", project="shop")

    async def found(query: str, **fields: Any) -> list[str]:
        answer = await plane.services.chat.search_messages(
            chat_pb2.SearchMessagesRequest(query=query, **fields)
        )
        return [one.message for one in answer.messages]

    assert await found("DEPLOY", project="website") == ["deploy_it again", "Deploy 100% on Monday"]
    assert await found("monday deploy") == ["Deploy 100% on Monday"]
    assert await found("0%") == ["Deploy 100% on Monday"]
    assert await found("y_i") == ["deploy_it again"]
    assert await found("deploy", conversation_id=last.conversation_id, page_size=1) == [
        "deploy_it again"
    ]
    assert await found("nothing") == []
    with pytest.raises(InvalidArgumentError):
        await found("  ")


async def test_what_is_said_before_the_agent_starts_waits_for_its_machine(
    plane: Plane, tmp_path: Path
):
    task = await _task(plane, tmp_path)
    early = await _send(plane, "Use tabs", task_id=task.id)
    aside = await _send(plane, "Good luck", task_id=task.id, people_only=True)
    assert early.delivery.status == "queued"
    assert not aside.HasField("delivery")
    changed = await plane.services.chat.edit_message(
        chat_pb2.EditMessageRequest(message_id=early.id, message="Use spaces")
    )
    assert changed.delivery.status == "queued"
    order = await plane.claimed()
    machine_id = await _start(plane, order)
    live = await _send(plane, "And be quick", task_id=task.id)
    assert (live.delivery.status, live.delivery.machine_id) == ("queued", machine_id)
    items = await _take(plane, order, machine_id)
    assert {item.message for item in items} == {"Use spaces", "And be quick"}
    assert {item.sender_name for item in items} == {"tests"}
    assert await _take(plane, order, machine_id) == []
    seen = await _see(plane, early)
    assert (seen.delivery.status, seen.delivery.machine_id) == ("delivered", machine_id)
    with pytest.raises(MessageDeliveredError):
        await plane.services.chat.edit_message(
            chat_pb2.EditMessageRequest(message_id=early.id, message="Use tabs")
        )
    by_id = {item.chat_message_id: item for item in items}
    await _report(plane, order, by_id[early.id], "processed")
    await _report(plane, order, by_id[live.id], "failed")
    await _report(plane, order, by_id[live.id], "processed")
    assert (await _see(plane, early)).delivery.status == "processed"
    assert (await _see(plane, live)).delivery.status == "failed"


async def test_what_a_machine_never_read_goes_to_the_next_one(plane: Plane, tmp_path: Path):
    task = await _task(plane, tmp_path)
    order = await plane.claimed()
    first = await _start(plane, order)
    read = await _send(plane, "one", task_id=task.id)
    [item] = await _take(plane, order, first)
    await _report(plane, order, item, "processed")
    lost = await _send(plane, "two", task_id=task.id)
    [item] = await _take(plane, order, first)
    unread = await _send(plane, "three", task_id=task.id)
    await plane.finish(order, "paused")
    between = await _send(plane, "four", task_id=task.id)
    assert (await _see(plane, unread)).delivery.status == "queued"
    with pytest.raises(LeaseLostError):
        await _take(plane, order, first)
    await plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    again = await plane.claimed()
    second = await _start(plane, again)
    items = await _take(plane, again, second)
    assert sorted(item.message for item in items) == ["four", "three", "two"]
    for message in (lost, unread, between):
        delivery = (await _see(plane, message)).delivery
        assert (delivery.status, delivery.machine_id) == ("delivered", second)
    assert (await _see(plane, read)).delivery.machine_id == first


async def test_waiting_ends_when_there_is_mail(one_plane: Plane, tmp_path: Path):
    plane = one_plane
    task = await _task(plane, tmp_path)
    order = await plane.claimed()
    machine_id = await _start(plane, order)
    request = chat_pb2.WaitForMailRequest(task_id=task.id, machine_id=machine_id)
    assert not (await plane.services.chat.wait_for_mail(request)).waiting
    await _send(plane, "hello", task_id=task.id)
    request.wait_s = 60
    assert (await plane.services.chat.wait_for_mail(request)).waiting


@pytest.mark.req("S3-65")
async def test_an_agent_speaks_in_the_conversation_of_its_task(one_plane: Plane, tmp_path: Path):
    plane = one_plane
    task = await _task(plane, tmp_path)
    order = await plane.claimed()
    said = await plane.services.chat.post_agent_message(
        chat_pb2.PostAgentMessageRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            message="Which one?",
            message_type="question",
        )
    )
    assert (said.sender_type, said.sender_id, said.sender_name) == (
        "worker",
        plane.worker_id,
        "shell",
    )
    answer = await _send(plane, "The first", task_id=task.id, parent_message_id=said.id)
    assert (answer.conversation_id, answer.message_type) == (said.conversation_id, "response")
    with pytest.raises(LeaseLostError):
        await plane.services.chat.post_agent_message(
            chat_pb2.PostAgentMessageRequest(
                execution_id=order.execution.id,
                lease_generation=order.lease_generation + 1,
                message="Late",
            )
        )


async def test_a_place_to_speak_is_named_once(one_plane: Plane):
    await one_plane.project()
    for fields in ({}, {"project": "website", "task_id": "0" * 8}):
        with pytest.raises(InvalidArgumentError):
            await _send(one_plane, "x", **fields)


async def _ask(
    plane: Plane, order: work_pb2.ClaimedOrder, text: str
) -> approvals_pb2.AskApprovalResponse:
    return await plane.services.approvals.ask_approval(
        approvals_pb2.AskApprovalRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            kind="question",
            text=text,
            options=["tabs", "spaces"],
        )
    )


async def test_a_question_in_the_inbox_is_answered_by_a_reply_in_chat(plane: Plane, tmp_path: Path):
    task = await _task(plane, tmp_path)
    order = await plane.claimed()
    await _start(plane, order)
    asked = await _ask(plane, order, "Tabs or spaces?")
    assert asked.verdict == "wait"
    assert (await _ask(plane, order, "Tabs or spaces?")).approval_id == asked.approval_id
    found = await plane.services.chat.search_messages(
        chat_pb2.SearchMessagesRequest(query="tabs spaces", task_id=task.id)
    )
    [question] = found.messages
    assert (question.message_type, question.sender_type) == ("question", "worker")
    assert question.metadata["approval_id"] == asked.approval_id
    answer = await _send(plane, "spaces", task_id=task.id, parent_message_id=question.id)
    assert not answer.HasField("delivery")
    told = await _ask(plane, order, "Tabs or spaces?")
    assert told.verdict == "allow"
    assert "spaces" in told.message
    assert await _texts(plane, question.conversation_id) == [question.message, "spaces"]
    # Nobody waits for it any more: what is said now is a message like any other.
    late = await _send(plane, "no, tabs", task_id=task.id, parent_message_id=question.id)
    assert late.delivery.status == "queued"


async def test_an_answer_in_the_inbox_stands_in_the_conversation(plane: Plane, tmp_path: Path):
    await _task(plane, tmp_path)
    order = await plane.claimed()
    await _start(plane, order)
    asked = await _ask(plane, order, "Which port?")
    await plane.services.approvals.answer_approval(
        approvals_pb2.AnswerApprovalRequest(approval_id=asked.approval_id, text="8080")
    )
    await _ask(plane, order, "Which port?")
    found = await plane.services.chat.search_messages(chat_pb2.SearchMessagesRequest(query="8080"))
    [answer] = found.messages
    assert (answer.message_type, answer.sender_name) == ("response", "tests")
    assert answer.parent_message_id

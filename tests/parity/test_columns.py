"""Every column of an entity is in its message or private with a reason; every JSON is a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from composed import composed
from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message
from sqlalchemy import Column, Table, text
from walk import Walk
from walk_steps import walk

from autovibe.db.discovery import load_models
from autovibe.db.types import JsonValue
from autovibe.v1 import (
    agents_pb2,
    approvals_pb2,
    audit_pb2,
    chat_pb2,
    checkpoints_pb2,
    commerce_pb2,
    documents_pb2,
    hubs_pb2,
    identity_pb2,
    machines_pb2,
    metering_pb2,
    projects_pb2,
    queue_pb2,
    tasks_pb2,
    work_pb2,
)

MESSAGES: Final[dict[str, type[Message]]] = {
    "approval_requests": approvals_pb2.Approval,
    "audit_log": audit_pb2.AuditRecord,
    "audit_seals": audit_pb2.AuditSeal,
    "project_members": projects_pb2.ProjectMember,
    "users": identity_pb2.User,
    "api_tokens": identity_pb2.ApiToken,
    "chat_attachments": chat_pb2.ChatAttachment,
    "chat_conversations": chat_pb2.Conversation,
    "chat_messages": chat_pb2.ChatMessage,
    "context_documents": documents_pb2.ContextDocument,
    "context_document_versions": documents_pb2.DocumentVersion,
    "checkpoints": checkpoints_pb2.Checkpoint,
    "exchange_rates": metering_pb2.ExchangeRate,
    "execution_logs": work_pb2.LogEntry,
    "executions": work_pb2.Execution,
    "instances": identity_pb2.Instance,
    "intelligent_machines": machines_pb2.Machine,
    "projects": projects_pb2.Project,
    "resource_budgets": metering_pb2.Budget,
    "task_dependencies": tasks_pb2.TaskDependency,
    "queue_shares": queue_pb2.QueueShare,
    "tasks": work_pb2.Task,
    "work_orders": queue_pb2.WorkOrder,
    "workers": work_pb2.Worker,
}
"""The message of each entity that an operation shows."""

RENAMED: Final = {("execution_logs", "metadata"): "event"}

_GONE: Final = "a deleted row is not shown at all"
_ROW: Final = "a detail of how rows are kept"
PRIVATE: Final = {
    ("api_tokens", "token_hash"): "what leaves the domain could be searched for",
    ("chat_attachments", "file_path"): "where the server keeps it; sha256 says what it is",
    ("context_document_versions", "content"): "GetDocument gives it for a version",
    ("context_document_versions", "id"): "a version is named by its document and number",
    ("context_documents", "deleted_at"): _GONE,
    ("checkpoints", "file_manifest"): "up to megabytes; DiffCheckpoints gives what it says",
    ("checkpoints", "jump_checkpoint_id"): "an index of the tree (decision E10)",
    ("checkpoints", "jump_depth"): "an index of the tree (decision E10)",
    ("exchange_rates", "created_at"): _ROW,
    ("exchange_rates", "id"): "a rate is named by its currency and day",
    ("execution_logs", "id"): "a line is named by its execution and seq",
    ("executions", "stderr_log"): "output is in execution_logs, line by line",
    ("executions", "stdout_log"): "output is in execution_logs, line by line",
    ("queue_shares", "id"): "a share is named by its project and queue",
    ("queue_shares", "last_fair_key"): "where its newest order stands, which the order says",
    ("tasks", "deleted_at"): _GONE,
    ("users", "deleted_at"): _GONE,
    ("users", "hashed_password"): "not even its hash leaves the domain",
    ("work_orders", "payload"): "what the task says, as its worker gets it",
    ("work_orders", "result"): "an execution has results",
    ("work_orders", "route"): "worker_type and required_capabilities as claims look for them",
    ("workers", "config"): "holds secrets (decision E9)",
    ("workers", "deleted_at"): _GONE,
}
"""Columns that stay inside, each with its reason."""

PRIVATE_TABLES: Final = {
    "agent_executions": "a ModelCall has its own names: what was asked is the prompt, and so on",
    "provider_pauses": "the brake's own; waiting calls are shown as ParkedCalls",
    "budget_holds": "the ledger's own; a budget shows their sum as reserved_amount",
    "budget_reservations": "the ledger's own; usage shows what came of a call",
    "checkpoint_verification_queue": "a queue's own; a checkpoint shows verification_status",
    "hub_checkpoints": "no operation on them yet",
    "hub_experiments": "no operation on them yet",
    "idempotent_replies": "a repeat of the call gets what it holds",
    "hub_instances": "no operation on them yet",
    "llm_round_table_results": "no operation on them yet",
    "login_throttles": "it slows guesses down, and nobody is to know how far they came",
    "machine_messages": "a MachineLetter has its own names, and a ChatMessage those of people",
    "maintenance_log": "the scheduler's own",
    "orders": "no operation on them yet",
    "outbox_events": "the relay's own",
    "products": "no operation on them yet",
    "rag_documents": "no operation on them yet",
    "resource_usage_daily": "sums of resource_usage by day; UsageReport gives them",
    "resource_usage": "one row per call; UsageReport gives the sums",
    "tool_executions": "a ToolCall has its own names: which tool, and who told of it",
    "worker_capabilities": "a worker shows their names as capabilities",
    "worker_assignments": "a queue's own: the execution says who does a task",
}
"""Tables without a message, each with its reason."""

_FREE: Final = struct_pb2.Struct
JSON_COLUMNS: Final[dict[tuple[str, str], type[Message] | str]] = {
    ("api_tokens", "scopes"): "list of text, each checked on issue",
    ("audit_log", "details"): _FREE,
    ("budget_reservations", "metadata"): metering_pb2.CallTerms,
    ("checkpoints", "file_manifest"): checkpoints_pb2.FileManifest,
    ("checkpoints", "metadata"): _FREE,
    ("execution_logs", "metadata"): work_pb2.LogEvent,
    ("executions", "metrics"): work_pb2.ExecutionMetrics,
    ("intelligent_machines", "file_modifications"): _FREE,
    ("intelligent_machines", "metadata"): _FREE,
    ("intelligent_machines", "resource_constraints"): _FREE,
    ("intelligent_machines", "resource_usage"): _FREE,
    ("maintenance_log", "details"): _FREE,
    ("outbox_events", "payload"): _FREE,
    ("projects", "metadata"): _FREE,
    ("resource_usage", "metadata"): metering_pb2.UsageMetadata,
    ("tasks", "context"): work_pb2.TaskContext,
    ("tasks", "metadata"): _FREE,
    ("users", "metadata"): _FREE,
    ("users", "settings"): _FREE,
    ("work_orders", "payload"): work_pb2.WorkOrderPayload,
    ("work_orders", "required_capabilities"): "list of text",
    ("work_orders", "result"): _FREE,
    ("workers", "capabilities"): "list of text",
    ("agent_executions", "metadata"): _FREE,
    ("agent_executions", "result"): agents_pb2.AgentResult,
    ("approval_requests", "answer"): agents_pb2.ApprovalAnswer,
    ("approval_requests", "details"): agents_pb2.ApprovalDetails,
    ("approval_requests", "options"): "list of text",
    ("chat_attachments", "metadata"): _FREE,
    ("chat_conversations", "metadata"): _FREE,
    ("chat_messages", "metadata"): _FREE,
    ("context_document_versions", "metadata"): _FREE,
    ("context_documents", "metadata"): _FREE,
    ("hub_checkpoints", "metadata"): _FREE,
    ("hub_checkpoints", "system_metrics"): hubs_pb2.HubSystemMetrics,
    ("hub_experiments", "configuration_changes"): _FREE,
    ("hub_experiments", "metadata"): _FREE,
    ("hub_experiments", "performance_data"): hubs_pb2.HubPerformanceData,
    ("hub_experiments", "success_metrics"): hubs_pb2.HubSuccessMetrics,
    ("hub_instances", "configuration"): _FREE,
    ("hub_instances", "metadata"): _FREE,
    ("llm_round_table_results", "metadata"): _FREE,
    ("llm_round_table_results", "participants"): "list of RoundTableParticipant",
    ("machine_messages", "metadata"): _FREE,
    ("machine_messages", "payload"): _FREE,
    ("orders", "metadata"): commerce_pb2.OrderDetails,
    ("products", "metadata"): _FREE,
    ("rag_documents", "metadata"): _FREE,
    ("tool_executions", "inputs"): _FREE,
    ("tool_executions", "metadata"): _FREE,
    ("tool_executions", "outputs"): _FREE,
    ("worker_capabilities", "metadata"): _FREE,
    ("workers", "config"): _FREE,
}
"""What each JSON column holds: a named message, any object, or a list of text."""

UNWRITTEN: Final = {
    ("intelligent_machines", "file_modifications"),
    ("users", "metadata"),
    ("users", "settings"),
    ("work_orders", "result"),
    ("context_documents", "metadata"),
    ("hub_checkpoints", "metadata"),
    ("hub_checkpoints", "system_metrics"),
    ("hub_experiments", "configuration_changes"),
    ("hub_experiments", "metadata"),
    ("hub_experiments", "performance_data"),
    ("hub_experiments", "success_metrics"),
    ("hub_instances", "configuration"),
    ("hub_instances", "metadata"),
    ("llm_round_table_results", "metadata"),
    ("llm_round_table_results", "participants"),
    ("orders", "metadata"),
    ("products", "metadata"),
    ("tool_executions", "outputs"),
    ("rag_documents", "metadata"),
    ("worker_capabilities", "metadata"),
}
"""JSON columns that no operation writes yet: they hold their default, or nothing."""

TABLES: Final[dict[str, Table]] = dict(load_models().tables)
COLUMNS: Final[list[tuple[str, Column[Any]]]] = [
    (name, column) for name, table in sorted(TABLES.items()) for column in table.columns
]


def test_every_table_has_a_message_or_a_reason_to_have_none() -> None:
    assert not set(MESSAGES) & set(PRIVATE_TABLES)
    assert set(MESSAGES) | set(PRIVATE_TABLES) == set(TABLES)


@pytest.mark.req("S2-01", "S2-11")
@pytest.mark.parametrize("table", sorted(MESSAGES))
def test_every_column_is_in_its_message_or_private(table: str) -> None:
    fields = set(MESSAGES[table].DESCRIPTOR.fields_by_name)
    for column in TABLES[table].columns:
        key = (table, column.name)
        shown = RENAMED.get(key, column.name) in fields
        assert shown != (key in PRIVATE), f"{key} must be in its message or in PRIVATE, not both"


def test_nothing_is_listed_that_is_not_there() -> None:
    known = {(table, column.name) for table, column in COLUMNS}
    assert (set(PRIVATE) | set(RENAMED) | UNWRITTEN) <= known
    assert {table for table, _ in PRIVATE} <= set(MESSAGES)


def test_every_json_column_says_what_it_holds() -> None:
    there = {
        (table, column.name) for table, column in COLUMNS if isinstance(column.type, JsonValue)
    }
    assert there == set(JSON_COLUMNS)


@pytest.mark.req("S2-05")
@pytest.mark.parametrize(("table", "column"), sorted(JSON_COLUMNS))
def test_every_json_column_checks_what_it_says(table: str, column: str) -> None:
    kind = TABLES[table].c[column].type
    assert isinstance(kind, JsonValue)
    said = JSON_COLUMNS[table, column]
    if isinstance(said, str):
        assert kind.many
        assert said.startswith(f"list of {'text' if kind.holds is str else kind.holds.__name__}")
    else:
        assert (kind.holds, kind.many) == (said, False)


@pytest.mark.req("S2-05")
async def test_what_operations_write_into_json_columns_is_what_they_say(tmp_path: Path) -> None:
    async with composed(tmp_path) as world:
        await walk(Walk(world.local, world.local, world.plane, tmp_path))
        for (table, column), holds in JSON_COLUMNS.items():
            async with world.plane.database.read() as tx:
                rows = await tx.session.execute(text(f"SELECT {column} FROM {table}"))
                values = [json.loads(row[0]) for row in rows if row[0] is not None]
            written = [value for value in values if value not in ({}, [])]
            assert bool(written) == ((table, column) not in UNWRITTEN), (table, column)
            for value in written:
                _check(holds, value)


def _check(holds: type[Message] | str, value: Any) -> None:
    if isinstance(holds, str):
        assert isinstance(value, list)
        assert all(isinstance(item, str) for item in value)
        return
    message = holds()
    json_format.ParseDict(value, message)  # refuses fields that the message does not have
    kept = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert kept == value, f"not the ProtoJSON of a {holds.DESCRIPTOR.full_name}"

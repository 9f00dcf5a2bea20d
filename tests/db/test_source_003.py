"""Tables of the third source (users, workers, tasks, chat, documents) as they must be."""

from __future__ import annotations

from typing import Final

import pytest
from source_tables import COUNTED, NOW, RANDOM, C, Filled, check_columns

ID: Final = C("id", "UUID", default=RANDOM)
CREATED: Final = C("created_at", "TIMESTAMPTZ", default=NOW)
UPDATED: Final = C("updated_at", "TIMESTAMPTZ", default=NOW)
METADATA: Final = C("metadata", "JSONB", default={})
KINDS: Final = ("feature", "bugfix", "test", "docs", "refactor", "review")
PRIORITIES: Final = ("low", "normal", "high", "critical")
TASK_STATUSES: Final = (
    "pending",
    "queued",
    "in_progress",
    "blocked",
    "completed",
    "failed",
    "cancelled",
)
ORDER_STATUSES: Final = ("pending", "claimed", "completed", "failed", "expired")
ASSIGNMENT_STATUSES: Final = ("active", "completed", "failed", "timeout")
EXECUTION_STATUSES: Final = ("running", "completed", "failed", "timeout", "cancelled")
MESSAGE_TYPES: Final = ("text", "question", "response", "status", "error")
DOCUMENT_TYPES: Final = ("design", "plan", "specification", "guide", "reference")
DEPENDENCY_TYPES: Final = ("blocks", "related", "duplicate")
LEVELS: Final = ("beginner", "intermediate", "advanced", "expert")

COLUMNS: Final = [
    pytest.param("users", [ID], marks=pytest.mark.req("S3-05"), id="users: id"),
    pytest.param(
        "users",
        [C("username", "VARCHAR(50)"), C("email", "VARCHAR(255)")],
        marks=pytest.mark.req("S3-06"),
        id="users: names",
    ),
    pytest.param("users", [C("hashed_password", "VARCHAR(255)")], id="users: password"),
    pytest.param(
        "users",
        [C("full_name", "VARCHAR(255)", null=True)],
        marks=pytest.mark.req("S3-08"),
        id="users: full name",
    ),
    pytest.param(
        "users",
        [C("role", "VARCHAR(20)", of=("admin", "developer", "viewer"))],
        id="users: role",
    ),
    pytest.param(
        "users",
        [C("is_active", "BOOLEAN", default=True), C("is_verified", "BOOLEAN", default=False)],
        id="users: flags",
    ),
    pytest.param(
        "users",
        [CREATED, UPDATED, C("last_login_at", "TIMESTAMPTZ", null=True)],
        id="users: times",
    ),
    pytest.param(
        "users",
        [C("settings", "JSONB", default={})],
        marks=pytest.mark.req("S3-12"),
        id="users: settings",
    ),
    pytest.param(
        "workers",
        [ID, C("name", "VARCHAR(100)")],
        marks=pytest.mark.req("S3-15"),
        id="workers: names",
    ),
    pytest.param(
        "workers",
        [C("worker_type", "VARCHAR(20)", of=KINDS)],
        marks=pytest.mark.req("S3-16"),
        id="workers: type",
    ),
    pytest.param(
        "workers",
        [C("status", "VARCHAR(20)", of=("idle", "busy", "offline", "error"))],
        marks=pytest.mark.req("S3-17"),
        id="workers: status",
    ),
    pytest.param(
        "workers",
        [C("version", "VARCHAR(50)", null=True)],
        marks=pytest.mark.req("S3-18"),
        id="workers: version",
    ),
    pytest.param(
        "workers",
        [C("max_concurrent_tasks", "INTEGER", default=1)],
        marks=pytest.mark.req("S3-19"),
        id="workers: slots",
    ),
    pytest.param(
        "workers",
        [C("timeout_seconds", "INTEGER", default=3600)],
        marks=pytest.mark.req("S3-20"),
        id="workers: time limit",
    ),
    pytest.param(
        "workers",
        [C("context_window_size", "INTEGER", default=200_000)],
        marks=pytest.mark.req("S3-21"),
        id="workers: context window",
    ),
    pytest.param(
        "workers",
        [C("config", "JSONB", default={}), C("capabilities", "JSONB", default=[])],
        marks=pytest.mark.req("S3-22"),
        id="workers: what they have",
    ),
    pytest.param(
        "workers",
        [C("last_heartbeat_at", "TIMESTAMPTZ", null=True)],
        marks=pytest.mark.req("S3-23"),
        id="workers: heartbeat",
    ),
    pytest.param(
        "workers", [CREATED, UPDATED], marks=pytest.mark.req("S3-24"), id="workers: times"
    ),
    pytest.param(
        "tasks",
        [ID, C("title", "VARCHAR(255)"), C("description", "TEXT", null=True)],
        marks=pytest.mark.req("S3-26"),
        id="tasks: text",
    ),
    pytest.param(
        "tasks",
        [C("task_type", "VARCHAR(20)", of=KINDS)],
        marks=pytest.mark.req("S3-27"),
        id="tasks: type",
    ),
    pytest.param(
        "tasks",
        [C("permission_level", "VARCHAR(20)", of=("autonomous", "supervised", "human_required"))],
        id="tasks: permission",
    ),
    pytest.param(
        "tasks",
        [C("priority", "VARCHAR(10)", default="normal", of=PRIORITIES)],
        marks=pytest.mark.req("S3-29"),
        id="tasks: priority",
    ),
    pytest.param(
        "tasks",
        [C("status", "VARCHAR(20)", default="pending", of=TASK_STATUSES)],
        marks=pytest.mark.req("S3-30"),
        id="tasks: status",
    ),
    pytest.param(
        "tasks",
        [
            C("repository_url", "VARCHAR(500)", null=True),
            C("branch_name", "VARCHAR(255)", null=True),
            C("issue_number", "INTEGER", null=True),
            C("pr_number", "INTEGER", null=True),
        ],
        marks=pytest.mark.req("S3-31"),
        id="tasks: repository",
    ),
    pytest.param(
        "tasks",
        [C("context", "JSONB", default={}), METADATA],
        marks=pytest.mark.req("S3-32"),
        id="tasks: objects",
    ),
    pytest.param(
        "tasks",
        [C("created_by", "UUID", null=True, to=("users", "SET NULL"))],
        marks=pytest.mark.req("S3-33"),
        id="tasks: creator",
    ),
    pytest.param(
        "tasks",
        [C("assigned_to", "UUID", null=True, to=("workers", "SET NULL"))],
        marks=pytest.mark.req("S3-34"),
        id="tasks: assignee",
    ),
    pytest.param(
        "tasks",
        [C("parent_task_id", "UUID", null=True, to=("tasks", "CASCADE"))],
        marks=pytest.mark.req("S3-35"),
        id="tasks: parent",
    ),
    pytest.param(
        "tasks",
        [
            CREATED,
            UPDATED,
            C("started_at", "TIMESTAMPTZ", null=True),
            C("completed_at", "TIMESTAMPTZ", null=True),
        ],
        marks=pytest.mark.req("S3-36"),
        id="tasks: times",
    ),
    pytest.param(
        "work_orders",
        [ID, C("task_id", "UUID", to=("tasks", "CASCADE"))],
        marks=pytest.mark.req("S3-39"),
        id="work_orders: task",
    ),
    pytest.param("work_orders", [C("queue_name", "VARCHAR(50)")], id="work_orders: queue"),
    pytest.param(
        "work_orders",
        [C("status", "VARCHAR(20)", default="pending", of=ORDER_STATUSES)],
        marks=pytest.mark.req("S3-41"),
        id="work_orders: status",
    ),
    pytest.param(
        "work_orders",
        [
            C("payload", "JSONB"),
            C("result", "JSONB", null=True),
            C("error_message", "TEXT", null=True),
        ],
        marks=pytest.mark.req("S3-42"),
        id="work_orders: what goes in and out",
    ),
    pytest.param(
        "work_orders",
        [C("retry_count", "INTEGER", default=0), C("max_retries", "INTEGER", default=3)],
        marks=pytest.mark.req("S3-43"),
        id="work_orders: retries",
    ),
    pytest.param(
        "work_orders",
        [C("timeout_seconds", "INTEGER", default=3600)],
        marks=pytest.mark.req("S3-44"),
        id="work_orders: time limit",
    ),
    pytest.param(
        "work_orders",
        [
            C("enqueued_at", "TIMESTAMPTZ", default=NOW),
            C("claimed_at", "TIMESTAMPTZ", null=True),
            C("completed_at", "TIMESTAMPTZ", null=True),
        ],
        marks=pytest.mark.req("S3-45"),
        id="work_orders: times",
    ),
    pytest.param(
        "work_orders",
        [C("expires_at", "TIMESTAMPTZ", null=True)],
        marks=pytest.mark.req("S3-46"),
        id="work_orders: expiry",
    ),
    pytest.param(
        "worker_assignments",
        [
            ID,
            C("worker_id", "UUID", to=("workers", "CASCADE")),
            C("work_order_id", "UUID", to=("work_orders", "CASCADE")),
        ],
        marks=pytest.mark.req("S3-49"),
        id="worker_assignments: who and what",
    ),
    pytest.param(
        "worker_assignments",
        [C("status", "VARCHAR(20)", default="active", of=ASSIGNMENT_STATUSES)],
        marks=pytest.mark.req("S3-50"),
        id="worker_assignments: status",
    ),
    pytest.param(
        "worker_assignments",
        [
            C("assigned_at", "TIMESTAMPTZ", default=NOW),
            C("completed_at", "TIMESTAMPTZ", null=True),
        ],
        marks=pytest.mark.req("S3-51"),
        id="worker_assignments: times",
    ),
    pytest.param(
        "executions",
        [
            ID,
            C("task_id", "UUID", to=("tasks", "CASCADE")),
            C("worker_id", "UUID", to=("workers", "CASCADE")),
        ],
        marks=pytest.mark.req("S3-54"),
        id="executions: task and worker",
    ),
    pytest.param(
        "executions",
        [C("status", "VARCHAR(20)", default="running", of=EXECUTION_STATUSES)],
        marks=pytest.mark.req("S3-55"),
        id="executions: status",
    ),
    pytest.param(
        "executions",
        [
            C("exit_code", "INTEGER", null=True),
            C("stdout_log", "TEXT", null=True),
            C("stderr_log", "TEXT", null=True),
        ],
        id="executions: output",
    ),
    pytest.param("executions", [C("metrics", "JSONB", default={})], id="executions: metrics"),
    pytest.param(
        "executions",
        [
            C("started_at", "TIMESTAMPTZ", default=NOW),
            C("completed_at", "TIMESTAMPTZ", null=True),
            C("duration_seconds", "INTEGER", null=True),
        ],
        marks=pytest.mark.req("S3-58"),
        id="executions: times",
    ),
    pytest.param(
        "execution_logs",
        [
            C("id", "BIGINT", default=COUNTED),
            C("execution_id", "UUID", to=("executions", "CASCADE")),
        ],
        marks=pytest.mark.req("S3-60"),
        id="execution_logs: numbers",
    ),
    pytest.param(
        "execution_logs",
        [C("level", "VARCHAR(10)", of=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))],
        marks=pytest.mark.req("S3-61"),
        id="execution_logs: level",
    ),
    pytest.param(
        "execution_logs",
        [C("message", "TEXT"), METADATA, C("logged_at", "TIMESTAMPTZ", default=NOW)],
        marks=pytest.mark.req("S3-62"),
        id="execution_logs: line",
    ),
    pytest.param(
        "chat_messages",
        # The source has no table of threads; with one, a thread with messages is not deleted.
        [ID, C("conversation_id", "UUID", to=("chat_conversations", "RESTRICT"))],
        marks=pytest.mark.req("S3-64"),
        id="chat_messages: thread",
    ),
    pytest.param(
        "chat_messages",
        [
            C("sender_type", "VARCHAR(10)", of=("user", "worker", "system", "controller")),
            C("sender_id", "UUID", null=True),
        ],
        marks=pytest.mark.req("S3-65"),
        id="chat_messages: sender",
    ),
    pytest.param(
        "chat_messages",
        [C("message", "TEXT")],
        marks=pytest.mark.req("S3-66"),
        id="chat_messages: text",
    ),
    pytest.param(
        "chat_messages",
        [C("message_type", "VARCHAR(20)", default="text", of=MESSAGE_TYPES)],
        marks=pytest.mark.req("S3-67"),
        id="chat_messages: type",
    ),
    pytest.param(
        "chat_messages",
        [METADATA, CREATED, C("edited_at", "TIMESTAMPTZ", null=True)],
        id="chat_messages: times",
    ),
    pytest.param(
        "chat_messages",
        [C("parent_message_id", "UUID", null=True, to=("chat_messages", "SET NULL"))],
        marks=pytest.mark.req("S3-69"),
        id="chat_messages: parent",
    ),
    pytest.param(
        "chat_attachments",
        [ID, C("message_id", "UUID", to=("chat_messages", "CASCADE"))],
        marks=pytest.mark.req("S3-71"),
        id="chat_attachments: message",
    ),
    pytest.param(
        "chat_attachments",
        [
            C("file_name", "VARCHAR(255)"),
            C("file_path", "VARCHAR(500)"),
            C("file_type", "VARCHAR(50)", null=True),
            C("file_size_bytes", "BIGINT", null=True),
            METADATA,
            CREATED,
        ],
        id="chat_attachments: file",
    ),
    pytest.param(
        "context_documents",
        [ID, C("title", "VARCHAR(255)")],
        marks=pytest.mark.req("S3-75"),
        id="context_documents: title",
    ),
    pytest.param(
        "context_documents",
        [C("document_type", "VARCHAR(50)", of=DOCUMENT_TYPES)],
        marks=pytest.mark.req("S3-76"),
        id="context_documents: type",
    ),
    pytest.param(
        "context_documents",
        [C("content", "TEXT")],
        marks=pytest.mark.req("S3-77"),
        id="context_documents: content",
    ),
    pytest.param(
        "context_documents",
        [C("repository_url", "VARCHAR(500)", null=True)],
        marks=pytest.mark.req("S3-78"),
        id="context_documents: repository",
    ),
    pytest.param(
        "context_documents",
        [C("tags", "VARCHAR(50)[]", default=[])],
        marks=pytest.mark.req("S3-79"),
        id="context_documents: tags",
    ),
    pytest.param(
        "context_documents",
        [
            METADATA,
            C("created_by", "UUID", null=True, to=("users", "SET NULL")),
            CREATED,
            UPDATED,
        ],
        marks=pytest.mark.req("S3-80"),
        id="context_documents: creator and times",
    ),
    pytest.param(
        "context_documents",
        [C("version", "INTEGER", default=1)],
        id="context_documents: version",
    ),
    pytest.param(
        "task_dependencies",
        [
            ID,
            C("task_id", "UUID", to=("tasks", "CASCADE")),
            C("depends_on_task_id", "UUID", to=("tasks", "CASCADE")),
        ],
        marks=pytest.mark.req("S3-83"),
        id="task_dependencies: tasks",
    ),
    pytest.param(
        "task_dependencies",
        [C("dependency_type", "VARCHAR(20)", default="blocks", of=DEPENDENCY_TYPES)],
        id="task_dependencies: type",
    ),
    pytest.param(
        "task_dependencies",
        [CREATED],
        marks=pytest.mark.req("S3-85"),
        id="task_dependencies: time",
    ),
    pytest.param(
        "worker_capabilities",
        [
            ID,
            C("worker_id", "UUID", to=("workers", "CASCADE")),
            C("capability_name", "VARCHAR(100)"),
        ],
        marks=pytest.mark.req("S3-88"),
        id="worker_capabilities: worker",
    ),
    pytest.param(
        "worker_capabilities",
        [C("capability_level", "VARCHAR(20)", default="intermediate", of=LEVELS)],
        marks=pytest.mark.req("S3-89"),
        id="worker_capabilities: level",
    ),
    pytest.param(
        "worker_capabilities",
        [METADATA],
        marks=pytest.mark.req("S3-90"),
        id="worker_capabilities: metadata",
    ),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("table", "columns"), COLUMNS)
async def test_columns_are_as_the_source_says_and_keep_to_it(
    filled: Filled, table: str, columns: list[C]
) -> None:
    await check_columns(filled, table, columns)

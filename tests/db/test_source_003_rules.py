"""Indexes, uniqueness, threads and queries of the third source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from source_tables import TABLES, Filled, indexes_of
from sqlalchemy import ColumnElement, Table, UniqueConstraint, select, text
from sqlalchemy.dialects import postgresql

from autovibe.db import Database, open_database
from autovibe.db.errors import CheckViolationError, UniqueViolationError
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases
from autovibe.testing.every_table import add_one_of_each

INDEXES: Final = [
    pytest.param(
        "users",
        {
            "idx_users_email": "UNIQUE (email)",
            "idx_users_username": "UNIQUE (username)",
            "idx_users_role": "(role)",
        },
        marks=pytest.mark.req("S3-13"),
    ),
    pytest.param(
        "workers",
        {
            "idx_workers_type": "(worker_type)",
            "idx_workers_status": "(status)",
            "idx_workers_heartbeat": "(last_heartbeat_at)",
        },
        marks=pytest.mark.req("S3-25"),
    ),
    pytest.param(
        "tasks",
        {
            "idx_tasks_status": "(status)",
            "idx_tasks_type": "(task_type)",
            "idx_tasks_priority": "(priority)",
            "idx_tasks_created_by": "(created_by)",
            "idx_tasks_assigned_to": "(assigned_to)",
            "idx_tasks_parent": "(parent_task_id)",
        },
        marks=pytest.mark.req("S3-37"),
    ),
    pytest.param(
        "work_orders",
        {
            "idx_work_orders_task": "(task_id)",
            "idx_work_orders_queue": "(queue_name)",
            "idx_work_orders_status": "(status)",
            "idx_work_orders_enqueued": "(enqueued_at)",
            "idx_work_orders_expires": "(expires_at)",
        },
        marks=pytest.mark.req("S3-47"),
    ),
    pytest.param(
        "worker_assignments",
        {
            "idx_assignments_worker": "(worker_id)",
            "idx_assignments_order": "(work_order_id)",
            "idx_assignments_status": "(status)",
        },
        marks=pytest.mark.req("S3-53"),
    ),
    pytest.param(
        "executions",
        {
            "idx_executions_task": "(task_id)",
            "idx_executions_worker": "(worker_id)",
            "idx_executions_status": "(status)",
            "idx_executions_started": "(started_at)",
        },
        marks=pytest.mark.req("S3-59"),
    ),
    pytest.param(
        "execution_logs",
        {
            "idx_execution_logs_execution": "(execution_id)",
            "idx_execution_logs_level": "(level)",
            "idx_execution_logs_logged_at": "(logged_at)",
        },
        marks=pytest.mark.req("S3-63"),
    ),
    pytest.param(
        "chat_messages",
        {
            # One that a thread is read from in order serves the source's as well.
            "idx_chat_messages_conversation": "(conversation_id, created_at)",
            "idx_chat_messages_sender": "(sender_type, sender_id)",
            "idx_chat_messages_created": "(created_at)",
            "idx_chat_messages_parent": "(parent_message_id)",
        },
        marks=pytest.mark.req("S3-70"),
    ),
    pytest.param(
        "chat_attachments",
        {"idx_chat_attachments_message": "(message_id)"},
        marks=pytest.mark.req("S3-73"),
    ),
    pytest.param(
        "context_documents",
        {
            "idx_context_docs_type": "(document_type)",
            "idx_context_docs_repo": "(repository_url)",
            "idx_context_docs_tags": "gin (tags)",
            "idx_context_docs_created_by": "(created_by)",
        },
        marks=pytest.mark.req("S3-82"),
    ),
    pytest.param(
        "task_dependencies",
        {
            "idx_task_deps_task": "(task_id)",
            "idx_task_deps_depends_on": "(depends_on_task_id)",
        },
        marks=pytest.mark.req("S3-87"),
    ),
    pytest.param(
        "worker_capabilities",
        {"idx_worker_caps_worker": "(worker_id)", "idx_worker_caps_name": "(capability_name)"},
        marks=pytest.mark.req("S3-92"),
    ),
    pytest.param(
        "tasks",
        {"idx_tasks_status_priority": "(status, priority)"},
        marks=pytest.mark.req("S3-99"),
        id="tasks-together",
    ),
    pytest.param(
        "workers",
        {"idx_workers_type_status": "(worker_type, status)"},
        marks=pytest.mark.req("S3-99"),
        id="workers-together",
    ),
    pytest.param(
        "executions",
        {"idx_executions_task_status": "(task_id, status)"},
        marks=pytest.mark.req("S3-99"),
        id="executions-together",
    ),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("table", "said"), INDEXES)
async def test_the_database_has_the_indexes_of_the_source(
    filled: Filled, table: str, said: dict[str, str]
) -> None:
    found = await indexes_of(filled.db, table)
    if filled.db.dialect.name == "sqlite":  # which has no GIN
        said = {name: covers for name, covers in said.items() if not covers.startswith("gin")}
    assert {name: found.get(name) for name in said} == said


USER: Final = {
    "username": "other",
    "email": "other@example.org",
    "hashed_password": "none",
    "role": "viewer",
}


@pytest.mark.parametrize(
    ("table", "columns", "filling", "reason"),
    [
        pytest.param(
            "users", ["username"], USER, "DUPLICATE_USERNAME", marks=pytest.mark.req("S3-06")
        ),
        pytest.param("users", ["email"], USER, "DUPLICATE_EMAIL", marks=pytest.mark.req("S3-06")),
        pytest.param(
            "worker_assignments",
            ["worker_id", "work_order_id"],
            {"status": "completed"},
            "DUPLICATE_ASSIGNMENT",
            marks=pytest.mark.req("S3-52"),
        ),
        pytest.param(
            "worker_capabilities",
            ["worker_id", "capability_name"],
            {},
            "DUPLICATE_CAPABILITY",
            marks=pytest.mark.req("S3-91"),
        ),
        pytest.param(
            "task_dependencies",
            ["task_id", "depends_on_task_id"],
            {"dependency_type": "related"},
            "DUPLICATE_DEPENDENCY",
        ),
    ],
)
async def test_what_the_source_calls_unique_is_taken_once(
    db: Database, table: str, columns: list[str], filling: dict[str, str], reason: str
) -> None:
    async with db.write() as tx:
        row = (await add_one_of_each(tx))[table]
        if table == "worker_assignments":  # so that no other rule is broken first
            await tx.session.execute(TABLES[table].update().values(status="completed"))
    values: dict[str, Any] = {name: getattr(row, name) for name in columns}
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add(tx, table, **{**filling, **values})
    assert caught.value.reason == reason


async def test_a_task_does_not_depend_on_itself(db: Database) -> None:
    async with db.write() as tx:
        task = await factories.add_task(tx, None)
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await factories.add(
                tx, "task_dependencies", task_id=task.id, depends_on_task_id=task.id
            )
    assert caught.value.reason == "TASK_DEPENDS_ON_ITSELF"


BOTH_WAYS: Final = [
    ("users", "tasks", "tasks", "creator"),
    ("users", "context_documents", "context_documents", "creator"),
    ("workers", "assignments", "worker_assignments", "worker"),
    ("workers", "executions", "executions", "worker"),
    ("workers", "capability_rows", "worker_capabilities", "worker"),
    ("tasks", "work_orders", "work_orders", "task"),
    ("tasks", "executions", "executions", "task"),
    ("tasks", "dependencies", "task_dependencies", "task"),
    ("work_orders", "assignments", "worker_assignments", "work_order"),
    ("chat_messages", "attachments", "chat_attachments", "message"),
    ("executions", "logs", "execution_logs", "execution"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.req("S3-03")
@pytest.mark.parametrize(("parent", "many", "child", "one"), BOTH_WAYS)
async def test_relations_of_the_source_can_be_walked_both_ways(
    filled: Filled, parent: str, many: str, child: str, one: str
) -> None:
    row = filled.rows[child]
    async with filled.db.read() as tx:
        found = await tx.session.get_one(factories.model(child), row.id)
        above = await getattr(found.awaitable_attrs, one)
        assert above.__tablename__ == parent
        relation = type(above).__mapper__.relationships[many]
        if relation.lazy == "write_only":
            below = (await tx.session.scalars(getattr(above, many).select())).all()
        else:
            below = await getattr(above.awaitable_attrs, many)
        assert [item.id for item in below] == [row.id]


@pytest.mark.req("S3-03", "S3-65")
async def test_the_messages_of_a_user_are_those_that_it_sent_as_a_user(db: Database) -> None:
    async with db.write() as tx:
        user = await factories.add_user(tx)
        thread = await factories.add(tx, "chat_conversations")
        for sender in ("user", "worker", "system", "controller"):
            await factories.add(
                tx,
                "chat_messages",
                conversation_id=thread.id,
                sender_type=sender,
                sender_id=user.id,  # nothing keeps a worker from having the same id
                message=sender,
            )
    async with db.read() as tx:
        found = await tx.session.get_one(factories.model("users"), user.id)
        messages = (await tx.session.scalars(found.chat_messages.select())).all()
        assert [message.message for message in messages] == ["user"]


@pytest.mark.req("S3-64", "S3-69")
async def test_a_thread_is_read_in_order_and_answers_hang_below_what_they_answer(
    db: Database,
) -> None:
    then = datetime(2026, 11, 25, 9, tzinfo=UTC)
    async with db.write() as tx:
        thread = await factories.add(tx, "chat_conversations", title="thread")
        other = await factories.add(tx, "chat_conversations", title="other")
        made: dict[int, Any] = {}
        for minute, where, above in (
            (1, thread, None),
            (3, thread, 1),
            (2, thread, 1),
            (0, other, 3),
        ):
            made[minute] = await factories.add(
                tx,
                "chat_messages",
                conversation_id=where.id,
                sender_type="system",
                message=str(minute),
                parent_message_id=made[above].id if above else None,
                created_at=then + timedelta(minutes=minute),
            )
    async with db.read() as tx:
        found = await tx.session.get_one(factories.model("chat_conversations"), thread.id)
        messages = (await tx.session.scalars(found.messages.select())).all()
        assert [message.message for message in messages] == ["1", "2", "3"]
        replies = await messages[0].awaitable_attrs.replies
        assert {reply.message for reply in replies} == {"2", "3"}
        assert (await messages[1].awaitable_attrs.parent) is messages[0]


HOST: Final = "https://example.org"


@pytest.mark.req("S3-78")
async def test_documents_are_found_by_their_repository(db: Database) -> None:
    model = factories.model("context_documents")
    async with db.write() as tx:
        for title, url in (
            ("a", "https://example.org/a"),
            ("b", "https://example.org/b"),
            ("c", None),
        ):
            await factories.add(
                tx,
                "context_documents",
                title=title,
                document_type="guide",
                content="text",
                repository_url=url,
            )
    async with db.read() as tx:
        query = select(model.title).where(model.repository_url == f"{HOST}/b")
        assert (await tx.session.scalars(query)).all() == ["b"]


@pytest.mark.req("S3-74", "S3-79")
async def test_documents_are_made_found_by_tag_and_words_changed_and_deleted(db: Database) -> None:
    model = factories.model("context_documents")
    async with db.write() as tx:
        for title, tags in (("a", ["style", "x" * 50]), ("b", []), ("c", ["stylé", "style guide"])):
            await factories.add(
                tx,
                "context_documents",
                title=title,
                document_type="guide",
                content=f"# {title}",
                tags=tags,
            )

    async def found(condition: ColumnElement[bool]) -> list[str]:
        async with db.read() as tx:
            query = select(model.title).where(condition).order_by(model.title)
            return list((await tx.session.scalars(query)).all())

    for tag, titles in (
        ("style", ["a"]),
        ("x" * 50, ["a"]),
        ("x" * 51, []),
        ("style guide", ["c"]),
        ("guide", []),
    ):
        assert await found(db.dialect.json_has(model.tags, tag)) == titles, tag
    assert await found(db.dialect.json_subset(model.tags, ["stylé", "style guide"])) == ["b", "c"]
    assert await found(model.content.contains("# b")) == ["b"]
    async with db.write() as tx:
        one = (await tx.session.scalars(select(model).where(model.title == "b"))).one()
        one.tags = ["style"]
        other = (await tx.session.scalars(select(model).where(model.title == "a"))).one()
        await tx.session.delete(other)
    assert await found(db.dialect.json_has(model.tags, "style")) == ["b"]


def leading(table: Table) -> set[str]:
    """Return the columns that lead an index, a unique rule or the primary key."""
    rules = [rule for rule in table.constraints if isinstance(rule, UniqueConstraint)]
    lists = [index.columns for index in table.indexes] + [rule.columns for rule in rules]
    return {next(iter(columns)).name for columns in (*lists, table.primary_key.columns) if columns}


@pytest.mark.req("S3-96")
def test_every_foreign_key_leads_an_index() -> None:
    missing = {
        f"{table.name}.{key.parent.name}"
        for table in TABLES.values()
        for key in table.foreign_keys
        if key.parent.name not in leading(table)
    }
    assert missing == set()


@pytest.mark.req("S3-97")
def test_what_rows_are_filtered_and_sorted_by_leads_an_index() -> None:
    for name in ("workers", "tasks", "work_orders", "worker_assignments", "executions"):
        assert "status" in leading(TABLES[name]), name
    for name, column in (
        ("workers", "last_heartbeat_at"),
        ("work_orders", "enqueued_at"),
        ("work_orders", "expires_at"),
        ("executions", "started_at"),
        ("execution_logs", "logged_at"),
        ("chat_messages", "created_at"),
    ):
        assert column in leading(TABLES[name]), (name, column)


GIN: Final = {
    "idx_projects_metadata_gin": "SELECT id FROM projects WHERE metadata @> '{\"a\": 1}'",
    "idx_machines_constraints_gin": (
        "SELECT id FROM intelligent_machines WHERE resource_constraints @> '{\"memory_mb\": 4096}'"
    ),
    "idx_tasks_context_gin": 'SELECT id FROM tasks WHERE context @> \'{"agent": "shell"}\'',
    "idx_context_docs_tags": "SELECT id FROM context_documents WHERE tags @> ARRAY['a']::varchar[]",
}


@pytest.mark.req("S3-98", "S3-108", "S3-82")
async def test_postgresql_finds_what_objects_and_lists_contain_by_their_indexes(
    databases: TestDatabases,
) -> None:
    db = open_database(await databases.postgresql())
    async with db.read() as tx:
        await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
        for index, statement in GIN.items():
            plan = (await tx.session.scalars(text(f"EXPLAIN {statement}"))).all()
            assert f"Bitmap Index Scan on {index}" in "\n".join(plan)
    context = TABLES["tasks"].c.context
    asked = db.dialect.json_contains(context, {"agent": "shell"})
    assert "tasks.context @> " in str(asked.compile(dialect=postgresql.dialect()))
    await db.close()


WITHOUT: Final = {
    # Rows that never change, and the time of what they tell of.
    "audit_log": {"at"},
    "audit_seals": {"sealed_at"},
    "chat_attachments": {"created_at"},
    "checkpoints": {"created_at"},
    "context_document_versions": {"created_at"},
    "exchange_rates": {"created_at"},
    "execution_logs": {"logged_at"},
    "idempotent_replies": {"created_at"},
    "hub_checkpoints": {"created_at"},
    "llm_round_table_results": {"created_at"},
    "maintenance_log": {"performed_at"},
    "resource_usage": {"recorded_at"},
    # Rows that go through states, each state with its own time.
    "agent_executions": {"created_at", "completed_at"},
    "budget_reservations": {"reserved_at", "forwarded_at", "finished_at"},
    "chat_messages": {"created_at", "edited_at"},
    "checkpoint_verification_queue": {"queued_at", "finished_at"},
    "instances": {"started_at", "heartbeat_at"},
    "machine_messages": {"enqueued_at", "delivered_at", "processed_at"},
    "outbox_events": {"created_at", "relayed_at"},
    "tool_executions": {"created_at"},
    "login_throttles": {"last_failed_at"},
    # Parts of other rows: of a reservation, of a project in a queue, and sums by day.
    "budget_holds": set[str](),
    "queue_shares": set[str](),
    "provider_pauses": {"opens_at"},
    "resource_usage_daily": set[str](),
}


@pytest.mark.req("S3-114")
def test_every_table_has_both_times_or_those_that_its_rows_have() -> None:
    both = {"created_at", "updated_at"}
    assert {name for name, table in TABLES.items() if not both <= set(table.c.keys())} == set(
        WITHOUT
    )
    for name, times in WITHOUT.items():
        assert times <= set(TABLES[name].c.keys()), name

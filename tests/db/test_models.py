"""The models against `schema.md` and against the database that the migrations make."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from autovibe.db import open_database
from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.db.types import EnumText
from autovibe.testing.databases import TestDatabases
from autovibe.testing.schema_dump import migrated, postgresql_dump

TABLES = load_models().tables
CASCADES = {
    ("intelligent_machines", "project_id"): ("projects", "RESTRICT"),
    ("intelligent_machines", "parent_checkpoint_id"): ("checkpoints", None),
    ("intelligent_machines", "spawned_by_hub_id"): ("intelligent_machines", "SET NULL"),
    ("intelligent_machines", "parent_machine_id"): ("intelligent_machines", "SET NULL"),
    ("intelligent_machines", "worker_id"): ("workers", "SET NULL"),
    ("checkpoints", "project_id"): ("projects", "CASCADE"),
    ("checkpoints", "parent_checkpoint_id"): ("checkpoints", None),
    ("checkpoints", "creating_machine_id"): ("intelligent_machines", "SET NULL"),
    ("checkpoint_verification_queue", "checkpoint_id"): ("checkpoints", "CASCADE"),
    ("resource_usage", "project_id"): ("projects", "CASCADE"),
    ("resource_usage", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("resource_usage_daily", "project_id"): ("projects", "CASCADE"),
    ("resource_budgets", "project_id"): ("projects", "CASCADE"),
    ("resource_budgets", "task_id"): ("tasks", "CASCADE"),
    ("budget_reservations", "project_id"): ("projects", "CASCADE"),
    ("budget_reservations", "task_id"): ("tasks", "SET NULL"),
    ("budget_reservations", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("tasks", "project_id"): ("projects", "SET NULL"),
    ("tasks", "created_by"): ("users", "SET NULL"),
    ("tasks", "assigned_to"): ("workers", "SET NULL"),
    ("tasks", "parent_task_id"): ("tasks", "CASCADE"),
    ("task_dependencies", "task_id"): ("tasks", "CASCADE"),
    ("task_dependencies", "depends_on_task_id"): ("tasks", "CASCADE"),
    ("work_orders", "task_id"): ("tasks", "CASCADE"),
    ("worker_assignments", "worker_id"): ("workers", "CASCADE"),
    ("worker_assignments", "work_order_id"): ("work_orders", "CASCADE"),
    ("worker_assignments", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("executions", "task_id"): ("tasks", "CASCADE"),
    ("executions", "worker_id"): ("workers", "CASCADE"),
    ("executions", "work_order_id"): ("work_orders", "SET NULL"),
    ("executions", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("executions", "result_checkpoint_id"): ("checkpoints", "SET NULL"),
    ("execution_logs", "execution_id"): ("executions", "CASCADE"),
    ("project_members", "project_id"): ("projects", "CASCADE"),
    ("queue_shares", "project_id"): ("projects", "CASCADE"),
    ("project_members", "user_id"): ("users", "CASCADE"),
    ("agent_executions", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("agent_executions", "task_execution_id"): ("executions", "SET NULL"),
    ("approval_requests", "answered_by"): ("users", "SET NULL"),
    ("approval_requests", "conversation_id"): ("chat_conversations", "SET NULL"),
    ("approval_requests", "execution_id"): ("executions", "SET NULL"),
    ("approval_requests", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("approval_requests", "task_id"): ("tasks", "CASCADE"),
    ("chat_attachments", "message_id"): ("chat_messages", "CASCADE"),
    ("chat_conversations", "created_by"): ("users", "SET NULL"),
    ("chat_conversations", "project_id"): ("projects", "SET NULL"),
    ("chat_conversations", "task_id"): ("tasks", "SET NULL"),
    ("chat_messages", "conversation_id"): ("chat_conversations", "RESTRICT"),
    ("chat_messages", "parent_message_id"): ("chat_messages", "SET NULL"),
    ("context_document_versions", "created_by"): ("users", "SET NULL"),
    ("context_document_versions", "document_id"): ("context_documents", "CASCADE"),
    ("context_documents", "created_by"): ("users", "SET NULL"),
    ("context_documents", "project_id"): ("projects", "SET NULL"),
    ("hub_checkpoints", "hub_id"): ("hub_instances", None),
    ("hub_experiments", "base_checkpoint_id"): ("hub_checkpoints", None),
    ("hub_experiments", "experimental_hub_id"): ("hub_instances", "SET NULL"),
    ("hub_experiments", "original_hub_id"): ("hub_instances", None),
    ("hub_instances", "experiment_id"): ("hub_experiments", "SET NULL"),
    ("hub_instances", "machine_id"): ("intelligent_machines", "SET NULL"),
    ("hub_instances", "parent_hub_id"): ("hub_instances", "SET NULL"),
    ("llm_round_table_results", "task_execution_id"): ("executions", "SET NULL"),
    ("machine_messages", "recipient_machine_id"): ("intelligent_machines", "CASCADE"),
    ("machine_messages", "sender_machine_id"): ("intelligent_machines", "SET NULL"),
    ("orders", "user_id"): ("users", "SET NULL"),
    ("rag_documents", "context_document_id"): ("context_documents", "CASCADE"),
    ("tool_executions", "agent_execution_id"): ("agent_executions", "SET NULL"),
    ("tool_executions", "user_id"): ("users", "SET NULL"),
    ("worker_capabilities", "worker_id"): ("workers", "CASCADE"),
    ("api_tokens", "user_id"): ("users", "CASCADE"),
    ("api_tokens", "machine_id"): ("intelligent_machines", "CASCADE"),
    ("api_tokens", "worker_id"): ("workers", "CASCADE"),
}


@pytest.mark.req("S0-10", "S2-13")
def test_every_foreign_key_has_its_decided_on_delete() -> None:
    found = {
        (table.name, key.parent.name): (key.column.table.name, key.ondelete)
        for table in TABLES.values()
        for key in table.foreign_keys
    }
    assert found == CASCADES


@pytest.mark.req("S0-17", "S0-38", "S0-41", "S0-50")
def test_soft_references_have_no_foreign_key() -> None:
    for table, column in (
        ("projects", "initial_checkpoint_id"),
        ("projects", "current_checkpoint_id"),
        ("intelligent_machines", "last_checkpoint_id"),
        ("tasks", "base_checkpoint_id"),
        ("tasks", "result_checkpoint_id"),
        ("checkpoints", "jump_checkpoint_id"),
        ("resource_usage", "execution_id"),
    ):
        assert not TABLES[table].c[column].foreign_keys, (table, column)
    # Warnings are errors here: a circle of tables would warn.
    assert len(Base.metadata.sorted_tables) == len(TABLES)


@pytest.mark.req("S0-42")
def test_every_enum_column_has_a_named_check_with_exactly_its_members() -> None:
    checked = 0
    for table in TABLES.values():
        checks = {
            str(rule.sqltext): str(rule.name)
            for rule in table.constraints
            if isinstance(rule, CheckConstraint)
        }
        for column in table.columns:
            if not isinstance(column.type, EnumText):
                continue
            enum: type[StrEnum] = column.type.enum
            members = ",".join(f"'{member}'" for member in enum)
            rule = f"{column.name} IN ({members})"
            assert checks.keys() & {rule, f"{column.name} IS NULL OR {rule}"}, column
            assert all(len(member) <= column.type.impl.length for member in enum)
            checked += 1
    assert checked >= 45


@pytest.mark.req("S4-54")
def test_every_rule_and_index_has_a_name_of_its_own() -> None:
    names: dict[str, set[str | None]] = {}
    for table in TABLES.values():
        for rule in (*table.constraints, *table.indexes):
            assert rule.name, f"{table.name}: {rule!r}"
            backend = rule._ddl_if.dialect if rule._ddl_if is not None else None
            assert backend not in names.setdefault(str(rule.name), set()), rule.name
            names[str(rule.name)].add(backend)
    assert all(len(backends) == 1 or None not in backends for backends in names.values())
    assert max(map(len, names)) <= 63


@pytest.mark.req("S2-11", "S4-54")
def test_mutable_tables_have_both_times_and_columns_with_defaults_are_not_null() -> None:
    for table in TABLES.values():
        if "updated_at" in table.c:
            assert "created_at" in table.c, table.name
        for column in table.columns:
            if column.server_default is not None:
                assert not column.nullable, f"{table.name}.{column.name}"


@pytest.mark.req("S4-13", "S4-28")
async def test_sqlite_tables_and_indexes_are_those_of_the_models(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/models.db"
    await migrated(url)
    database = open_database(url)
    async with database.engine.connect() as connection:
        made = (
            await connection.execute(
                text(
                    "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
                    " AND type IN ('table', 'index') AND name NOT LIKE 'sqlite_%'"
                )
            )
        ).all()
    await database.close()
    found = {name: flat(sql) for name, sql in made if name != "alembic_version"}
    dialect = sqlite.dialect()
    expected: dict[str, str] = {}
    for table in TABLES.values():
        # The circle is closed in line, since SQLite adds no constraint afterwards.
        create = CreateTable(
            table, include_foreign_key_constraints=list(table.foreign_key_constraints)
        )
        expected[table.name] = flat(str(create.compile(dialect=dialect)))
        for index in table.indexes:
            if index._ddl_if is None or index._ddl_if.dialect == "sqlite":
                expected[str(index.name)] = flat(str(CreateIndex(index).compile(dialect=dialect)))
    assert {name: parts(sql) for name, sql in found.items()} == {
        name: parts(sql) for name, sql in expected.items()
    }


def flat(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()


def parts(sql: str) -> list[str]:
    """The order of table constraints means nothing, nor whether one stands behind its column."""
    whole = sql.replace(" (", "(").removesuffix(")").removesuffix(" ")
    return sorted(re.split(r",? CONSTRAINT", whole))


@pytest.mark.req("S0-43", "S0-97", "S0-101", "S0-103", "S4-13", "S4-28")
async def test_postgresql_tables_and_indexes_are_those_of_the_models(
    databases: TestDatabases,
) -> None:
    by_models = await databases.empty_postgresql()
    database = open_database(by_models)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(
            text("CREATE TABLE resource_usage_default PARTITION OF resource_usage DEFAULT")
        )
    await database.close()
    by_migrations = await databases.empty_postgresql()
    await migrated(by_migrations)
    expected = blocks(postgresql_dump(by_models))
    found = blocks(postgresql_dump(by_migrations))
    for url in (by_models, by_migrations):
        await databases.drop_postgresql(url)
    assert expected - found == set()
    only_in_migrations = found - expected
    # What no model can say; `idx_mv_` are the indexes of materialised views.
    beside = re.compile(r"FUNCTION|TRIGGER|VIEW|idx_mv_")
    assert {block for block in only_in_migrations if not beside.search(block)} == {
        block for block in only_in_migrations if "alembic_version" in block
    }


def blocks(dump: str) -> set[str]:
    without_comments = re.sub(r"^--.*\n", "", dump, flags=re.MULTILINE)
    without_bodies = re.sub(r"\$(\w*)\$.*?\$\1\$", "", without_comments, flags=re.DOTALL)
    statements = re.split(r";\n", without_bodies)
    return {
        # A partition's own indexes get numbers in the order in which they were made.
        re.sub(r"_idx\d+", "_idx", statement.strip())
        for statement in statements
        if "resource_usage_default" not in statement
    }


def test_uniqueness_is_as_written_in_the_schema() -> None:
    found = {
        (table.name, tuple(column.name for column in rule.columns))
        for table in TABLES.values()
        for rule in (*table.constraints, *table.indexes)
        if isinstance(rule, UniqueConstraint) or getattr(rule, "unique", False)
    }
    assert {
        ("projects", ("name",)),
        ("users", ("email",)),
        ("users", ("username",)),
        ("checkpoints", ("proxmox_snapshot_id",)),
        ("intelligent_machines", ("hypervisor", "vm_id")),
        ("checkpoint_verification_queue", ("checkpoint_id",)),
        ("task_dependencies", ("task_id", "depends_on_task_id")),
        ("worker_assignments", ("worker_id", "work_order_id")),
        ("worker_assignments", ("work_order_id",)),
        ("execution_logs", ("execution_id", "seq")),
        ("budget_reservations", ("execution_id", "idempotency_key")),
    } <= found

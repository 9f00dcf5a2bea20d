"""Every rule of the schema has a reason, and breaking it gives the error with that reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint, text

from autovibe.db import Database
from autovibe.db.constraints import RULES
from autovibe.db.discovery import load_models
from autovibe.db.errors import (
    CheckViolationError,
    ConstraintError,
    ForeignKeyViolationError,
    RuleViolationError,
    UniqueViolationError,
)
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

TABLES = load_models().tables


def rules_of_models() -> set[str]:
    names: set[str] = set()
    for table in TABLES.values():
        for rule in table.constraints:
            keeps = isinstance(rule, ForeignKeyConstraint) and rule.ondelete in {None, "RESTRICT"}
            if keeps or isinstance(rule, CheckConstraint | UniqueConstraint):
                names.add(str(rule.name))
        names |= {str(index.name) for index in table.indexes if index.unique}
    return names


def test_every_rule_of_the_models_has_a_reason_and_no_other_has() -> None:
    assert set(RULES) == rules_of_models()


def test_reasons_are_permanent_names_and_sentences_are_sentences() -> None:
    for name, rule in RULES.items():
        assert re.fullmatch(r"[A-Z][A-Z_]+", rule.reason), name
        assert rule.sentence[0].isupper(), name
        assert rule.sentence.endswith("."), name


SAMPLES: list[tuple[str, str, str, type[ConstraintError]]] = [
    (
        "projects",
        "greediness = greediness + greediness + greediness",
        "GREEDINESS_OUT_OF_RANGE",
        CheckViolationError,
    ),
    ("projects", "status = 'gone'", "UNKNOWN_PROJECT_STATUS", CheckViolationError),
    ("intelligent_machines", "status = 'x'", "UNKNOWN_MACHINE_STATUS", CheckViolationError),
    (
        "intelligent_machines",
        "terminated_at = spawned_at",
        "TERMINATED_BEFORE_SPAWNED",
        CheckViolationError,
    ),
    ("resource_budgets", "used_amount = -1", "NEGATIVE_AMOUNT", CheckViolationError),
    ("tasks", "priority = 'soon'", "UNKNOWN_TASK_PRIORITY", CheckViolationError),
    ("work_orders", "retry_count = -1", "NEGATIVE_COUNT", CheckViolationError),
    ("hub_experiments", "duration_days = 0", "DURATION_NOT_POSITIVE", CheckViolationError),
    ("approval_requests", "answered_at = NULL", "ANSWER_WITHOUT_TIME", CheckViolationError),
    ("products", "price = -1", "NEGATIVE_AMOUNT", CheckViolationError),
    ("rag_documents", "chunk_index = 7", "CHUNK_OUT_OF_RANGE", CheckViolationError),
    (
        "task_dependencies",
        "depends_on_task_id = task_id",
        "TASK_DEPENDS_ON_ITSELF",
        CheckViolationError,
    ),
    ("context_documents", "version = 0", "VERSION_OUT_OF_RANGE", CheckViolationError),
]


@pytest.mark.req("S0-36", "S0-47", "S4-07")
async def test_a_broken_rule_is_named_for_sql_written_by_hand(db: Database) -> None:
    async with db.write() as tx:
        await add_one_of_each(tx)
    for table, change, reason, kind in SAMPLES:
        with pytest.raises(kind) as caught:
            async with db.write() as tx:
                await tx.session.execute(text(f"UPDATE {table} SET {change}"))
        assert caught.value.reason == reason, table
        assert RULES[caught.value.constraint].reason == reason


@pytest.mark.req("S0-35", "S4-08")
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("projects", "DUPLICATE_NAME"),
        ("products", "DUPLICATE_SKU"),
        ("orders", "DUPLICATE_ORDER_NUMBER"),
        ("worker_capabilities", "DUPLICATE_CAPABILITY"),
        ("task_dependencies", "DUPLICATE_DEPENDENCY"),
        ("llm_round_table_results", "DUPLICATE_RESULT"),
        ("agent_executions", "DUPLICATE_AGENT_EXECUTION"),
        ("rag_documents", "DUPLICATE_CHUNK"),
        ("context_document_versions", "DUPLICATE_VERSION"),
        ("hub_instances", "MACHINE_IS_A_HUB"),
        ("resource_budgets", "DUPLICATE_BUDGET"),
        ("exchange_rates", "DUPLICATE_RATE"),
        ("api_tokens", "DUPLICATE_TOKEN"),
        ("login_throttles", "DUPLICATE_THROTTLE"),
        ("queue_shares", "DUPLICATE_QUEUE_SHARE"),
        ("idempotent_replies", "DUPLICATE_REPLY"),
    ],
)
async def test_a_second_row_with_one_key_is_named(db: Database, table: str, reason: str) -> None:
    async with db.write() as tx:
        row = (await add_one_of_each(tx))[table]
        values: dict[str, Any] = {
            name: value
            for name, value in row.__dict__.items()
            if name in row.__mapper__.column_attrs and name != "id"
        }
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add(tx, table, **values)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("projects", "PROJECT_HAS_MACHINES"),
        ("chat_conversations", "CONVERSATION_HAS_MESSAGES"),
        ("hub_checkpoints", "CHECKPOINT_HAS_EXPERIMENTS"),
    ],
)
async def test_what_others_still_need_is_not_deleted(db: Database, table: str, reason: str) -> None:
    async with db.write() as tx:
        row = (await add_one_of_each(tx))[table]
    with pytest.raises(ForeignKeyViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(TABLES[table].delete().where(TABLES[table].c.id == row.id))
    assert caught.value.reason == reason
    assert "first" in caught.value.message


async def test_a_row_that_names_nothing_is_refused_without_a_wrong_reason(db: Database) -> None:
    async with db.write() as tx:
        absent = (await factories.add_project(tx)).id
        await tx.session.execute(TABLES["projects"].delete())
    with pytest.raises(ForeignKeyViolationError) as caught:
        async with db.write() as tx:
            await factories.add_machine(tx, absent)
    assert caught.value.reason == "FOREIGN_KEY_VIOLATION"


@pytest.mark.req("S0-69")
async def test_a_trigger_names_its_rule_for_sql_written_by_hand(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        await factories.add_checkpoint(
            tx,
            project.id,
            created_at=project.created_at,
            verification_status="verified",
            verified_at=project.created_at,
        )
    with pytest.raises(RuleViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(text("UPDATE checkpoints SET description = 'changed'"))
    assert caught.value.reason == "CHECKPOINT_IMMUTABLE"

"""The seven tables of the fourth source, and what it asks of models and migrations."""

from __future__ import annotations

from typing import Any, Final

import pytest
from source_tables import NOW, RANDOM, TABLES, C, Filled, check_columns, indexes_of
from sqlalchemy import text

from autovibe.db import Database
from autovibe.db.errors import UniqueViolationError
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

ID: Final = C("id", "UUID", default=RANDOM)
CREATED: Final = C("created_at", "TIMESTAMPTZ", default=NOW)
UPDATED: Final = C("updated_at", "TIMESTAMPTZ", default=NOW)
METADATA: Final = C("metadata", "JSONB", default={})
USER: Final = C("user_id", "UUID", null=True, to=("users", "SET NULL"))

COLUMNS: Final[dict[str, list[C]]] = {
    "users": [
        ID,
        C("username", "VARCHAR(50)"),
        C("email", "VARCHAR(255)"),
        C("hashed_password", "VARCHAR(255)"),
        C("full_name", "VARCHAR(255)", null=True),
        C("role", "VARCHAR(20)", of=("admin", "developer", "viewer")),
        C("is_active", "BOOLEAN", default=True),
        C("is_verified", "BOOLEAN", default=False),
        C("last_login_at", "TIMESTAMPTZ", null=True),
        METADATA,
        CREATED,
        UPDATED,
    ],
    "products": [
        ID,
        C("sku", "VARCHAR(100)"),
        C("name", "VARCHAR(500)"),
        C("description", "TEXT", null=True),
        C("category", "VARCHAR(100)", null=True),
        C("price", "NUMERIC(10,2)"),
        C("inventory_quantity", "INTEGER", default=0),
        C("status", "VARCHAR(50)", default="draft", of=("draft", "published", "archived")),
        C("tags", "TEXT[]", null=True),
        METADATA,
        CREATED,
        UPDATED,
    ],
    "orders": [
        ID,
        C("order_number", "VARCHAR(50)"),
        USER,
        C(
            "status",
            "VARCHAR(50)",
            default="pending",
            of=("pending", "processing", "completed", "cancelled"),
        ),
        C("total_price", "NUMERIC(10,2)"),
        C("subtotal", "NUMERIC(10,2)"),
        METADATA,
        CREATED,
        UPDATED,
    ],
    "llm_round_table_results": [
        ID,
        C("result_id", "VARCHAR(100)"),
        C("task_category", "VARCHAR(100)", null=True),
        C("winner_provider", "VARCHAR(50)", null=True),
        C("winner_response", "TEXT", null=True),
        C("participants", "JSONB"),
        METADATA,
        CREATED,
    ],
    "agent_executions": [
        ID,
        C("execution_id", "VARCHAR(100)"),
        C("agent_name", "VARCHAR(100)"),
        C("prompt", "TEXT"),
        C("status", "VARCHAR(50)", default="running", of=("running", "completed", "failed")),
        C("result", "JSONB", null=True),
        C("tokens_used", "INTEGER", null=True),
        C("duration_ms", "INTEGER", null=True),
        CREATED,
    ],
    "tool_executions": [
        ID,
        C("correlation_id", "VARCHAR(64)"),
        C("tool_name", "VARCHAR(128)"),
        C("agent_id", "VARCHAR(100)", null=True),
        USER,
        C("inputs", "JSONB"),
        C("outputs", "JSONB", null=True),
        C(
            "status",
            "VARCHAR(50)",
            default="running",
            of=("running", "success", "failed", "timeout"),
        ),
        C("error_message", "TEXT", null=True),
        C("duration_ms", "INTEGER", null=True),
        CREATED,
    ],
    "rag_documents": [
        ID,
        C("document_id", "VARCHAR(100)"),
        C("source_path", "VARCHAR(500)", null=True),
        C("content", "TEXT"),
        C("content_hash", "CHAR(64)"),
        C("chunk_index", "INTEGER", null=True),
        C("total_chunks", "INTEGER", null=True),
        C("embedding_model", "VARCHAR(100)", null=True),
        METADATA,
        CREATED,
        UPDATED,
    ],
}
"""Every column that the source lists; our tables may have more."""

INDEXES: Final[dict[str, dict[str, str]]] = {
    "users": {"idx_users_email": "UNIQUE (email)", "idx_users_username": "UNIQUE (username)"},
    "products": {"idx_products_sku": "UNIQUE (sku)", "idx_products_status": "(status)"},
    "orders": {"idx_orders_user_id": "(user_id)", "idx_orders_status": "(status)"},
    "llm_round_table_results": {"idx_llm_results_category": "(task_category)"},
    "agent_executions": {
        "idx_agent_executions_agent": "(agent_name)",
        "idx_agent_executions_status": "(status)",
    },
    "tool_executions": {
        "idx_tool_executions_correlation": "(correlation_id)",
        "idx_tool_executions_tool": "(tool_name)",
        "idx_tool_executions_status": "(status)",
    },
    "rag_documents": {
        "idx_rag_documents_hash": "(content_hash)",
        "idx_rag_documents_source": "(source_path)",
    },
}
TRIGGERED: Final = {"users", "products", "orders", "rag_documents"}
UNIQUE: Final = {
    "products": ("sku", {"name": "n", "price": 1}, "DUPLICATE_SKU"),
    "orders": ("order_number", {"total_price": 1, "subtotal": 1}, "DUPLICATE_ORDER_NUMBER"),
    "llm_round_table_results": ("result_id", {"participants": []}, "DUPLICATE_RESULT"),
    "agent_executions": (
        "execution_id",
        {"agent_name": "a", "prompt": "p"},
        "DUPLICATE_AGENT_EXECUTION",
    ),
    "rag_documents": (
        "document_id",
        {"content": "c", "content_hash": "0" * 64},
        "DUPLICATE_CHUNK",
    ),
}
SEVEN: Final = [
    pytest.param("users", marks=pytest.mark.req("S4-02", "S4-03", "S4-29")),
    pytest.param("products", marks=pytest.mark.req("S4-04", "S4-05", "S4-30")),
    pytest.param("orders", marks=pytest.mark.req("S4-06", "S4-07", "S4-31")),
    pytest.param("llm_round_table_results", marks=pytest.mark.req("S4-08", "S4-32")),
    pytest.param("agent_executions", marks=pytest.mark.req("S4-09", "S4-33")),
    pytest.param("tool_executions", marks=pytest.mark.req("S4-10", "S4-34")),
    pytest.param("rag_documents", marks=pytest.mark.req("S4-11", "S4-35")),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.req("S4-22", "S4-36", "S4-55", "S4-59", "S4-60", "S4-68")
@pytest.mark.parametrize("table", SEVEN)
async def test_columns_are_as_the_source_lists_them_and_keep_to_it(
    filled: Filled, table: str
) -> None:
    await check_columns(filled, table, COLUMNS[table])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.req("S4-55", "S4-60")
@pytest.mark.parametrize("table", SEVEN)
async def test_indexes_and_triggers_are_as_the_source_counts_them(
    filled: Filled, table: str
) -> None:
    found = await indexes_of(filled.db, table)
    assert {name: found.get(name) for name in INDEXES[table]} == INDEXES[table]
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name"
        if filled.db.dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass)"
    )
    async with filled.db.read() as tx:
        triggers = set((await tx.session.scalars(text(query), {"name": table})).all())
    assert (f"update_{table}_updated_at" in triggers) == (table in TRIGGERED)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("products", marks=pytest.mark.req("S4-04")),
        pytest.param("orders", marks=pytest.mark.req("S4-06")),
        pytest.param("llm_round_table_results", marks=pytest.mark.req("S4-08")),
        pytest.param("agent_executions", marks=pytest.mark.req("S4-09")),
        pytest.param("rag_documents", marks=pytest.mark.req("S4-11")),
    ],
)
async def test_the_name_that_the_outside_knows_a_row_by_is_taken_once(
    db: Database, table: str
) -> None:
    column, others, reason = UNIQUE[table]
    async with db.write() as tx:
        row = (await add_one_of_each(tx))[table]
    values: dict[str, Any] = {**others, column: getattr(row, column)}
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add(tx, table, **values)
    assert caught.value.reason == reason


@pytest.mark.req("S4-20")
def test_the_seven_tables_have_their_models() -> None:
    assert set(COLUMNS) <= set(TABLES)
    assert {table: factories.model(table).__name__ for table in COLUMNS} == {
        "users": "User",
        "products": "Product",
        "orders": "Order",
        "llm_round_table_results": "RoundTableResult",
        "agent_executions": "AgentExecution",
        "tool_executions": "ToolExecution",
        "rag_documents": "RagDocument",
    }

"""What the fourth source does with its models: rows made, found, joined, rolled back, deleted."""

from __future__ import annotations

import ast
import hashlib
import re
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import configure_mappers, selectinload
from sqlalchemy.types import Uuid

from autovibe.db import Database
from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

TABLES: Final = load_models().tables
SEVEN: Final = (
    "users",
    "products",
    "orders",
    "llm_round_table_results",
    "agent_executions",
    "tool_executions",
    "rag_documents",
)
User: Final = factories.model("users")
Product: Final = factories.model("products")
Order: Final = factories.model("orders")
ToolExecution: Final = factories.model("tool_executions")
RagDocument: Final = factories.model("rag_documents")


@pytest.mark.req("S4-04", "S4-05")
async def test_products_are_made_listed_by_tag_and_changed_with_exact_prices(db: Database) -> None:
    async with db.write() as tx:
        for sku, price, tags in (("A", "0.10", ["light", "new"]), ("B", "0.20", None)):
            await factories.add(
                tx,
                "products",
                sku=sku,
                name=sku,
                price=Decimal(price),
                tags=tags,
                metadata={"variants": [{"size": "L"}], "specs": {"watt": 5}},
            )
    async with db.read() as tx:
        lit = select(Product).where(db.dialect.json_has(Product.tags, "light"))
        found = (await tx.session.scalars(lit)).one()
        assert (found.sku, found.price, found.status) == ("A", Decimal("0.10"), "draft")
        assert found.metadata_ == {"variants": [{"size": "L"}], "specs": {"watt": 5}}
        assert await tx.session.scalar(select(func.sum(Product.price))) == Decimal("0.30")
    async with db.write() as tx:
        found = await tx.session.get_one(Product, found.id)
        found.status, found.inventory_quantity = "published", 7
    async with db.read() as tx:
        query = select(Product.sku, Product.inventory_quantity).where(Product.status == "published")
        assert (await tx.session.execute(query)).all() == [("A", 7)]


@pytest.mark.req("S4-69")
async def test_a_deleted_product_is_gone(db: Database) -> None:
    async with db.write() as tx:
        product = await factories.add(tx, "products", sku="A", name="Lamp", price=Decimal(1))
    async with db.write() as tx:
        await tx.session.delete(await tx.session.get_one(Product, product.id))
    async with db.read() as tx:
        assert await tx.session.scalar(text("SELECT count(*) FROM products")) == 0


@pytest.mark.req("S4-06", "S4-07", "S4-49")
async def test_orders_of_guests_and_users_keep_their_items(db: Database) -> None:
    items = [{"sku": "A", "quantity": 2, "unit_price": "9.99"}]
    async with db.write() as tx:
        user = await factories.add_user(tx)
        for number, owner in (("1", user.id), ("2", None)):
            await factories.add(
                tx,
                "orders",
                order_number=number,
                user_id=owner,
                subtotal=Decimal("19.98"),
                total_price=Decimal("22.98"),
                metadata={"items": items},
            )
    async with db.read() as tx:
        query = select(Order).options(selectinload(Order.user)).order_by(Order.order_number)
        own, guest = (await tx.session.scalars(query)).all()
        assert (own.user.id, guest.user) == (user.id, None)
        assert own.metadata_ == {"items": items}
        query = select(User).options(selectinload(User.orders)).where(User.id == user.id)
        assert [order.id for order in (await tx.session.scalars(query)).one().orders] == [own.id]
        joined = select(User.username, Order.total_price).join(Order.user)
        assert (await tx.session.execute(joined)).all() == [(user.username, Decimal("22.98"))]


@pytest.mark.req("S4-49", "S4-51")
async def test_what_fails_in_the_middle_leaves_nothing(db: Database) -> None:
    with suppress(LookupError):
        async with db.write() as tx:
            await factories.add_user(tx)
            raise LookupError
    async with db.read() as tx:
        assert (await tx.session.scalars(select(User))).all() == []


@pytest.mark.req("S4-02", "S4-43")
async def test_a_user_is_found_by_email_or_not_at_all(db: Database) -> None:
    async with db.write() as tx:
        user = await factories.add_user(tx, email="ada@example.org")
    async with db.read() as tx:
        for email, expected in (("ada@example.org", user.id), ("eve@example.org", None)):
            query = select(User).where(User.email == email)
            found = (await tx.session.execute(query)).scalar_one_or_none()
            assert (found.id if found else None) == expected


@pytest.mark.req("S4-57")
async def test_sql_in_a_value_is_a_value(db: Database) -> None:
    evil = "x'; DROP TABLE orders; --"
    async with db.write() as tx:
        await factories.add_user(tx, full_name=evil)
    async with db.read() as tx:
        query = select(User.full_name).where(User.full_name == evil)
        assert (await tx.session.scalars(query)).all() == [evil]
        assert await tx.session.scalar(text("SELECT count(*) FROM orders")) == 0


@pytest.mark.req("S4-10")
async def test_calls_of_tools_are_traced_by_their_correlation(db: Database) -> None:
    async with db.write() as tx:
        user = await factories.add_user(tx)
        calls = (("a", "Bash", "success"), ("a", "Read", "failed"), ("b", "X", "timeout"))
        for trace, tool, status in calls:
            await factories.add(
                tx,
                "tool_executions",
                correlation_id=trace,
                tool_name=tool,
                status=status,
                user_id=user.id,
                inputs={"of": tool},
                error_message="no" if status == "failed" else None,
            )
    async with db.read() as tx:
        query = (
            select(ToolExecution)
            .where(ToolExecution.correlation_id == "a")
            .options(selectinload(ToolExecution.user))
            .order_by(ToolExecution.tool_name)
        )
        found = (await tx.session.scalars(query)).all()
        assert [(call.tool_name, call.status, call.error_message) for call in found] == [
            ("Bash", "success", None),
            ("Read", "failed", "no"),
        ]
        assert {call.user.id for call in found} == {user.id}


@pytest.mark.req("S4-11")
async def test_chunks_are_found_by_the_hash_of_their_content(db: Database) -> None:
    parts = ["first part", "second part"]
    async with db.write() as tx:
        for index, content in enumerate(parts):
            await factories.add(
                tx,
                "rag_documents",
                document_id=f"doc-{index}",
                parent_document_id="doc",
                source_path="docs/a.md",
                content=content,
                content_hash=hashlib.sha256(content.encode()).hexdigest(),
                chunk_index=index,
                total_chunks=2,
                embedding_model="model",
            )
    async with db.read() as tx:
        digest = hashlib.sha256(b"second part").hexdigest()
        query = select(RagDocument).where(RagDocument.content_hash == digest)
        found = (await tx.session.scalars(query)).one()
        assert (found.document_id, found.chunk_index, found.metadata_) == ("doc-1", 1, {})


@pytest.mark.req("S4-03", "S4-55")
async def test_a_statement_written_by_hand_moves_the_time_of_change_of_a_user(db: Database) -> None:
    long_ago = (await _now(db)).replace(year=2020)
    async with db.write() as tx:
        user = await factories.add_user(tx, created_at=long_ago, updated_at=long_ago)
    async with db.write() as tx:
        await tx.session.execute(text("UPDATE users SET full_name = 'Ada'"))
    async with db.read() as tx:
        found = await tx.session.get_one(User, user.id)
    assert found.created_at == long_ago
    assert found.updated_at > long_ago


async def _now(db: Database) -> Any:
    async with db.read() as tx:
        return await db.dialect.now(tx.session)


@pytest.mark.req("S4-12", "S4-68")
def test_keys_are_uuids_in_python_and_in_the_database() -> None:
    for name in SEVEN:
        column = TABLES[name].c.id
        assert isinstance(column.type, Uuid)
        assert column.type.as_uuid
        assert isinstance(factories.model(name)().id, uuid.UUID)


@pytest.mark.req("S4-17", "S4-56")
async def test_every_row_says_what_it_is_and_no_secret(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        rows["users"].hashed_password = "secret hash"
        rows["api_tokens"].token_hash = "f" * 64
    for name, row in rows.items():
        shown = repr(row)
        key = next(iter(type(row).__table__.primary_key)).name
        assert shown.startswith(f"{type(row).__name__}({key}={getattr(row, key)}"), name
        assert "secret hash" not in shown
        assert "f" * 64 not in shown
    user = rows["users"]
    assert repr(user) == f"User(id={user.id}, username={user.username})"
    assert repr(rows["tasks"]).endswith("status=pending)")
    async with db.read() as tx:
        found = await tx.session.get_one(User, user.id)
        tx.session.expire(found)
        assert repr(found) == "User()"  # and the database was not asked


@pytest.mark.req("S4-14", "S4-15", "S4-16", "S4-23")
def test_every_model_is_described_and_every_attribute_has_its_type() -> None:
    configure_mappers()
    for mapper in Base.registry.mappers:
        known = mapper.class_
        assert (known.__doc__ or "").strip().endswith("."), known
        annotated = {
            name for base in known.__mro__ for name in getattr(base, "__annotations__", {})
        }
        assert {item.key for item in mapper.attrs} <= annotated, known


class UserView(BaseModel):
    """What Pydantic makes of a user."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    username: str
    role: str
    settings: dict[str, Any]


@pytest.mark.req("S4-48")
async def test_pydantic_reads_a_model_by_its_attributes(db: Database) -> None:
    async with db.write() as tx:
        user = await factories.add_user(tx, settings={"theme": "dark"})
    view = UserView.model_validate(user)
    assert (view.id, view.role, view.settings) == (user.id, "developer", {"theme": "dark"})


@pytest.mark.req("S4-52")
async def test_every_table_can_be_made_in_memory() -> None:
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        for name in TABLES:
            assert await connection.scalar(text(f"SELECT count(*) FROM {name}")) == 0
    await engine.dispose()


@pytest.mark.req("S4-53")
@pytest.mark.parametrize("turn", [1, 2])
async def test_a_test_sees_nothing_of_the_one_before(db: Database, turn: int) -> None:
    async with db.write() as tx:
        assert await tx.session.scalar(text("SELECT count(*) FROM users")) == 0
        await factories.add_user(tx, username=f"user of turn {turn}")


SQL: Final = re.compile(
    r"\s*(SELECT \S|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|WITH \w+ AS)"
)
OF_POSTGRESQL: Final = re.compile(
    r"\bpg_\w+|\bcron\.|to_regclass|current_setting|create_monthly_partition"
    r"|cleanup_old_resource_usage|\balembic_version\b"
)
"""What no model can say: locks, the catalogue, pg_cron, functions of ours, Alembic's own table."""
OF_THE_QUEUE: Final = {
    f"domains/work/repository/{name}.py" for name in ("claiming", "completing", "starting")
}
"""Its hot statements: one text for both databases, never rendered anew, so that plans are kept."""


@pytest.mark.req("S4-45", "S4-46")
def test_sql_is_written_by_hand_only_where_no_model_can_say_it() -> None:
    root = Path(__file__).parents[2] / "src" / "autovibe"
    found = [
        f"{path.relative_to(root)}:{node.lineno}: {node.value}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in {"db", "v1", "testing"}
        and path.relative_to(root).as_posix() not in OF_THE_QUEUE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SQL.match(node.value)
        and not OF_POSTGRESQL.search(node.value)
    ]
    assert found == []

"""Rows of every table, with every key set, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from autovibe.db import Database
from autovibe.db.discovery import load_models
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

DERIVED = {"resource_usage_daily"}
"""Tables whose rows come of rows of others."""


@pytest.mark.req("S0-12", "S0-13", "S0-14", "S0-15", "S0-16", "S0-18", "S2-02", "S3-01")
async def test_every_table_takes_a_row_and_gives_it_back(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    tables = load_models().tables
    assert set(rows) | DERIVED >= set(tables)
    async with db.read() as tx:
        for name, row in rows.items():
            table = tables[name]
            key = (column == getattr(row, column.name) for column in table.primary_key)
            found = (await tx.session.execute(select(table).where(*key))).one()._mapping
            for column in table.columns:
                attribute = "metadata_" if column.name == "metadata" else column.name
                kept = row.__dict__.get(attribute)
                assert found[column.name] == kept or kept is None, f"{name}.{column.name}"


async def test_every_foreign_key_is_set_in_some_row(db: Database) -> None:
    async with db.write() as tx:
        await add_one_of_each(tx)
    async with db.read() as tx:
        for table in load_models().tables.values():
            for key in table.foreign_keys:
                count = select(func.count()).select_from(table).where(key.parent.is_not(None))
                may_be_empty = table.name in DERIVED | {"api_tokens"}
                assert await tx.session.scalar(count) or may_be_empty, key.parent


@pytest.mark.req("S0-87")
async def test_write_only_collections_are_added_to_and_paged(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        project = rows["projects"]
        project.tasks.add(
            factories.model("tasks")(title="t", task_type="docs", permission_level="autonomous")
        )
        await tx.session.flush()  # the query below must see it
        titles = (
            await tx.session.scalars(project.tasks.select().order_by("created_at").limit(2))
        ).all()
        assert len(titles) == 2
        user_words = (await tx.session.scalars(rows["users"].chat_messages.select())).all()
        assert [message.message for message in user_words] == ["The usual one."]
        assert not list(await tx.session.scalars(rows["intelligent_machines"].inbox.select()))[1:]

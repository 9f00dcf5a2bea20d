"""What no column takes, the same on both databases, with the column in the error."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from autovibe.db import Database
from autovibe.db.checks import JSON_DEPTH, JSON_SIZE
from autovibe.db.discovery import load_models
from autovibe.db.errors import InvalidValueError
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each
from autovibe.v1 import agents_pb2

TABLES = load_models().tables


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


REFUSED = [
    ("projects.name", "a\x00b", "NUL"),
    ("projects.name", "a\ud800b", "UTF-8"),
    ("projects.name", "x" * 256, "256 characters are too many; 255 fit"),
    ("projects.name", 7, "no text"),
    ("projects.description", "\x00", "NUL"),
    ("projects.status", "gone", "active, inactive, archived"),
    ("projects.greediness", 0.5, "exact number"),
    ("projects.greediness", Decimal("NaN"), "not finite"),
    ("projects.greediness", Decimal("0.123"), "more than 2 decimals"),
    ("projects.updated_at", datetime(2026, 11, 25), "no time zone"),  # noqa: DTZ001 - the naive time is the point
    ("projects.metadata", {"n": float("inf")}, "JSON has no number inf"),
    ("projects.metadata", {"n": "a\x00"}, "NUL"),
    ("projects.metadata", {"a\x00": 1}, "NUL"),
    ("projects.metadata", {"n": "\udfff"}, "UTF-8"),
    ("projects.metadata", {1: 2}, "texts as names"),
    ("projects.metadata", {"n": object()}, "object cannot be stored as JSON"),
    ("projects.metadata", nested(10_000), f"{JSON_DEPTH} levels"),
    ("projects.metadata", {"n": "x" * JSON_SIZE}, "too large"),
    ("projects.metadata", [], "no object"),
    ("workers.capabilities", ["a", 1], "no text"),
    ("workers.capabilities", {"a": 1}, "no list"),
    ("tasks.context", {"nonsense": 1}, "no autovibe.v1.TaskContext"),
    ("checkpoints.file_manifest", {"files": {"a": 1}}, "no autovibe.v1.FileManifest"),
    ("checkpoints.file_manifest", {"files": [{"name": "a"}] * 101}, "no autovibe.v1.ManifestFile"),
    ("checkpoints.file_manifest", {"deleted": [1] * 101}, "no text"),
    ("checkpoints.file_manifest", {"gone": ["a"] * 101}, "no list 'gone'"),
    ("orders.metadata", {"items": [{"price": 1}]}, "no autovibe.v1.OrderDetails"),
    ("orders.total_price", 1.5, "exact number"),
    ("approval_requests.answer", {"choice": 1}, "no autovibe.v1.ApprovalAnswer"),
    ("llm_round_table_results.participants", {"provider": "one"}, "no list"),
    ("llm_round_table_results.participants", ["one"], "no object"),
    ("context_documents.tags", ["x" * 51], "51 characters are too many; 50 fit"),
    ("context_documents.tags", "tag", "no list"),
    ("products.tags", ["a\x00"], "NUL"),
    ("rag_documents.embedding", [float("nan")], "not finite"),
    ("rag_documents.embedding", ["0.5"], "no number"),
]


@pytest.mark.req("S0-64")
async def test_values_that_do_not_belong_are_refused_with_their_column(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    for field, value, sentence in REFUSED:
        table, column = field.split(".")
        change = TABLES[table].update().where(TABLES[table].c.id == rows[table].id)
        with pytest.raises(InvalidValueError) as caught:
            async with db.write() as tx:
                await tx.session.execute(change.values({column: value}))
        assert caught.value.message.startswith(f"{field}: "), field
        assert sentence in caught.value.message, field
        assert caught.value.params["field"] == field


async def test_the_orm_refuses_what_sql_refuses(db: Database) -> None:
    with pytest.raises(InvalidValueError, match=r"projects\.name: .*NUL"):
        async with db.write() as tx:
            await factories.add_project(tx, name="a\x00")


async def test_a_text_that_is_only_looked_for_may_be_long_but_not_broken(db: Database) -> None:
    names = TABLES["projects"].c.name
    async with db.read() as tx:
        assert (await tx.session.execute(select(names).where(names == "x" * 300))).all() == []
        with pytest.raises(InvalidValueError, match=r"projects\.name"):
            await tx.session.execute(select(names).where(names == "\x00"))


async def test_a_message_is_stored_as_its_json(db: Database) -> None:
    details = agents_pb2.ApprovalDetails(tool="Bash", cwd="/workspace")
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        table = TABLES["approval_requests"]
        await tx.session.execute(table.update().values(details=details))
    async with db.read() as tx:
        found = await tx.session.scalar(
            select(table.c.details).where(table.c.id == rows["approval_requests"].id)
        )
    assert found == {"tool": "Bash", "cwd": "/workspace"}


async def test_json_at_the_limit_of_depth_and_texts_of_all_planes_come_back(db: Database) -> None:
    value = {"deep": nested(JSON_DEPTH - 2), "text": "é\u2028\U0001f41f\x01"}
    async with db.write() as tx:
        project = await factories.add_project(tx, metadata=value, name="é\U0001f41f")
    async with db.read() as tx:
        found = await tx.session.get_one(factories.model("projects"), project.id)
    assert (found.metadata_, found.name) == (value, "é\U0001f41f")

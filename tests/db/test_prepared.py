"""Prepared statements mean the same in hot work and outside of it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Uuid, bindparam, insert, select, update

from autovibe.db import Database, WriteTx
from autovibe.db.errors import ForeignKeyViolationError, InvalidValueError
from autovibe.db.prepared import Prepared
from autovibe.domains.metering.models import ResourceUsage
from autovibe.domains.projects.models import Project

NOW = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
PROJECTS = Project.__table__
USAGE = ResourceUsage.__table__

ADD_PROJECT = Prepared(insert(PROJECTS))
RENAME = Prepared(
    update(PROJECTS).where(PROJECTS.c.id == bindparam("key")).values(name=bindparam("new_name"))
)
NAMED = Prepared(
    select(PROJECTS.c.id, PROJECTS.c.name, PROJECTS.c.greediness, PROJECTS.c.metadata)
    .where(PROJECTS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .order_by(PROJECTS.c.name),
    locks=Project,
)
ADD_USAGE = Prepared(insert(USAGE))
USAGE_OF = Prepared(
    select(USAGE.c.recorded_at, USAGE.c.amount, USAGE.c.machine_id, USAGE.c.resource_type).where(
        USAGE.c.project_id.in_(bindparam("ids", type_=Uuid(), expanding=True))
    )
)


def project(name: str) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "name": name,
        "greediness": Decimal("0.25"),
        "status": "active",
        "metadata": {"n": [1, "é"]},
        "created_at": NOW,
        "updated_at": NOW,
    }


def usage(project_id: uuid.UUID, amount: str) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "recorded_at": NOW,
        "project_id": project_id,
        "machine_id": None,
        "resource_type": "money",
        "amount": Decimal(amount),
        "unit": "CAD",
        "enforcement": "record",
        "metadata": {},
    }


async def test_values_come_back_as_they_went_in(db: Database) -> None:
    rows = [project("b"), project("a")]
    ids = [row["id"] for row in rows]

    async def write(tx: WriteTx) -> None:
        await ADD_PROJECT.many(tx, rows)
        await RENAME.many(tx, [{"key": ids[0], "new_name": "c"}])
        await ADD_USAGE.many(tx, [usage(ids[0], "0.000001")])
        await ADD_USAGE.many(tx, [])

    async def read(tx: WriteTx) -> list[list[dict[str, Any]]]:
        found = [await NAMED.rows(tx, {"ids": some}) for some in (ids, ids[:1], [], ids)]
        found.append(await USAGE_OF.rows(tx, {"ids": ids}))
        return [[dict(row) for row in answer] for answer in found]

    await db.write_in_place(write)
    hot = await db.write_in_place(read)
    async with db.write() as tx:
        plain = await read(tx)

    assert hot == plain
    assert [[row["name"] for row in answer] for answer in hot[:4]] == [
        ["a", "c"],
        ["c"],
        [],
        ["a", "c"],
    ]
    assert hot[0][0] == {
        "id": ids[1],
        "name": "a",
        "greediness": Decimal("0.25"),
        "metadata": {"n": [1, "é"]},
    }
    assert hot[4] == [
        {
            "recorded_at": NOW,
            "amount": Decimal("0.000001"),
            "machine_id": None,
            "resource_type": "money",
        }
    ]


async def test_errors_are_the_same_as_of_other_statements(db: Database) -> None:
    async def unknown_project(tx: WriteTx) -> None:
        await ADD_USAGE.many(tx, [usage(uuid.uuid4(), "1")])

    async def too_exact(tx: WriteTx) -> None:
        await ADD_USAGE.many(tx, [usage(uuid.uuid4(), "0.0000001")])

    async def plain(work: Any) -> None:
        async with db.write() as tx:
            await work(tx)

    for run in (db.write_in_place, plain):
        with pytest.raises(ForeignKeyViolationError):
            await run(unknown_project)
        with pytest.raises(InvalidValueError):
            await run(too_exact)


async def test_a_statement_that_needs_defaults_from_python_is_a_mistake(db: Database) -> None:
    async def without_status(tx: WriteTx) -> None:
        row = project("a")
        del row["status"]
        await ADD_PROJECT.many(tx, [row])

    if db.dialect.name == "sqlite":
        with pytest.raises(AssertionError, match="no defaults"):
            await db.write_in_place(without_status)

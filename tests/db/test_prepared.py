"""Prepared queries and row writes mean the same in hot work and outside of it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Text, Uuid, bindparam, cast, select

from autovibe.db import Database, WriteTx
from autovibe.db.errors import ForeignKeyViolationError, InvalidValueError
from autovibe.db.prepared import Prepared
from autovibe.db.row_writes import InsertRows, Rows, UpdateRows, write_rows
from autovibe.db.types import JsonText
from autovibe.domains.metering.models import ResourceUsage
from autovibe.domains.projects.models import Project

NOW = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
PROJECTS = Project.__table__
USAGE = ResourceUsage.__table__

ADD_PROJECTS = InsertRows(PROJECTS)
RENAME = UpdateRows(PROJECTS)
GROW = UpdateRows(PROJECTS, added=("greediness",))
NAMED = Prepared(
    select(
        PROJECTS.c.id,
        PROJECTS.c.name,
        PROJECTS.c.greediness,
        cast(PROJECTS.c.metadata, Text),
        PROJECTS.c.created_at,
    )
    .where(PROJECTS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .order_by(PROJECTS.c.name),
    locks=Project,
)
ADD_USAGE = InsertRows(USAGE)
USAGE_OF = Prepared(
    select(USAGE.c.recorded_at, USAGE.c.amount, USAGE.c.machine_id, USAGE.c.resource_type).where(
        USAGE.c.project_id.in_(bindparam("ids", type_=Uuid(), expanding=True)),
        USAGE.c.recorded_at <= bindparam("until"),
    )
)


def projects(*names: str) -> Rows:
    same = {
        "greediness": Decimal("0.25"),
        "metadata": {"n": [1, 'é \\ " , {} NULL']},
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Rows({"id": [uuid.uuid4() for _ in names], "name": names}, same)


def usage(project_ids: list[uuid.UUID], *amounts: str) -> Rows:
    each = {
        "project_id": project_ids,
        "amount": [Decimal(amount) for amount in amounts],
        "machine_id": [None for _ in amounts],
        "metadata": [JsonText('{"estimated": true}') for _ in amounts],
    }
    same = {"recorded_at": NOW, "resource_type": "money", "unit": "CAD", "enforcement": "record"}
    return Rows(each, same)


@pytest.mark.parametrize("way", ["hot", "plain"])
async def test_values_come_back_as_they_went_in(db: Database, way: str) -> None:
    rows = projects("b", "a")
    ids = list(rows.each["id"])

    async def write(tx: WriteTx) -> None:
        await write_rows(
            tx,
            (ADD_PROJECTS, rows),
            (ADD_USAGE, usage([ids[0], ids[0], ids[1]], "0.000001", "2", "123456789.5")),
        )
        await write_rows(tx, (ADD_USAGE, usage([])))
        await write_rows(tx, (RENAME, Rows({"id": [ids[0]], "name": ["c"]}, {"updated_at": NOW})))
        for step in ("0.5", "-0.25"):
            await write_rows(
                tx, (GROW, Rows({"id": ids, "greediness": [Decimal(step), Decimal(0)]}))
            )

    async def read(tx: WriteTx) -> list[list[tuple[Any, ...]]]:
        found = [await NAMED.rows(tx, {"ids": some}) for some in (ids, ids[:1], [], ids)]
        found.append(await USAGE_OF.rows(tx, {"ids": ids, "until": NOW}))
        return [sorted(tuple(row) for row in answer) for answer in found]

    if way == "hot":
        await db.write_in_place(write)
        answers = await db.write_in_place(read)
    else:
        async with db.write() as tx:
            await write(tx)
            answers = await read(tx)

    first = (ids[0], "c", Decimal("0.5"), answers[1][0][3], NOW)
    second = (ids[1], "a", Decimal("0.25"), answers[1][0][3], NOW)
    assert answers[:4] == [sorted([first, second]), [first], [], sorted([first, second])]
    assert json.loads(answers[1][0][3]) == {"n": [1, 'é \\ " , {} NULL']}
    assert answers[4] == [
        (NOW, Decimal(amount), None, "money") for amount in ("0.000001", "2", "123456789.5")
    ]


async def test_errors_are_the_same_as_of_other_statements(db: Database) -> None:
    async def unknown_project(tx: WriteTx) -> None:
        await write_rows(tx, (ADD_USAGE, usage([uuid.uuid4()], "1")))

    async def amount(text: str) -> Any:
        async def work(tx: WriteTx) -> None:
            await write_rows(tx, (ADD_USAGE, usage([uuid.uuid4()], text)))

        return work

    async def plain(work: Any) -> None:
        async with db.write() as tx:
            await work(tx)

    for run in (db.write_in_place, plain):
        with pytest.raises(ForeignKeyViolationError):
            await run(unknown_project)
        for wrong in ("0.0000001", "1234567890", "NaN"):
            with pytest.raises(InvalidValueError):
                await run(await amount(wrong))

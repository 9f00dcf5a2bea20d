"""Rules that the database keeps itself, whoever writes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, text, update

from autovibe.db import Database
from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.db.errors import CheckViolationError, RuleViolationError
from autovibe.db.upgrade import snapshot
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

Checkpoint = factories.model("checkpoints")
MUTABLE = sorted(table.name for table in load_models().tables.values() if "updated_at" in table.c)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.req("S0-08", "S0-44", "S1-05")
async def test_sql_written_by_hand_moves_updated_at(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx, created_at=LONG_AGO, updated_at=LONG_AGO)
    async with db.write() as tx:
        await tx.session.execute(text("UPDATE projects SET description = 'changed'"))
    async with db.read() as tx:
        found = await tx.session.get_one(type(project), project.id)
        now = await db.dialect.now(tx.session)
    assert timedelta(0) <= now - found.updated_at < timedelta(minutes=1)
    assert found.created_at == LONG_AGO


async def test_a_time_that_is_given_is_kept(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx, updated_at=LONG_AGO)
        table = type(project).__table__
        later = LONG_AGO + timedelta(days=1)
        await tx.session.execute(update(table).values(description="x", updated_at=later))
    async with db.read() as tx:
        assert (await tx.session.get_one(type(project), project.id)).updated_at == later


@pytest.mark.req("S0-08", "S1-44", "S2-11")
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_every_mutable_table_has_its_trigger(backend: str) -> None:
    found = re.findall(r"CREATE TRIGGER update_(\w+)_updated_at", snapshot(backend))
    assert sorted(found) == MUTABLE


async def verified(db: Database, **values: object) -> object:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        made = await factories.add_checkpoint(
            tx, project.id, creating_machine_id=machine.id, **values
        )
        made.verification_status = "verified"
        made.verified_at = made.created_at
    return made


@pytest.mark.req("S0-69")
@pytest.mark.parametrize(
    "change",
    [
        {"description": "other"},
        {"file_manifest": {"files": []}},
        {"verification_status": "failed"},
        {"verified_at": None},
        {"size_bytes": 1},
        {"metadata": {"x": 1}},
        {"created_at": LONG_AGO},
        {"manifest_root": "1" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_verified_checkpoint_cannot_change(db: Database, change: dict[str, object]) -> None:
    made = await verified(db)
    with pytest.raises(RuleViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(update(Checkpoint.__table__).values(**change))
    assert caught.value.reason == "CHECKPOINT_IMMUTABLE"
    assert "make a new one" in caught.value.message
    async with db.read() as tx:
        found = await tx.session.get_one(Checkpoint, made.id)
        assert found.verification_status == "verified"


@pytest.mark.req("S0-69")
async def test_the_orm_meets_the_same_rule(db: Database) -> None:
    made = await verified(db)
    with pytest.raises(RuleViolationError):  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            found = await tx.session.get_one(Checkpoint, made.id)
            found.description = "other"


async def test_a_machine_may_go_and_its_verified_checkpoint_stays(db: Database) -> None:
    made = await verified(db)
    async with db.write() as tx:
        await tx.session.execute(text("DELETE FROM intelligent_machines"))
    async with db.read() as tx:
        assert (await tx.session.get_one(Checkpoint, made.id)).creating_machine_id is None
    with pytest.raises(RuleViolationError):  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            machine = await factories.add_machine(tx, made.project_id)
            await tx.session.execute(
                update(Checkpoint.__table__).values(creating_machine_id=machine.id)
            )


async def test_a_verified_checkpoint_may_be_pruned_once(db: Database) -> None:
    made = await verified(db)
    for moment, allowed in ((LONG_AGO, True), (LONG_AGO + timedelta(days=1), False), (None, False)):
        statement = update(Checkpoint.__table__).values(pruned_at=moment)
        if allowed:
            async with db.write() as tx:
                await tx.session.execute(statement)
        else:
            with pytest.raises(RuleViolationError):
                async with db.write() as tx:
                    await tx.session.execute(statement)
    async with db.read() as tx:
        assert (await tx.session.get_one(Checkpoint, made.id)).pruned_at == LONG_AGO


def test_the_sqlite_rule_looks_at_every_column() -> None:
    trigger = re.search(
        r"CREATE TRIGGER checkpoints_immutable.*?END\n", snapshot("sqlite"), re.DOTALL
    )
    assert trigger is not None
    compared = set(re.findall(r"NEW\.(\w+) IS NOT OLD\.", trigger[0]))
    assert compared == {column.name for column in Base.metadata.tables["checkpoints"].columns}


@pytest.mark.req("S0-73")
async def test_verification_cannot_be_before_creation(db: Database) -> None:
    with pytest.raises(CheckViolationError) as caught:  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            project = await factories.add_project(tx)
            await factories.add_checkpoint(tx, project.id, verified_at=LONG_AGO)
    assert caught.value.constraint == "valid_verification_time"


@pytest.mark.req("S0-57")
async def test_a_machine_cannot_end_before_it_began(db: Database) -> None:
    with pytest.raises(CheckViolationError) as caught:  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            project = await factories.add_project(tx)
            await factories.add_machine(
                tx,
                project.id,
                spawned_at=LONG_AGO,
                terminated_at=LONG_AGO - timedelta(seconds=1),
            )
    assert caught.value.constraint == "ck_machines_terminated_after_spawned"


@pytest.mark.req("S0-80")
@pytest.mark.parametrize("amount", ["0", "-1"])
async def test_usage_must_be_positive(db: Database, amount: str) -> None:
    scaled = int(amount) * (1_000_000 if db.dialect.name == "sqlite" else 1)
    async with db.write() as tx:
        project = await factories.add_project(tx)
    key = project.id.hex if db.dialect.name == "sqlite" else project.id
    statement = text(
        "INSERT INTO resource_usage (project_id, resource_type, amount, unit)"
        f" VALUES (:project, 'money', {scaled}, 'CAD')"
    )
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(statement, {"project": key})
    assert caught.value.constraint == "positive_resource_amount"


async def test_usage_lands_in_the_default_partition(db: Database) -> None:
    if db.dialect.name == "sqlite":
        return  # one table
    async with db.write() as tx:
        project = await factories.add_project(tx)
        await factories.add(
            tx,
            "resource_usage",
            project_id=project.id,
            resource_type="api_calls",
            amount=1,
            unit="calls",
        )
    async with db.read() as tx:
        assert await tx.session.scalar(text("SELECT count(*) FROM resource_usage_default")) == 1
        usage = (await tx.session.scalars(select(factories.model("resource_usage")))).one()
        assert usage.recorded_at.tzinfo is UTC


async def test_the_holds_of_a_call_go_with_it_and_outlive_its_budget(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        hold, budget = rows["budget_holds"], rows["resource_budgets"]
        await tx.session.execute(delete(type(budget)))
    async with db.read() as tx:
        assert len((await tx.session.scalars(select(type(hold)))).all()) == 1
    async with db.write() as tx:
        await tx.session.execute(delete(type(rows["budget_reservations"])))
    async with db.read() as tx:
        assert (await tx.session.scalars(select(type(hold)))).all() == []

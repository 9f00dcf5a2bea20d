"""Column types: the same values in and out of both databases, and the same refusals."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from autovibe.db import Database
from autovibe.db.errors import InvalidValueError
from autovibe.testing import factories

Budget = factories.model("resource_budgets")
Project = factories.model("projects")
MOMENT = datetime(2026, 11, 22, 10, 11, 12, 131415, tzinfo=UTC)
MONEY = st.decimals(min_value=0, max_value=Decimal("999999999.999999"), places=6)


@pytest.mark.req("S0-83")
async def test_times_come_back_aware_in_utc_and_compare_in_sql(db: Database) -> None:
    halifax = timezone(timedelta(hours=-4))
    async with db.write() as tx:
        early = await factories.add_project(tx, created_at=MOMENT.astimezone(halifax))
        await factories.add_project(tx, created_at=MOMENT + timedelta(microseconds=1))
    async with db.read() as tx:
        found = (
            await tx.session.scalars(select(Project).where(Project.created_at <= MOMENT))
        ).all()
    assert [project.id for project in found] == [early.id]
    assert found[0].created_at == MOMENT
    assert found[0].created_at.tzinfo is UTC


@pytest.mark.req("S0-83")
async def test_a_naive_time_is_refused(db: Database) -> None:
    with pytest.raises(InvalidValueError, match="has no time zone"):
        async with db.write() as tx:
            await factories.add_project(tx, created_at=MOMENT.replace(tzinfo=None))


@pytest.mark.parametrize(
    "value", [0.5, Decimal("NaN"), Decimal("Infinity"), Decimal("0.0000001"), Decimal(10) ** 9]
)
async def test_an_amount_that_is_not_exact_or_does_not_fit_is_refused(
    db: Database, value: object
) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
    with pytest.raises(InvalidValueError):
        async with db.write() as tx:
            await factories.add_budget(tx, project.id, allocated_amount=value)


async def test_ten_dimes_are_exactly_one(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        budget = await factories.add_budget(tx, project.id, allocated_amount=Decimal(1))
        for _ in range(10):
            await tx.session.execute(
                Budget.__table__.update().values(
                    used_amount=Budget.__table__.c.used_amount + Decimal("0.1")
                )
            )
        left = Budget.allocated_amount - Budget.used_amount - Budget.reserved_amount
        row = (
            await tx.session.execute(
                select(
                    left.label("remaining"),
                    func.sum(Budget.used_amount),
                    func.coalesce(func.sum(Budget.reserved_amount), Decimal(0)),
                    func.max(Budget.used_amount),
                )
                .where(Budget.used_amount + Decimal("0.5") > Budget.allocated_amount)
                .group_by(Budget.id, left)
            )
        ).one()
        await tx.session.refresh(budget)
    assert tuple(row) == (Decimal(0), Decimal(1), Decimal(0), Decimal(1))
    assert str(budget.used_amount) == "1.000000"


@given(first=MONEY, second=MONEY)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_the_database_adds_and_compares_as_python_does(
    db: Database, first: Decimal, second: Decimal
) -> None:
    low, high = sorted((first, second))
    async with db.write() as tx:
        project = await factories.add_project(tx)
        budget = await factories.add_budget(tx, project.id, allocated_amount=high, used_amount=low)
        table = Budget.__table__
        difference, is_less, is_equal = (
            await tx.session.execute(
                select(
                    table.c.allocated_amount - table.c.used_amount,
                    table.c.used_amount < table.c.allocated_amount,
                    table.c.used_amount == table.c.allocated_amount,
                ).where(table.c.id == budget.id)
            )
        ).one()
    assert (difference, bool(is_less), bool(is_equal)) == (high - low, low < high, low == high)


def test_products_in_sql_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="in Python"):
        _ = Budget.used_amount * 2
    with pytest.raises(InvalidValueError, match="in Python"):
        _ = 2 / Budget.__table__.c.used_amount


async def test_enum_columns_give_members_and_refuse_strangers(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx, status="archived")
    async with db.read() as tx:
        found = await tx.session.get_one(Project, project.id)
        assert found.status.name == "ARCHIVED"
    with pytest.raises(InvalidValueError, match="give one of active, inactive, archived"):
        async with db.write() as tx:
            await factories.add_project(tx, status="gone")


@pytest.mark.req("S0-09", "S0-39")
async def test_metadata_reaches_its_column_from_constructor_and_sql(db: Database) -> None:
    async with db.write() as tx:
        given = await factories.add_project(tx, metadata={"repo_path": "é/x", "n": [1, None]})
        empty = await factories.add_project(tx)
    async with db.read() as tx:
        found = await tx.session.get_one(Project, given.id)
        assert found.metadata_ == {"repo_path": "é/x", "n": [1, None]}
        assert (await tx.session.get_one(Project, empty.id)).metadata_ == {}
    with pytest.raises(TypeError, match="no column 'nonsense'"):
        Project(nonsense=1)


async def test_json_that_has_no_number_is_refused(db: Database) -> None:
    with pytest.raises(InvalidValueError, match="JSON"):
        async with db.write() as tx:
            await factories.add_project(tx, metadata={"n": float("nan")})


@pytest.mark.req("S0-07", "S0-34", "S0-40")
async def test_raw_sql_gets_the_defaults_of_the_database(db: Database) -> None:
    greediness = "50" if db.dialect.name == "sqlite" else "0.5"
    async with db.write() as tx:
        for name in ("a", "b", "c"):
            await tx.session.execute(
                text(f"INSERT INTO projects (name, greediness) VALUES ('{name}', {greediness})")
            )
        now = await db.dialect.now(tx.session)
    async with db.read() as tx:
        projects = (await tx.session.scalars(select(Project))).all()
    assert len({project.id for project in projects}) == 3
    for project in projects:
        assert isinstance(project.id, uuid.UUID)
        assert (project.id.version, project.id.variant) == (4, uuid.RFC_4122)
        assert (project.status, project.metadata_) == ("active", {})
        assert project.greediness == Decimal("0.5")
        assert timedelta(0) <= now - project.created_at < timedelta(minutes=1)
        assert project.updated_at == project.created_at


@pytest.mark.req("S0-66")
async def test_sizes_beyond_32_bits_and_ratios_are_kept(db: Database) -> None:
    Checkpoint = factories.model("checkpoints")  # noqa: N806 - a class
    async with db.write() as tx:
        project = await factories.add_project(tx)
        made = await factories.add_checkpoint(
            tx, project.id, size_bytes=2**40, compression_ratio=Decimal("0.1234")
        )
    async with db.read() as tx:
        found = await tx.session.get_one(Checkpoint, made.id)
    assert (found.size_bytes, found.compression_ratio) == (2**40, Decimal("0.1234"))

"""Both backends through one Protocol: the same behaviour, the same errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, text

from autovibe.db import Database, open_database
from autovibe.db.dialects import dialect_for
from autovibe.db.errors import (
    CheckViolationError,
    DatabaseBusyError,
    DatabaseFullError,
    ForeignKeyViolationError,
    InvalidValueError,
    NotNullViolationError,
    SerializationError,
    UniqueViolationError,
)
from autovibe.db.upgrade import ensure_schema
from autovibe.testing import factories

Project = factories.model("projects")
Order = factories.model("work_orders")
Worker = factories.model("workers")


@pytest.mark.req("S0-35")
async def test_a_unique_violation_names_its_rule(db: Database) -> None:
    async with db.write() as tx:
        await factories.add_project(tx, name="one")
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add_project(tx, name="one")
    assert (caught.value.constraint, caught.value.table) == ("idx_projects_name", "projects")
    assert db.dialect.is_retryable(caught.value)


async def test_a_primary_key_violation_names_its_rule(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add_project(tx, id=project.id)
    assert caught.value.constraint == "pk_projects"


async def test_budgets_of_a_project_are_unique_although_their_task_is_null(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        task = await factories.add_task(tx, project.id)
        await factories.add_budget(tx, project.id)
        await factories.add_budget(tx, project.id, task_id=task.id)
    for task_id in (None, task.id):
        with pytest.raises(UniqueViolationError) as caught:
            async with db.write() as tx:
                await factories.add_budget(tx, project.id, task_id=task_id)
        assert caught.value.constraint == "uq_budgets_project_type_period_start"


@pytest.mark.req("S0-36")
@pytest.mark.parametrize("greediness", ["1.01", "-0.01"])
async def test_a_check_violation_names_its_rule(db: Database, greediness: str) -> None:
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await factories.add_project(tx, greediness=Decimal(greediness))
    assert caught.value.constraint == "valid_greediness_range"
    assert not db.dialect.is_retryable(caught.value)


@pytest.mark.req("S0-37")
async def test_raw_sql_meets_the_same_rules(db: Database) -> None:
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(
                text("INSERT INTO projects (name, greediness, status) VALUES ('x', 0, 'x')")
            )
    assert caught.value.constraint == "ck_projects_status"
    with pytest.raises(NotNullViolationError) as missing:
        async with db.write() as tx:
            await tx.session.execute(text("INSERT INTO projects (greediness) VALUES (0)"))
    assert (missing.value.table, missing.value.constraint) == ("projects", "name")


@pytest.mark.req("S0-22", "S0-27")
async def test_foreign_keys_hold_in_both_directions(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        await factories.add_machine(tx, project.id)
        root = await factories.add_checkpoint(tx, project.id)
        await factories.add_checkpoint(tx, project.id, root)
    for statement, key in (
        ("DELETE FROM projects WHERE id = :id", project.id),
        ("DELETE FROM checkpoints WHERE id = :id", root.id),
        ("UPDATE checkpoints SET parent_checkpoint_id = :other WHERE id = :id", root.id),
    ):
        values = {"id": key, "other": project.id} if ":other" in statement else {"id": key}
        with pytest.raises(ForeignKeyViolationError):  # noqa: PT012 - a transaction fails as a whole
            async with db.write() as tx:
                query = text(statement).bindparams(
                    **{
                        name: value.hex if db.dialect.name == "sqlite" else value
                        for name, value in values.items()
                    }
                )
                await tx.session.execute(query)


@pytest.mark.req("S0-60")
async def test_a_project_without_machines_takes_its_checkpoints_along(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        root = await factories.add_checkpoint(tx, project.id)
        await factories.add_checkpoint(tx, project.id, root)
        task = await factories.add_task(tx, project.id)
    async with db.write() as tx:
        await tx.session.execute(Project.__table__.delete())
    async with db.read() as tx:
        found = await tx.session.scalars(select(factories.model("checkpoints")))
        assert found.all() == []
        kept = await tx.session.get_one(factories.model("tasks"), task.id)
        assert kept.project_id is None


async def test_insert_or_ignore_inserts_what_is_new(db: Database) -> None:
    rows = [{"name": f"p{n}", "greediness": Decimal("0.1")} for n in range(3)]
    async with db.write() as tx:
        assert await db.dialect.insert_or_ignore(tx.session, Project, rows[:2]) == 2
        assert await db.dialect.insert_or_ignore(tx.session, Project, rows) == 1
        assert await db.dialect.insert_or_ignore(tx.session, Project.__table__, rows) == 0
        assert await db.dialect.insert_or_ignore(tx.session, Project, []) == 0
        names = (await tx.session.scalars(select(Project.name).order_by(Project.name))).all()
    assert names == ["p0", "p1", "p2"]


async def test_insert_or_ignore_takes_more_rows_than_one_statement_may_have(db: Database) -> None:
    rows = [{"name": f"p{n}", "greediness": Decimal(0), "metadata": {"n": n}} for n in range(3500)]
    async with db.write() as tx:
        assert await db.dialect.insert_or_ignore(tx.session, Project, rows) == 3500
        found = await tx.session.scalar(select(Project.metadata_).where(Project.name == "p3499"))
    assert found == {"n": 3499}


async def test_claims_of_two_transactions_never_meet(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        task = await factories.add_task(tx, project.id)
        orders = {(await factories.add_order(tx, task.id)).id for _ in range(10)}
    claimed: list[object] = []

    async def claim() -> None:
        async with db.write() as tx:
            query = db.dialect.for_update(
                select(Order).where(Order.status == "pending").order_by(Order.id).limit(1),
                of=Order,
                skip_locked=True,
            )
            order = (await tx.session.scalars(query)).one()
            order.status = "claimed"
            order.lease_generation += 1
            claimed.append(order.id)

    await asyncio.gather(*(claim() for _ in range(10)))
    assert len(claimed) == 10
    assert set(claimed) == orders


async def test_a_row_that_is_locked_is_not_waited_for_when_told_so(db: Database) -> None:
    if db.dialect.name == "sqlite":
        return  # BEGIN IMMEDIATE: there is never a second writer to meet
    async with db.write() as tx:
        project = await factories.add_project(tx)
    query = db.dialect.for_update(
        select(Project).where(Project.id == project.id), of=Project, nowait=True
    )
    async with db.write() as tx:
        await tx.session.execute(query)
        with pytest.raises(DatabaseBusyError):
            async with db.write() as other:
                await other.session.execute(query)


async def test_a_deadlock_is_a_failure_that_may_be_tried_again(db: Database) -> None:
    if db.dialect.name == "sqlite":
        return  # one writer cannot deadlock
    async with db.write() as tx:
        rows = [await factories.add_project(tx) for _ in range(2)]
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with db.write() as tx:
            await tx.session.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
            for step, number in enumerate((first, second)):
                query = db.dialect.for_update(
                    select(Project).where(Project.id == rows[number].id), of=Project
                )
                await tx.session.execute(query)
                if step == 0:
                    await both.wait()

    results = await asyncio.gather(lock(0, 1), lock(1, 0), return_exceptions=True)
    failures = [result for result in results if result is not None]
    assert len(failures) == 1
    assert isinstance(failures[0], SerializationError)
    assert db.dialect.is_retryable(failures[0])


CONTAINED = [
    ({"path": "a"}, True),
    ({"path": "b"}, False),
    ({"n": 1}, True),
    ({"n": True}, False),
    ({"yes": True}, True),
    ({"yes": 1}, False),
    ({"none": None}, True),
    ({"missing": None}, False),
    ({"deep": {"x": "y"}}, True),
    ({"deep": {"x": "z"}}, False),
    ({"deep": "x"}, False),
    ({"list": ["b"]}, True),
    ({"list": ["b", 3]}, True),
    ({"list": ["c"]}, False),
    ({"path": "a", "n": 1}, True),
    ({"path": "a", "n": 2}, False),
    ({}, True),
    ({"dotted.key": "é"}, True),
]


async def test_json_containment_means_the_same_everywhere(db: Database) -> None:
    value = {
        "path": "a",
        "n": 1,
        "yes": True,
        "none": None,
        "deep": {"x": "y", "z": 1},
        "list": ["a", "b", 3],
        "dotted.key": "é",
    }
    async with db.write() as tx:
        await factories.add_project(tx, metadata=value)
    async with db.read() as tx:
        for part, expected in CONTAINED:
            condition = db.dialect.json_contains(Project.metadata_, part)
            found = (await tx.session.scalars(select(Project.id).where(condition))).all()
            assert bool(found) is expected, part


async def test_json_keys_that_cannot_be_written_in_a_path_are_refused(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(InvalidValueError, match="without quotes"):
        database.dialect.json_contains(Project.metadata_, {'a"b': 1})
    await database.close()


async def test_elements_of_json_arrays_can_be_asked_for(db: Database) -> None:
    async with db.write() as tx:
        await factories.add_worker(tx, name="both", capabilities=["git", "rust"])
        await factories.add_worker(tx, name="one", capabilities=["git"])
        await factories.add_worker(tx, name="none", capabilities=[])
    dialect, column = db.dialect, Worker.capabilities
    for condition, expected in (
        (dialect.json_has(column, "rust"), ["both"]),
        (dialect.json_has(column, "gi"), []),
        (dialect.json_subset(column, ["git", "go"]), ["none", "one"]),
        (dialect.json_subset(column, []), ["none"]),
    ):
        async with db.read() as tx:
            query = select(Worker.name).where(condition).order_by(Worker.name)
            assert (await tx.session.scalars(query)).all() == expected


async def test_a_full_disk_is_said_to_be_full_and_nothing_is_half_done(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    await ensure_schema(database.engine)
    async with database.write() as tx:
        pages = await tx.session.scalar(text("PRAGMA page_count"))
        await tx.session.execute(text(f"PRAGMA max_page_count={pages + 1}"))
    with pytest.raises(DatabaseFullError, match="free some space"):  # noqa: PT012 - a transaction fails as a whole
        async with database.write() as tx:
            for _ in range(100):
                await factories.add_project(tx, description="x" * 4000)
    async with database.read() as tx:
        assert (await tx.session.scalars(select(Project.id))).all() == []
    await database.close()


def test_opening_a_sqlite_database_imports_no_other_driver(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from autovibe.db import open_database\n"
        "from autovibe.db.upgrade import ensure_schema\n"
        "async def main():\n"
        f"    database = open_database('sqlite:///{tmp_path}/x.db')\n"
        "    await ensure_schema(database.engine)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "print(sorted({'asyncpg', 'alembic', 'mako'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class ServerError(Exception):
    def __init__(self, sqlstate: str, message: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("53100", "DATABASE_FULL"),
        ("25006", "DATABASE_READ_ONLY"),
        ("40001", "SERIALIZATION_FAILURE"),
        ("55P03", "DATABASE_BUSY"),
        ("57P01", "DATABASE_UNAVAILABLE"),
        ("53300", "DATABASE_UNAVAILABLE"),
        ("08006", "DATABASE_UNAVAILABLE"),
        ("42501", "DATABASE_CANNOT_OPEN"),
    ],
)
def test_conditions_of_a_server_that_tests_cannot_bring_about(state: str, reason: str) -> None:
    error = dialect_for("postgresql").translate(ServerError(state, "the server's words"))
    assert error is not None
    assert error.reason == reason


@pytest.mark.parametrize("state", ["23514", "P0001"])
def test_a_trigger_gives_its_own_reason_whatever_its_state(state: str) -> None:
    error = dialect_for("postgresql").translate(ServerError(state, "AV:BUDGET_EXCEEDED"))
    assert error is not None
    assert error.reason == "BUDGET_EXCEEDED"
    assert error.exit_status == 3


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_errors_of_others_are_left_alone(name: str) -> None:
    assert dialect_for(name).translate(ValueError("mine")) is None
    assert not dialect_for(name).is_retryable(ValueError("mine"))

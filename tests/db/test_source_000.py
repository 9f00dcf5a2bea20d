"""The tables of orchestration against source 000, on both databases and in the models.

Names and types are those of `schema.md` where it differs: `id`, `<role>_id`, VARCHAR for VM ids,
amounts with six decimals, NOT NULL wherever there is a default.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from query_plans import plan
from source_tables import (
    NOW,
    RANDOM,
    C,
    check_defaults,
    check_deletion,
    check_refusals,
    check_shape,
    indexes_of,
)
from sqlalchemy import func, inspect, select, text, update

from autovibe.db import Database, open_database
from autovibe.db.discovery import load_models
from autovibe.db.errors import (
    CheckViolationError,
    ForeignKeyViolationError,
    UniqueViolationError,
)
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases
from autovibe.testing.every_table import add_one_of_each

TABLES = load_models().tables
Checkpoint = factories.model("checkpoints")
Machine = factories.model("intelligent_machines")
Usage = factories.model("resource_usage")
STATUSES = ("spawning", "active", "working", "checkpointing", "terminated", "error")
# Its member `verified` needs a time beside it.
VERIFICATION = "verification_status"
KINDS = ("money", "time", "api_calls", "cpu", "memory", "storage", "network")

PROJECTS = (
    C("id", "UUID", default=RANDOM),
    C("name", "VARCHAR(255)"),
    C("greediness", "NUMERIC(3,2)"),
    C("status", "VARCHAR(50)", default="active", of=("active", "inactive", "archived")),
    C("initial_checkpoint_id", "UUID", null=True),
    C("current_checkpoint_id", "UUID", null=True),
    C("metadata", "JSONB", default={}),
    C("created_at", "TIMESTAMPTZ", default=NOW),
    C("updated_at", "TIMESTAMPTZ", default=NOW),
)
MACHINES = (
    C("id", "UUID", default=RANDOM),
    C("machine_type", "VARCHAR(50)"),
    C("status", "VARCHAR(50)", default="spawning", of=STATUSES),
    C("project_id", "UUID", null=True, to=("projects", "RESTRICT")),
    C("parent_checkpoint_id", "UUID", null=True, to=("checkpoints", "NO ACTION")),
    C("last_checkpoint_id", "UUID", null=True),
    C("vm_id", "VARCHAR(100)", null=True),
    C("hub_vm_id", "VARCHAR(100)", null=True),
    C("original_prompt", "TEXT", null=True),
    C("file_modifications", "JSONB", default={}),
    C("resource_constraints", "JSONB", default={}),
    C("resource_usage", "JSONB", default={}),
    C("current_progress", "TEXT", null=True),
    C("error_message", "TEXT", null=True),
    C("checkpoint_count", "INTEGER", default=0),
    C("spawned_at", "TIMESTAMPTZ", default=NOW),
    C("terminated_at", "TIMESTAMPTZ", null=True),
    C("metadata", "JSONB", default={}),
)
CHECKPOINTS = (
    C("id", "UUID", default=RANDOM),
    C("project_id", "UUID", to=("projects", "CASCADE")),
    C("parent_checkpoint_id", "UUID", null=True, to=("checkpoints", "NO ACTION")),
    C("creating_machine_id", "UUID", null=True, to=("intelligent_machines", "SET NULL")),
    C(
        "checkpoint_type",
        "VARCHAR(50)",
        of=("genesis", "automatic", "manual", "final", "hub_daily"),
    ),
    C("proxmox_snapshot_id", "VARCHAR(255)", null=True),
    C("vm_id", "VARCHAR(100)", null=True),
    C("file_manifest", "JSONB", default={}),
    C("description", "TEXT", null=True),
    C("creation_context", "TEXT", null=True),
    C("size_bytes", "BIGINT", null=True),
    C("compression_ratio", "NUMERIC(8,4)", null=True),
    C("verification_status", "VARCHAR(50)", default="pending"),
    C("created_at", "TIMESTAMPTZ", default=NOW),
    C("verified_at", "TIMESTAMPTZ", null=True),
    C("metadata", "JSONB", default={}),
)
USAGE = (
    C("id", "UUID", default=RANDOM),
    C("project_id", "UUID", to=("projects", "CASCADE")),
    C("machine_id", "UUID", null=True, to=("intelligent_machines", "SET NULL")),
    C("resource_type", "VARCHAR(50)", of=KINDS),
    C("resource_subtype", "VARCHAR(100)", null=True),
    C("amount", "NUMERIC(15,6)"),
    C("unit", "VARCHAR(20)"),
    C("cost_cad", "NUMERIC(15,6)", null=True),
    C("recorded_at", "TIMESTAMPTZ", default=NOW),
    C("billing_period_start", "DATE", null=True),
    C("billing_period_end", "DATE", null=True),
    C("metadata", "JSONB", default={}),
)


async def check(db: Database, table: str, columns: tuple[C, ...]) -> None:
    """Check shape, refusals and defaults of one table on a row that nothing else names."""
    await check_shape(db, table, columns)
    async with db.write() as tx:
        project = await factories.add_project(tx)
        row = project
        if table == "intelligent_machines":
            row = await factories.add_machine(tx, project.id)
        elif table == "checkpoints":
            row = await factories.add_checkpoint(tx, project.id)
        elif table == "resource_usage":
            row = await add_usage(tx, project.id)
    await check_refusals(db, table, [item for item in columns if item.name != VERIFICATION])
    await check_defaults(db, table, columns, row)


async def add_usage(tx: Any, project_id: Any, **values: Any) -> Any:
    usual = {"resource_type": "time", "unit": "minutes", "amount": Decimal(1)}
    return await factories.add(tx, "resource_usage", project_id=project_id, **(usual | values))


@pytest.mark.req("S0-34", "S0-35", "S0-36", "S0-37", "S0-38", "S0-39", "S0-40")
async def test_projects_are_as_said(db: Database) -> None:
    await check(db, "projects", PROJECTS)


@pytest.mark.req("S0-45", "S0-46", "S0-47", "S0-50", "S0-52", "S0-53", "S0-54")
async def test_machines_are_as_said(db: Database) -> None:
    await check(db, "intelligent_machines", MACHINES)
    async with db.write() as tx:
        project = await factories.add_project(tx)
        for kind in ("claude_code", "aider", "qwen_coder", "hub"):
            await factories.add_machine(tx, project.id, machine_type=kind)


@pytest.mark.req("S0-59", "S0-61", "S0-62", "S0-65", "S0-67", "S0-68")
async def test_checkpoints_are_as_said(db: Database) -> None:
    await check(db, "checkpoints", CHECKPOINTS)
    with pytest.raises(CheckViolationError):
        async with db.write() as tx:
            await tx.session.execute(text("UPDATE checkpoints SET verification_status = 'x'"))
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    by_machine = tuple(item for item in CHECKPOINTS if item.name == "creating_machine_id")
    await check_deletion(db, "checkpoints", by_machine, rows["checkpoints"])


@pytest.mark.req("S0-74", "S0-75", "S0-76", "S0-77", "S0-78")
async def test_usage_is_as_said(db: Database) -> None:
    await check(db, "resource_usage", USAGE)
    assert [column.name for column in TABLES["resource_usage"].primary_key] == ["id", "recorded_at"]
    units = ("CAD", "USD", "minutes", "hours", "calls", "gb", "gb_hours")
    subtypes = ("claude_api", "vm_runtime", "storage_snapshot")
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        for unit in units:
            for subtype in subtypes:
                await add_usage(
                    tx, project.id, unit=unit, resource_subtype=subtype, machine_id=machine.id
                )
        await tx.session.execute(text("DELETE FROM intelligent_machines"))
        left = await tx.session.scalar(
            select(func.count())
            .select_from(Usage)
            .where(Usage.machine_id.is_(None), Usage.project_id == project.id)
        )
        assert left == len(units) * len(subtypes)
        await tx.session.execute(text("DELETE FROM projects"))
        assert await tx.session.scalar(select(func.count()).select_from(Usage)) == 0


@pytest.mark.req("S0-09")
@pytest.mark.parametrize(
    "table", ["projects", "intelligent_machines", "checkpoints", "resource_usage", "hub_instances"]
)
async def test_entities_have_metadata_for_what_the_schema_does_not_know(
    db: Database, table: str
) -> None:
    await check_shape(db, table, [C("metadata", "JSONB", default={})])


INDEXES = {
    "projects": {
        "idx_projects_name": "UNIQUE (name)",
        "idx_projects_greediness": "(greediness DESC)",
        "idx_projects_status": "(status) WHERE status = 'active'",
        "idx_projects_metadata_gin": "gin (metadata)",
    },
    "intelligent_machines": {
        "idx_machines_project_status": "(project_id, status)",
        "idx_machines_type_status": "(machine_type, status)",
        "idx_machines_spawn_time": "(spawned_at DESC)",
        "idx_machines_vm": "(vm_id) WHERE vm_id IS NOT NULL",
        "idx_machines_constraints_gin": "gin (resource_constraints)",
    },
    "checkpoints": {
        "idx_checkpoints_project": "(project_id, created_at DESC)",
        "idx_checkpoints_parent": "(parent_checkpoint_id)",
        "idx_checkpoints_machine": "(creating_machine_id)",
        "idx_checkpoints_type": "(checkpoint_type, created_at DESC)",
    },
    "resource_usage": {
        "idx_resource_project_time": "(project_id, recorded_at)",
        "idx_resource_type_time": "(resource_type, recorded_at)",
        "idx_resource_machine": "(machine_id) WHERE machine_id IS NOT NULL",
    },
}


async def indexes_as_said(db: Database, table: str) -> dict[str, str]:
    return {name: plain(covered) for name, covered in (await indexes_of(db, table)).items()}


def plain(covered: str) -> str:
    """Leave out what PostgreSQL adds to a condition."""
    columns, _, condition = covered.partition(" WHERE ")
    bare = re.sub(r"::\w+|[()]", "", condition)
    return f"{columns} WHERE {bare}" if condition else columns


@pytest.mark.req("S0-23", "S0-35", "S0-43", "S0-97", "S0-98", "S0-99", "S0-101")
@pytest.mark.parametrize("table", list(INDEXES))
async def test_indexes_are_as_said(db: Database, table: str) -> None:
    found = await indexes_as_said(db, table)
    for name, covered in INDEXES[table].items():
        if db.dialect.name == "sqlite" and covered.startswith("gin"):
            assert name not in found, "SQLite has no GIN"
        else:
            assert found[name] == covered, name


@pytest.mark.req("S0-100", "S0-21")
async def test_partitions_have_the_indexes_and_triggers_of_usage(databases: TestDatabases) -> None:
    database = open_database(await databases.postgresql())
    async with database.write() as tx:
        await tx.session.execute(
            text("SELECT create_monthly_partition('resource_usage', '2026-08-01')")
        )
        key = "SELECT pg_get_partkeydef('resource_usage'::regclass)"
        assert await tx.session.scalar(text(key)) == "RANGE (recorded_at)"
        fires = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'resource_usage'::regclass"
        assert "enforce_budget_after_insert" in set(await tx.session.scalars(text(fires)))
    for part in ("resource_usage", "resource_usage_2026_08", "resource_usage_default"):
        found = set((await indexes_as_said(database, part)).values())
        assert found >= set(INDEXES["resource_usage"].values()), part
    await check_shape(
        database, "resource_budgets", [C("project_id", "UUID", to=("projects", "CASCADE"))]
    )
    await database.close()


@pytest.mark.req("S0-24")
async def test_the_machines_of_a_project_by_status_are_found_by_their_index(db: Database) -> None:
    async with db.write() as tx:
        projects = [await factories.add_project(tx) for _ in range(20)]
        await tx.session.execute(
            Machine.__table__.insert(),
            [
                {"project_id": project.id, "machine_type": "aider", "status": status}
                for project in projects
                for status in ("working",) * 20 + ("error", "active")
            ],
        )
        await tx.session.execute(text("ANALYZE"))
    query = "SELECT * FROM intelligent_machines WHERE project_id = :key AND status = 'active'"
    assert "idx_machines_project_status" in await plan(db, query, key=projects[0].id)


@pytest.mark.req("S0-32")
async def test_sums_of_usage_by_day_and_kind_are_found_by_an_index(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    query = (
        "SELECT resource_type, sum(amount) FROM resource_usage WHERE project_id = :key"
        " AND recorded_at >= '2026-11-01' AND recorded_at < '2026-12-01' GROUP BY resource_type"
    )
    told = await plan(db, query, key=rows["projects"].id)
    assert re.search(r"INDEX idx_resource_|Scan using resource_usage_default_\w+_idx", told), told
    daily = (
        "SELECT usage_date, sum(amount) FROM resource_usage_daily"
        " WHERE project_id = :key GROUP BY usage_date"
    )
    told = await plan(db, daily, key=rows["projects"].id)
    assert re.search(r"autoindex_resource_usage_daily|pk_resource_usage_daily|_daily_date", told), (
        told
    )


@pytest.mark.req("S0-56")
async def test_daily_budgets_of_machines_are_found_by_an_index(databases: TestDatabases) -> None:
    database = open_database(await databases.postgresql())
    async with database.write() as tx:
        project = await factories.add_project(tx)
        for budget in (5, "2.5", "50 CAD", None, {"amount": 5}):
            await factories.add_machine(
                tx, project.id, resource_constraints={"daily_budget": budget}
            )
    value = (
        "CASE WHEN resource_constraints->>'daily_budget' ~ '^-?[0-9]+([.][0-9]+)?$'"
        " THEN (resource_constraints->>'daily_budget')::NUMERIC END"
    )
    query = f"SELECT id FROM intelligent_machines WHERE {value} > 3"
    assert "idx_machines_budget" in await plan(database, query)
    async with database.read() as tx:
        assert len((await tx.session.execute(text(query))).all()) == 1
    await database.close()


@pytest.mark.req("S0-48", "S0-49")
async def test_a_machine_has_a_project_and_a_parent_that_are_there(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        await factories.add_machine(tx, None, machine_type="hub")
    with pytest.raises(CheckViolationError) as missing:
        async with db.write() as tx:
            await factories.add_machine(tx, None)
    assert missing.value.reason == "MACHINE_WITHOUT_PROJECT"
    with pytest.raises(ForeignKeyViolationError):
        async with db.write() as tx:
            await factories.add_machine(tx, project.id, parent_checkpoint_id=machine.id)
    with pytest.raises(ForeignKeyViolationError) as held:
        async with db.write() as tx:
            await tx.session.execute(text("DELETE FROM projects"))
    assert held.value.reason == "PROJECT_HAS_MACHINES"


@pytest.mark.req("S0-51")
async def test_a_vm_has_one_live_machine(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        first = await factories.add_machine(tx, project.id, vm_id="101", hub_vm_id="100")
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add_machine(tx, project.id, vm_id="101")
    assert caught.value.constraint == "uq_machines_live_vm"
    async with db.write() as tx:
        end = first.spawned_at + timedelta(seconds=1)
        await tx.session.execute(update(Machine).values(terminated_at=end))
        await factories.add_machine(tx, project.id, vm_id="101")
        assert (await tx.session.get_one(Machine, first.id)).hub_vm_id == "100"


@pytest.mark.req("S0-57", "S0-73", "S0-80")
async def test_times_and_amounts_keep_their_bounds(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        checkpoint = await factories.add_checkpoint(tx, project.id)
    second = timedelta(seconds=1)
    for table, values, rule in (
        ("intelligent_machines", {"terminated_at": machine.spawned_at},
         "ck_machines_terminated_after_spawned"),
        ("intelligent_machines", {"terminated_at": machine.spawned_at - second},
         "ck_machines_terminated_after_spawned"),
        ("checkpoints", {"verified_at": checkpoint.created_at - second},
         "valid_verification_time"),
    ):  # fmt: skip
        with pytest.raises(CheckViolationError) as caught:
            async with db.write() as tx:
                await tx.session.execute(TABLES[table].update().values(values))
        assert caught.value.constraint == rule
    for amount in (0, -1):
        with pytest.raises(CheckViolationError) as caught:
            async with db.write() as tx:
                await add_usage(tx, project.id, amount=Decimal(amount))
        assert caught.value.constraint == "positive_resource_amount"


@pytest.mark.req("S0-63")
async def test_a_snapshot_belongs_to_one_checkpoint(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        for snapshot in (None, None, "av-1"):
            await factories.add_checkpoint(
                tx, project.id, proxmox_snapshot_id=snapshot, vm_id="101"
            )
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add_checkpoint(tx, project.id, proxmox_snapshot_id="av-1")
    assert caught.value.reason == "DUPLICATE_SNAPSHOT"


@pytest.mark.req("S0-13", "S0-28", "S0-90")
async def test_a_machine_makes_many_checkpoints_and_lists_the_newest_first(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        parent = None
        for number in range(6):
            parent = await factories.add_checkpoint(
                tx,
                project.id,
                parent,
                creating_machine_id=machine.id,
                description=str(number),
                created_at=project.created_at + timedelta(seconds=number),
            )
    async with db.read() as tx:
        found = await tx.session.get_one(Machine, machine.id)
        made = await found.awaitable_attrs.checkpoints
        assert [item.description for item in made] == list("543210")
        assert {(await item.awaitable_attrs.creating_machine).id for item in made} == {machine.id}


@pytest.mark.req("S0-12", "S0-14", "S0-15", "S0-16", "S0-18", "S0-19")
async def test_relationships_lead_there_and_back(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    async with db.read() as tx:
        project = await tx.session.get_one(factories.model("projects"), rows["projects"].id)
        for name, table in (
            ("machines", "intelligent_machines"),
            ("checkpoints", "checkpoints"),
            ("budgets", "resource_budgets"),
        ):
            there = {row.id: row for row in await getattr(project.awaitable_attrs, name)}
            assert there[rows[table].id].project is project, name
        (used,) = await tx.session.scalars(project.resource_usage.select())
        assert used.id == rows["resource_usage"].id
        assert (await used.awaitable_attrs.project) is project

        experiment = await tx.session.get_one(
            factories.model("hub_experiments"), rows["hub_experiments"].id
        )
        original = await experiment.awaitable_attrs.original_hub
        changed = await experiment.awaitable_attrs.experimental_hub
        assert original is not changed
        assert experiment in await original.awaitable_attrs.experiments_as_original
        assert experiment in await changed.awaitable_attrs.experiments_as_experimental
        base = await experiment.awaitable_attrs.base_checkpoint
        assert base in await base.hub.awaitable_attrs.checkpoints


@pytest.mark.req("S0-94")
def test_the_parent_of_a_checkpoint_is_on_the_remote_side() -> None:
    found = inspect(Checkpoint).relationships["parent_checkpoint"]
    assert {column.name for column in found.remote_side} == {"id"}
    assert {column.name for column in found.local_columns} == {"parent_checkpoint_id"}
    assert found.back_populates == "child_checkpoints"

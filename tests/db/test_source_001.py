"""Budgets, hubs and what source 001 adds to the tables of 000, on both databases.

Source 000's names stay where the two differ: machine_type, original_prompt, current_progress,
checkpoint_count, creating_machine_id, creation_context, billing_period_start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
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
from sqlalchemy import text

from autovibe.db import Database, open_database
from autovibe.db.discovery import load_models
from autovibe.db.errors import (
    CheckViolationError,
    ForeignKeyViolationError,
    NotNullViolationError,
    UniqueViolationError,
)
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases
from autovibe.testing.every_table import add_one_of_each

TABLES = load_models().tables
STATUSES = ("spawning", "active", "working", "checkpointing", "terminated", "error")
# Its member `verified` needs a time beside it.
VERIFICATION = "verification_status"
KINDS = ("money", "time", "api_calls", "cpu", "memory", "storage", "network")

PROJECTS = (
    C("id", "UUID", default=RANDOM),
    C("name", "VARCHAR(255)"),
    C("description", "TEXT", null=True),
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
    C("spawned_by_hub_id", "UUID", null=True, to=("intelligent_machines", "SET NULL")),
    C("vm_id", "VARCHAR(100)", null=True),
    C("vm_node", "VARCHAR(100)", null=True),
    C("original_prompt", "TEXT", null=True),
    C("current_progress", "TEXT", null=True),
    C("error_message", "TEXT", null=True),
    C("last_checkpoint_id", "UUID", null=True),
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
    C("metadata", "JSONB", default={}),
)
BUDGETS = (
    C("id", "UUID", default=RANDOM),
    C("project_id", "UUID", to=("projects", "CASCADE")),
    C("resource_type", "VARCHAR(50)", of=KINDS),
    C("budget_period", "VARCHAR(50)", of=("daily", "weekly", "monthly", "total")),
    C("period_start", "DATE"),
    C("period_end", "DATE"),
    C("allocated_amount", "NUMERIC(15,6)"),
    C("used_amount", "NUMERIC(15,6)", default=0),
    C("reserved_amount", "NUMERIC(15,6)", default=0),
    C("unit", "VARCHAR(20)"),
    C("auto_reset", "BOOLEAN", default=True),
    C("created_at", "TIMESTAMPTZ", default=NOW),
    C("updated_at", "TIMESTAMPTZ", default=NOW),
)
HUBS = (
    C("id", "UUID", default=RANDOM),
    C(
        "type",
        "VARCHAR(50)",
        of=("primary", "development", "experimental", "domain_specific"),
    ),
    C("status", "VARCHAR(50)", of=("active", "inactive", "experimental", "retiring")),
    C("vm_id", "VARCHAR(100)"),
    C("vm_node", "VARCHAR(100)", null=True),
    C("version", "VARCHAR(50)", null=True),
    C("configuration", "JSONB", default={}),
    C("parent_hub_id", "UUID", null=True, to=("hub_instances", "SET NULL")),
    C("experiment_id", "UUID", null=True, to=("hub_experiments", "SET NULL")),
    C("spawned_at", "TIMESTAMPTZ", default=NOW),
    C("last_checkpoint_at", "TIMESTAMPTZ", null=True),
    C("terminated_at", "TIMESTAMPTZ", null=True),
    C("metadata", "JSONB", default={}),
)
HUB_CHECKPOINTS = (
    C("id", "UUID", default=RANDOM),
    C("hub_id", "UUID", to=("hub_instances", "NO ACTION")),
    C("checkpoint_type", "VARCHAR(50)", of=("daily", "manual", "pre_experiment", "recovery")),
    C("proxmox_snapshot_id", "VARCHAR(200)"),
    C("trigger_reason", "VARCHAR(200)", null=True),
    C("system_metrics", "JSONB", null=True),
    C("active_machines", "INTEGER", default=0),
    C("active_projects", "INTEGER", default=0),
    C("checkpoint_size_gb", "NUMERIC(10,3)", null=True),
    C("verification_status", "VARCHAR(50)", default="pending"),
    C("created_at", "TIMESTAMPTZ", default=NOW),
    C("verified_at", "TIMESTAMPTZ", null=True),
    C("metadata", "JSONB", default={}),
)
EXPERIMENTS = (
    C("id", "UUID", default=RANDOM),
    C("name", "VARCHAR(200)"),
    C("description", "TEXT", null=True),
    C("base_checkpoint_id", "UUID", to=("hub_checkpoints", "NO ACTION")),
    C("original_hub_id", "UUID", to=("hub_instances", "NO ACTION")),
    C("experimental_hub_id", "UUID", null=True, to=("hub_instances", "SET NULL")),
    C("configuration_changes", "JSONB"),
    C("success_metrics", "JSONB", null=True),
    C("performance_data", "JSONB", null=True),
    C(
        "status",
        "VARCHAR(50)",
        default="planned",
        of=("planned", "running", "completed", "failed"),
    ),
    C("duration_days", "INTEGER", default=14),
    C("started_at", "TIMESTAMPTZ", null=True),
    C("completed_at", "TIMESTAMPTZ", null=True),
    C(
        "result",
        "VARCHAR(50)",
        null=True,
        of=("experimental_wins", "original_wins", "inconclusive"),
    ),
    C("created_at", "TIMESTAMPTZ", default=NOW),
    C("metadata", "JSONB", default={}),
)


async def check(db: Database, table: str, columns: Sequence[C], row: Any) -> None:
    """Check shape, refusals and defaults of one table; nothing may name the row."""
    await check_shape(db, table, columns)
    await check_refusals(db, table, [item for item in columns if item.name != VERIFICATION])
    await check_defaults(db, table, columns, row)


@pytest.mark.req("S1-02", "S1-03")
async def test_projects_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
    await check(db, "projects", PROJECTS, project)
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await factories.add_project(tx, greediness=Decimal("1.5"))
    assert caught.value.constraint == "valid_greediness_range"


@pytest.mark.req("S1-06", "S1-07", "S1-08", "S1-09", "S1-10", "S1-12")
@pytest.mark.req("S1-13", "S1-15", "S1-16", "S1-17", "S1-18")
async def test_machines_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        hub = await factories.add_machine(
            tx, None, machine_type="hub", vm_id="i-0abc12", vm_node="node-1"
        )
    await check(db, "intelligent_machines", MACHINES, hub)
    async with db.read() as tx:
        found = await tx.session.get_one(type(hub), hub.id)
        assert (found.project_id, found.vm_id, found.vm_node) == (None, "i-0abc12", "node-1")


@pytest.mark.req("S1-11")
async def test_a_machine_knows_the_hub_that_spawned_it(db: Database) -> None:
    async with db.write() as tx:
        hub = await factories.add_machine(tx, None, machine_type="hub")
        project = await factories.add_project(tx)
        spawned = await factories.add_machine(tx, project.id, spawned_by_hub_id=hub.id)
    said = tuple(item for item in MACHINES if item.name == "spawned_by_hub_id")
    await check_shape(db, "intelligent_machines", said)
    async with db.read() as tx:
        found = await tx.session.get_one(type(hub), hub.id)
        (machine,) = await found.awaitable_attrs.spawned_machines
        assert machine.id == spawned.id
        assert (await machine.awaitable_attrs.spawned_by_hub) is found
    await check_deletion(db, "intelligent_machines", said, spawned)
    with pytest.raises(ForeignKeyViolationError):
        async with db.write() as tx:
            await factories.add_machine(tx, project.id, spawned_by_hub_id=project.id)


@pytest.mark.req("S1-20", "S1-21", "S1-22", "S1-23", "S1-25", "S1-26", "S1-27", "S1-28")
async def test_checkpoints_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        made = await factories.add_checkpoint(
            tx,
            project.id,
            compression_ratio=Decimal("12.50"),
            creation_context="api_response",
            vm_id="i-0abc12",
        )
    await check(db, "checkpoints", CHECKPOINTS, made)
    async with db.read() as tx:
        found = await tx.session.get_one(type(made), made.id)
        assert found.compression_ratio == Decimal("12.50")
        assert (found.creation_context, found.vm_id) == ("api_response", "i-0abc12")


@pytest.mark.req("S1-31", "S1-32", "S1-33", "S1-34", "S1-35", "S1-36")
async def test_usage_is_as_said(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        used = await factories.add(
            tx,
            "resource_usage",
            project_id=project.id,
            resource_type="network",
            resource_subtype="vm_runtime",
            amount=Decimal("0.000001"),
            unit="gb",
            billing_period_start=date(2026, 11, 1),
        )
    await check(db, "resource_usage", USAGE, used)
    async with db.read() as tx:
        found = await tx.session.get_one(type(used), (used.id, used.recorded_at))
        assert (found.amount, found.resource_type) == (Decimal("0.000001"), "network")
        assert found.billing_period_start == date(2026, 11, 1)


@pytest.mark.req("S1-39", "S1-40", "S1-41", "S1-42", "S1-43", "S1-44")
async def test_budgets_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        budget = await factories.add_budget(tx, project.id, updated_at=long_ago)
    await check(db, "resource_budgets", BUDGETS, budget)
    for values, reason in (
        ({"period_end": budget.period_start - timedelta(days=1)}, "PERIOD_ENDS_BEFORE_START"),
        ({"allocated_amount": Decimal(-1)}, "NEGATIVE_AMOUNT"),
        ({"reserved_amount": Decimal(-1)}, "NEGATIVE_AMOUNT"),
    ):
        with pytest.raises(CheckViolationError) as caught:
            async with db.write() as tx:
                await tx.session.execute(TABLES["resource_budgets"].update().values(values))
        assert caught.value.reason == reason
    async with db.write() as tx:
        await tx.session.execute(text("UPDATE resource_budgets SET unit = 'CAD'"))
    async with db.write() as tx:
        assert (await tx.session.get_one(type(budget), budget.id)).updated_at > long_ago
        await tx.session.execute(text("DELETE FROM projects"))
    async with db.read() as tx:
        assert await tx.session.get(type(budget), budget.id) is None


@pytest.mark.req("S1-45")
async def test_a_project_has_one_budget_of_a_kind_for_a_period(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        await factories.add_budget(tx, project.id)
        for other in (
            {"resource_type": "time", "unit": "minutes"},
            {"budget_period": "monthly"},
            {"period_start": date(2026, 1, 2)},
            {"project_id": (await factories.add_project(tx)).id},
        ):
            await factories.add_budget(tx, **({"project_id": project.id} | other))
    with pytest.raises(UniqueViolationError) as caught:
        async with db.write() as tx:
            await factories.add_budget(tx, project.id)
    assert caught.value.reason == "DUPLICATE_BUDGET"


@pytest.mark.req("S1-48", "S1-49", "S1-50", "S1-51", "S1-52", "S1-53", "S1-54")
async def test_hubs_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        values = {"type": "primary", "status": "active", "vm_id": "100"}
        lone = await factories.add(tx, "hub_instances", **values)
        linked = await factories.add(
            tx,
            "hub_instances",
            parent_hub_id=lone.id,
            experiment_id=rows["hub_experiments"].id,
            **values,
        )
    keys = [item for item in HUBS if item.to]
    await check_deletion(db, "hub_instances", keys, linked)
    async with db.write() as tx:
        await tx.session.delete(await tx.session.get_one(type(linked), linked.id))
    await check(db, "hub_instances", HUBS, lone)


@pytest.mark.req("S1-57", "S1-58", "S1-59", "S1-62", "S1-63")
async def test_checkpoints_of_hubs_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        made = await factories.add(
            tx,
            "hub_checkpoints",
            hub_id=rows["hub_instances"].id,
            checkpoint_type="daily",
            proxmox_snapshot_id="av-hub-1",
            checkpoint_size_gb=Decimal("1234567.125"),
        )
    await check(db, "hub_checkpoints", HUB_CHECKPOINTS, made)
    await check_deletion(db, "hub_checkpoints", HUB_CHECKPOINTS, made)
    async with db.read() as tx:
        found = await tx.session.get_one(type(made), made.id)
        assert found.checkpoint_size_gb == Decimal("1234567.125")
    early = made.created_at - timedelta(seconds=1)
    with pytest.raises(CheckViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(TABLES["hub_checkpoints"].update().values(verified_at=early))
    assert caught.value.constraint == "ck_hub_checkpoints_time"


@pytest.mark.req("S1-65", "S1-66", "S1-67", "S1-71")
async def test_experiments_are_as_said(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        known = rows["hub_experiments"]
        made = await factories.add(
            tx,
            "hub_experiments",
            name="more workers",
            base_checkpoint_id=known.base_checkpoint_id,
            original_hub_id=known.original_hub_id,
            configuration_changes={"workers": 8},
        )
    await check(db, "hub_experiments", EXPERIMENTS, made)
    keys = [item for item in EXPERIMENTS if item.name in {"base_checkpoint_id", "original_hub_id"}]
    await check_deletion(db, "hub_experiments", keys, known)
    with pytest.raises(NotNullViolationError) as caught:
        async with db.write() as tx:
            await tx.session.execute(
                TABLES["hub_experiments"].update().values(configuration_changes=None)
            )
    assert caught.value.constraint == "configuration_changes"


LEADING = {
    "projects": {"greediness DESC", "status", "metadata"},
    "intelligent_machines": {
        "status", "project_id", "spawned_at DESC", "machine_type", "spawned_by_hub_id",
    },
    "checkpoints": {
        "project_id", "parent_checkpoint_id", "created_at DESC", "checkpoint_type",
        "creating_machine_id",
    },
    "hub_instances": {"status", "type"},
    "hub_checkpoints": {"hub_id", "created_at DESC", "checkpoint_type"},
    "hub_experiments": {"status", "started_at"},
}  # fmt: skip


@pytest.mark.req("S1-04", "S1-19", "S1-29", "S1-56", "S1-64", "S1-72")
@pytest.mark.parametrize("table", list(LEADING))
async def test_an_index_begins_with_each_column_that_is_asked_for(db: Database, table: str) -> None:
    found = await indexes_of(db, table)
    first = {covered.split("(", 1)[1].split(")")[0].split(",")[0] for covered in found.values()}
    wanted = LEADING[table] - ({"metadata"} if db.dialect.name == "sqlite" else set())
    assert wanted <= first


@pytest.mark.req("S1-30")
async def test_the_newest_verified_checkpoint_is_found_by_an_index_of_its_own(
    db: Database,
) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        for _ in range(30):
            await factories.add_checkpoint(tx, project.id)
        now = project.created_at
        await factories.add_checkpoint(
            tx, project.id, verification_status="verified", created_at=now, verified_at=now
        )
        await tx.session.execute(text("ANALYZE"))
    covered = (await indexes_of(db, "checkpoints"))["idx_checkpoints_active"]
    assert covered.startswith("(project_id, created_at DESC) WHERE")
    query = (
        "SELECT id FROM checkpoints WHERE project_id = :key AND verification_status = 'verified'"
        " ORDER BY created_at DESC LIMIT 1"
    )
    assert "idx_checkpoints_active" in await plan(db, query, key=project.id)


@pytest.mark.req("S1-46", "S1-47")
async def test_budgets_of_a_project_and_those_in_force_have_their_indexes(db: Database) -> None:
    found = await indexes_of(db, "resource_budgets")
    assert found["idx_budgets_project_period"] == "(project_id, period_start, period_end)"
    # A predicate with today's date is no index: the end of the period leads instead.
    assert found["idx_budgets_active"] == "(period_end, period_start)"
    query = "SELECT id FROM resource_budgets WHERE period_end >= '2026-11-25'"
    assert "idx_budgets_active" in await plan(db, query)


@pytest.mark.req("S1-77")
async def test_each_type_of_machine_has_one_row_of_performance(databases: TestDatabases) -> None:
    database = open_database(await databases.postgresql())
    found = await indexes_of(database, "mv_machine_performance")
    assert found == {"idx_mv_machine_performance": "UNIQUE (machine_type)"}
    await database.close()


@pytest.mark.req("S1-87")
def test_the_runbook_brings_back_what_matters_most_first() -> None:
    page = Path(__file__).parents[2] / "docs/guides/backup-and-restore.md"
    table = page.read_text().partition("Priority on the way back")[2]
    rows = re.findall(r"^\| (\w+) \| ", table, re.MULTILINE)
    assert rows[1:6] == ["projects", "checkpoints", "machines", "usage", "hubs"]


AUDIT = (
    C("at", "TIMESTAMPTZ", default=NOW),
    C("actor_type", "VARCHAR(20)"),
    C("actor_id", "VARCHAR(100)"),
    C("operation", "VARCHAR(200)"),
    C("resource_type", "VARCHAR(50)", null=True),
    C("resource_id", "VARCHAR(100)", null=True),
    C("outcome", "VARCHAR(20)"),
    C("reason", "VARCHAR(100)", null=True),
    C("request_id", "VARCHAR(100)", null=True),
    C("details", "JSONB", default={}),
)


@pytest.mark.req("S1-01")
async def test_all_state_is_in_one_database_with_a_trail_of_who_did_what(db: Database) -> None:
    await check_shape(db, "audit_log", AUDIT)
    mutable = {name for name, table in TABLES.items() if "updated_at" in table.c}
    assert {"projects", "intelligent_machines", "resource_budgets", "hub_instances"} <= mutable
    for name in ("checkpoints", "resource_usage", "maintenance_log", "audit_log"):
        times = {"created_at", "recorded_at", "performed_at", "at"} & set(TABLES[name].c.keys())
        assert len(times) == 1, name
    page = (Path(__file__).parents[2] / "docs/guides/database.md").read_text()
    assert "For several hosts or many workers take PostgreSQL" in " ".join(page.split())

"""The mappers against the relationship list of `schema.md`."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.orm import RelationshipProperty, configure_mappers, selectinload

from autovibe.db import Database
from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.db.errors import ForeignKeyViolationError, HiddenLoadError
from autovibe.testing import factories
from autovibe.testing.every_table import add_one_of_each

load_models()
configure_mappers()


class Said(NamedTuple):
    """What `schema.md` says of one relationship; "" and None are what it does not say."""

    target: str
    count: str
    lazy: str = "select"
    back: str = ""
    cascade: str = "merge, save-update"
    passive: bool | str | None = None
    order: str = ""


ALL: Final = "delete, delete-orphan, expunge, merge, refresh-expire, save-update"
ALL_BUT_ORPHANS: Final = "delete, expunge, merge, refresh-expire, save-update"
PLAIN: Final = "merge, save-update"
SAID: Final[dict[str, dict[str, Said]]] = {
    "projects": {
        "machines": Said("intelligent_machines", "many", "select", "project", PLAIN, "all"),
        "checkpoints": Said("checkpoints", "many", "select", "project", ALL, passive=True),
        "resource_usage": Said(
            "resource_usage", "many", "write_only", "project", ALL, passive=True
        ),
        "budgets": Said("resource_budgets", "many", "selectin", "project", ALL),
        "tasks": Said("tasks", "many", "write_only", "project", PLAIN),
        "context_documents": Said("context_documents", "many", "write_only", "project"),
    },
    "intelligent_machines": {
        "project": Said("projects", "one", "joined", "machines"),
        "checkpoints": Said(
            "checkpoints",
            "many",
            "select",
            "creating_machine",
            PLAIN,
            passive=True,
            order="created_at DESC",
        ),
        "parent_checkpoint": Said("checkpoints", "one", "joined", "spawned_machines"),
        "spawned_by_hub": Said("intelligent_machines", "one", back="spawned_machines"),
        "spawned_machines": Said("intelligent_machines", "many", back="spawned_by_hub"),
        "parent_machine": Said("intelligent_machines", "one", back="sub_machines"),
        "sub_machines": Said("intelligent_machines", "many", back="parent_machine"),
        "worker": Said("workers", "one"),
        "executions": Said("executions", "many", "write_only"),
        "usage_records": Said("resource_usage", "many", "write_only"),
        "agent_executions": Said("agent_executions", "many", "write_only"),
        "inbox": Said("machine_messages", "many", "write_only"),
    },
    "checkpoints": {
        "project": Said("projects", "one", "joined", "checkpoints"),
        "parent_checkpoint": Said("checkpoints", "one", back="child_checkpoints"),
        "child_checkpoints": Said("checkpoints", "many", back="parent_checkpoint"),
        "creating_machine": Said("intelligent_machines", "one", back="checkpoints"),
        "spawned_machines": Said("intelligent_machines", "many", back="parent_checkpoint"),
        "verification_jobs": Said(
            "checkpoint_verification_queue", "many", cascade=ALL_BUT_ORPHANS, passive=True
        ),
    },
    "checkpoint_verification_queue": {"checkpoint": Said("checkpoints", "one", "joined")},
    "resource_usage": {
        "project": Said("projects", "one", back="resource_usage"),
        "machine": Said("intelligent_machines", "one", back="usage_records"),
    },
    "resource_budgets": {"project": Said("projects", "one", back="budgets")},
    "hub_instances": {
        "machine": Said("intelligent_machines", "one", "joined"),
        "checkpoints": Said("hub_checkpoints", "many"),
        "parent_hub": Said("hub_instances", "one", back="child_hubs"),
        "child_hubs": Said("hub_instances", "many", back="parent_hub"),
        "experiments_as_original": Said("hub_experiments", "many", back="original_hub"),
        "experiments_as_experimental": Said("hub_experiments", "many", back="experimental_hub"),
        "experiment": Said("hub_experiments", "one"),
    },
    "hub_checkpoints": {
        "hub": Said("hub_instances", "one", "joined"),
        "experiments": Said("hub_experiments", "many", back="base_checkpoint"),
    },
    "hub_experiments": {
        "base_checkpoint": Said("hub_checkpoints", "one"),
        "original_hub": Said("hub_instances", "one"),
        "experimental_hub": Said("hub_instances", "one"),
    },
    "machine_messages": {
        "sender": Said("intelligent_machines", "one"),
        "recipient": Said("intelligent_machines", "one", back="inbox"),
    },
    "users": {
        "tasks": Said("tasks", "many", "write_only", "creator"),
        "context_documents": Said("context_documents", "many", "write_only", "creator"),
        "chat_messages": Said("chat_messages", "many", "write_only", cascade="merge"),
        "orders": Said("orders", "many", back="user", passive=True),
        "tool_executions": Said("tool_executions", "many", back="user", passive=True),
    },
    "workers": {
        "assignments": Said(
            "worker_assignments", "many", "write_only", cascade=PLAIN, passive=True
        ),
        "executions": Said("executions", "many", "write_only", cascade=PLAIN, passive=True),
        "capability_rows": Said("worker_capabilities", "many", "selectin", "worker", ALL),
        "machines": Said("intelligent_machines", "many"),
        "assigned_tasks": Said("tasks", "many", "write_only", "assignee"),
    },
    "worker_capabilities": {"worker": Said("workers", "one")},
    "tasks": {
        "project": Said("projects", "one", back="tasks"),
        "creator": Said("users", "one", back="tasks"),
        "assignee": Said("workers", "one", back="assigned_tasks"),
        "parent_task": Said("tasks", "one", back="subtasks"),
        "subtasks": Said("tasks", "many", cascade=ALL_BUT_ORPHANS, passive=True),
        "work_orders": Said("work_orders", "many"),
        "executions": Said("executions", "many"),
        "dependencies": Said("task_dependencies", "many", "selectin", "task", ALL),
        "dependents": Said("task_dependencies", "many", "selectin", "depends_on", ALL),
        "conversations": Said("chat_conversations", "many"),
    },
    "task_dependencies": {
        "task": Said("tasks", "one", back="dependencies"),
        "depends_on": Said("tasks", "one", back="dependents"),
    },
    "work_orders": {
        "task": Said("tasks", "one"),
        "assignments": Said(
            "worker_assignments", "many", "selectin", "", ALL_BUT_ORPHANS, passive=True
        ),
        "executions": Said("executions", "many"),
    },
    "worker_assignments": {
        "worker": Said("workers", "one"),
        "work_order": Said("work_orders", "one"),
        "machine": Said("intelligent_machines", "one"),
    },
    "executions": {
        "task": Said("tasks", "one"),
        "worker": Said("workers", "one"),
        "work_order": Said("work_orders", "one"),
        "machine": Said("intelligent_machines", "one"),
        "result_checkpoint": Said("checkpoints", "one"),
        "logs": Said("execution_logs", "many", "write_only", "", ALL_BUT_ORPHANS, passive=True),
        "agent_executions": Said("agent_executions", "many"),
    },
    "execution_logs": {"execution": Said("executions", "one")},
    "chat_conversations": {
        "messages": Said("chat_messages", "many", "write_only", order="created_at"),
        "project": Said("projects", "one"),
        "task": Said("tasks", "one"),
        "creator": Said("users", "one"),
    },
    "chat_messages": {
        "conversation": Said("chat_conversations", "one"),
        "parent": Said("chat_messages", "one", back="replies"),
        "replies": Said("chat_messages", "many", back="parent"),
        "attachments": Said("chat_attachments", "many", "selectin", "message", ALL, passive=True),
    },
    "chat_attachments": {"message": Said("chat_messages", "one")},
    "context_documents": {
        "creator": Said("users", "one"),
        "project": Said("projects", "one"),
        "versions": Said(
            "context_document_versions", "many", "select", "document", ALL, order="version DESC"
        ),
        "chunks": Said("rag_documents", "many", "write_only", passive=True),
    },
    "context_document_versions": {"document": Said("context_documents", "one")},
    "orders": {"user": Said("users", "one", back="orders")},
    "llm_round_table_results": {"task_execution": Said("executions", "one")},
    "agent_executions": {
        "task_execution": Said("executions", "one"),
        "machine": Said("intelligent_machines", "one"),
        "tool_executions": Said("tool_executions", "many", passive=True),
    },
    "tool_executions": {
        "user": Said("users", "one", back="tool_executions"),
        "agent_execution": Said("agent_executions", "one"),
    },
    "rag_documents": {"context_document": Said("context_documents", "one")},
}
NAMES: Final = [(table, name) for table, said in SAID.items() for name in said]


def relation(table: str, name: str) -> RelationshipProperty[Any]:
    return factories.model(table).__mapper__.relationships[name]


@pytest.mark.req("S0-85", "S0-86", "S0-90", "S0-93", "S0-95", "S0-96", "S4-16")
@pytest.mark.parametrize(("table", "name"), NAMES)
def test_a_relationship_is_as_the_schema_says(table: str, name: str) -> None:
    said, found = SAID[table][name], relation(table, name)
    assert found.mapper.local_table.name == said.target
    assert ("many" if found.uselist else "one") == said.count
    assert found.lazy == said.lazy
    assert ", ".join(sorted(found.cascade)) == said.cascade
    if said.back:
        assert found.back_populates == said.back
        assert found.mapper.relationships[said.back].back_populates == name
    if said.passive is not None:
        assert found.passive_deletes == said.passive
    ordered = ", ".join(str(item).rpartition(".")[2] for item in found.order_by or ())
    assert not said.order or ordered == said.order


def test_collections_leave_deletion_to_the_database() -> None:
    for mapper in Base.registry.mappers:
        for found in mapper.relationships:
            if found.direction.name == "ONETOMANY" and not found.viewonly:
                assert found.passive_deletes, f"{mapper}.{found.key}"


@pytest.mark.req("S0-88", "S0-92")
def test_soft_references_are_no_relationships() -> None:
    for table, column in (
        ("projects", "initial_checkpoint_id"),
        ("projects", "current_checkpoint_id"),
        ("intelligent_machines", "last_checkpoint_id"),
    ):
        relations = factories.model(table).__mapper__.relationships
        assert column.removesuffix("_id") not in relations
        assert not any(column in {c.name for c in found.local_columns} for found in relations)


@pytest.mark.req("S0-19")
def test_a_hub_has_two_roles_in_experiments() -> None:
    roles = {
        name: {column.name for column in relation("hub_instances", name).remote_side}
        for name in ("experiments_as_original", "experiments_as_experimental")
    }
    assert roles == {
        "experiments_as_original": {"original_hub_id"},
        "experiments_as_experimental": {"experimental_hub_id"},
    }
    assert relation("hub_instances", "experiment").post_update


async def test_reading_what_was_not_loaded_is_an_error_that_names_it(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    async with db.read() as tx:
        task = await tx.session.get_one(factories.model("tasks"), rows["tasks"].id)
        with pytest.raises(HiddenLoadError, match=r"Task\.work_orders was read before"):
            _ = task.work_orders
        assert [order.id for order in await task.awaitable_attrs.work_orders] == [
            rows["work_orders"].id
        ]
        tx.session.expire(task)
        with pytest.raises(HiddenLoadError, match="Task was read after it had expired"):
            _ = task.title
    async with db.read() as tx:
        model = factories.model("tasks")
        query = select(model).where(model.id == rows["tasks"].id)
        task = (await tx.session.scalars(query.options(selectinload(model.executions)))).one()
        assert [execution.id for execution in task.executions] == [rows["executions"].id]


@pytest.mark.req("S0-89", "S0-91")
async def test_a_machine_comes_with_its_project_and_its_checkpoint(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    async with db.read() as tx:
        machine = await tx.session.get_one(
            factories.model("intelligent_machines"), rows["intelligent_machines"].id
        )
        assert machine.project.id == rows["projects"].id
        assert machine.parent_checkpoint.project is machine.project


async def test_the_orm_does_not_walk_around_a_restriction(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
    with pytest.raises(ForeignKeyViolationError) as caught:  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            found = await tx.session.get_one(factories.model("projects"), project.id)
            assert len(await found.awaitable_attrs.machines) == 1
            await tx.session.delete(found)
    assert caught.value.reason == "PROJECT_HAS_MACHINES"
    async with db.read() as tx:
        kept = await tx.session.get_one(factories.model("intelligent_machines"), machine.id)
        assert kept.project_id == project.id


@pytest.mark.req("S0-20")
async def test_hubs_form_a_chain(db: Database) -> None:
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
        parent = rows["hub_instances"]
        children = await parent.awaitable_attrs.child_hubs
        assert [child.parent_hub_id for child in children] == [parent.id]
        assert (await children[0].awaitable_attrs.parent_hub) is parent


@pytest.mark.req("S0-60")
async def test_a_project_takes_its_rows_with_it_and_lets_tasks_stay(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        checkpoint = await factories.add_checkpoint(tx, project.id)
        task = await factories.add_task(tx, project.id)
        await factories.add_budget(tx, project.id)
    async with db.write() as tx:
        await tx.session.delete(await tx.session.get_one(factories.model("projects"), project.id))
    async with db.read() as tx:
        assert await tx.session.get(factories.model("checkpoints"), checkpoint.id) is None
        left = await tx.session.get_one(factories.model("tasks"), task.id)
        assert left.project_id is None

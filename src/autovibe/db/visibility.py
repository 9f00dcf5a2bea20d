"""What a person may see: rows of the projects that they belong to (decision E6).

A session that is limited to a viewer adds the condition to every statement by itself, so that what
one may not see is not there: an id, its prefix, a list, a count, a graph or a report cannot tell it
from what never was. A statement that cannot be limited is refused, unless it says why it need not
be (`UNLIMITED`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import ColumnElement, Insert, Select, Table, Uuid, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, ORMExecuteState, with_loader_criteria
from sqlalchemy.sql import visitors

from autovibe.db.base import Base

if TYPE_CHECKING:
    from autovibe.db.session import ReadTx

VIEWER: Final = "autovibe.viewer"
"""Key of the viewer in `Session.info`; a session without one sees everything."""
UNLIMITED: Final = "autovibe_unlimited"
"""Execution option of a statement that is not limited; its value says why."""
_SHORTEST_PREFIX: Final = 8
_OPTIONS: Final = "autovibe.viewer_options"
_OWN: Final = frozenset({"chat_conversations", "context_documents", "tasks"})
"""Tables whose rows without a project are seen by who made them."""

OWNERS: Final[Mapping[str, str]] = {
    "agent_executions": "task_execution_id",
    "approval_requests": "task_id",
    "budget_holds": "reservation_id",
    "chat_attachments": "message_id",
    "chat_messages": "conversation_id",
    "checkpoint_verification_queue": "checkpoint_id",
    "context_document_versions": "document_id",
    "execution_logs": "execution_id",
    "executions": "task_id",
    "llm_round_table_results": "task_execution_id",
    "machine_messages": "recipient_machine_id",
    "rag_documents": "context_document_id",
    "task_dependencies": "task_id",
    "tool_executions": "agent_execution_id",
    "work_orders": "task_id",
    "worker_assignments": "work_order_id",
}
"""Tables without `project_id` whose rows belong to a row of another: by which column."""
_SOFT_OWNERS: Final = {"budget_holds": "budget_reservations"}
"""The other table where that column is no foreign key."""


@dataclass(frozen=True)
class Viewer:
    """A person, and the roles as a member of a project that count for what they do now."""

    user_id: uuid.UUID
    roles: tuple[str, ...]


def limit(session: AsyncSession, viewer: Viewer) -> None:
    """Let a session see only what belongs to the viewer's projects."""
    session.info[VIEWER] = viewer
    session.info.pop(_OPTIONS, None)


def limit_statement(state: ORMExecuteState) -> None:
    """Add the viewer's conditions to a statement of a limited session.

    Every part of a statement on tables is limited: what it selects from may be another part.

    Raises:
        TypeError: it cannot be limited, and does not say why it need not be.
    """
    viewer: Viewer | None = state.session.info.get(VIEWER)
    if viewer is None or UNLIMITED in state.execution_options or state.is_column_load:
        return
    statement = state.statement
    if isinstance(statement, Insert):
        return
    if state.is_orm_statement:
        state.statement = statement.options(*_options(state.session.info, viewer))
        return
    if not isinstance(statement, Select):
        raise TypeError(f"a statement of a limited session is not limited: {statement}")

    def limit_part(part: Select[*tuple[Any, ...]]) -> None:
        rules = [_rule_of(one, viewer) for one in _tables_of(part.get_final_froms())]
        # A clone of the traversal, which nobody else has: `where()` would make another one.
        part._where_criteria += tuple(rule for rule in rules if rule is not None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as said above

    state.statement = visitors.cloned_traverse(statement, {}, {"select": limit_part})  # pyright: ignore[reportUnknownArgumentType]  # a Select of anything


async def sees_any(tx: ReadTx, viewer: Viewer, names: Iterable[str]) -> bool:
    """Return whether one of these is an id, the beginning of one, or a name of what is seen."""
    for name in names:
        for query in _queries(viewer, name):
            if await tx.session.scalar(query) is not None:
                return True
    return False


def _queries(viewer: Viewer, text: str) -> Iterator[Select[tuple[uuid.UUID]]]:
    low, high = _id_range(text)
    for name, table in Base.metadata.tables.items():
        rule = _rule(table, dict(table.c), viewer)
        if rule is None or "id" not in table.c:
            continue
        if name == "projects":
            yield select(table.c.id).where(rule, table.c.name == text).limit(1)
        if low is not None and isinstance(table.c.id.type, Uuid):
            yield select(table.c.id).where(rule, table.c.id.between(low, high)).limit(1)


def limited_tables() -> set[str]:
    """Return the names of the tables of which a viewer sees a part only."""
    anybody = Viewer(uuid.UUID(int=0), ())
    tables = Base.metadata.tables
    return {
        name for name, table in tables.items() if _rule(table, dict(table.c), anybody) is not None
    }


def _options(info: dict[Any, Any], viewer: Viewer) -> list[Any]:
    """Return what limits every model, made once for a session."""
    options: list[Any] | None = info.get(_OPTIONS)
    if options is None:
        options = info[_OPTIONS] = [
            with_loader_criteria(mapper.class_, rule, include_aliases=True)
            for mapper, rule in _mapped_rules(viewer)
        ]
    return options


def _mapped_rules(viewer: Viewer) -> Iterator[tuple[Mapper[Any], ColumnElement[bool]]]:
    for mapper in Base.registry.mappers:
        table = cast("Table", mapper.local_table)
        # Attributes, not columns: they follow the aliases of a statement.
        columns = {
            column.name: getattr(mapper.class_, mapper.get_property_by_column(column).key)
            for column in table.columns
        }
        rule = _rule(table, columns, viewer)
        if rule is not None:
            yield mapper, rule


def _rule_of(part: Any, viewer: Viewer) -> ColumnElement[bool] | None:
    """Return the condition of a table or alias in a statement."""
    origin = part.element if part.__visit_name__ == "alias" else part
    table = Base.metadata.tables.get(getattr(origin, "name", ""))
    if table is None:
        return None
    if "project_id" in part.c or table.name in {"projects", *OWNERS}:
        return _rule(table, dict(part.c), viewer)
    rule = _rule(table, dict(table.c), viewer)  # named with some of its columns only
    if rule is None:
        return None
    return part.c.id.in_(select(table.c.id).where(rule).correlate(None))


def _rule(table: Table, columns: Mapping[str, Any], viewer: Viewer) -> ColumnElement[bool] | None:
    """Return the condition of the rows that a viewer sees; None where everybody sees all."""
    if table.name == "projects":
        return columns["id"].in_(_projects_of(viewer))
    if "project_id" in table.c:
        mine = columns["project_id"].in_(_projects_of(viewer))
        if table.name not in _OWN or "created_by" not in columns:
            return mine
        own = columns["created_by"] == viewer.user_id
        return or_(mine, and_(columns["project_id"].is_(None), own))
    key = OWNERS.get(table.name)
    if key is None:
        return None
    soft = _SOFT_OWNERS.get(table.name)
    keys = table.c[key].foreign_keys
    owner = Base.metadata.tables[soft] if soft else next(iter(keys)).column.table
    rule = _rule(owner, dict(owner.c), viewer)
    if rule is None:
        return None
    return columns[key].in_(select(owner.c.id).where(rule).correlate(None))


def _projects_of(viewer: Viewer) -> Select[tuple[uuid.UUID]]:
    members = Base.metadata.tables["project_members"]
    return (
        select(members.c.project_id)
        .where(members.c.user_id == viewer.user_id, members.c.role.in_(viewer.roles))
        .correlate(None)
    )


def _tables_of(froms: Iterable[Any]) -> Iterator[Any]:
    for part in froms:
        if part.__visit_name__ == "join":
            yield from _tables_of((part.left, part.right))
        elif part.__visit_name__ in {"table", "alias"}:
            yield part


def _id_range(text: str) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    digits = text.replace("-", "")
    if len(digits) < _SHORTEST_PREFIX:
        return None, None
    try:
        return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    except ValueError:
        return None, None

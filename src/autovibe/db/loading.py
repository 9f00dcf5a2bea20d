"""What every ORM query keeps to: no load that is not asked for, no lock that was not meant.

Relationships have the loading that `schema.md` gives them, so reading one that was not loaded would
query the database in the middle of synchronous code. Ask for it in the query
(`options(selectinload(...))`) or with `await row.awaitable_attrs.name`.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Select, event, inspect
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session
from sqlalchemy.util.concurrency import in_greenlet

from autovibe.db.errors import HiddenLoadError


@event.listens_for(Session, "do_orm_execute")
def _keep_to_the_rules(state: ORMExecuteState) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
    if not state.is_select:
        return
    # Hot work on SQLite runs without a greenlet, and asks for what it wants (`db.in_place`).
    hidden = state.lazy_loaded_from is not None or state.is_column_load
    if hidden and not in_greenlet():
        raise HiddenLoadError(_what(state))
    if isinstance(state.statement, Select):
        statement = cast("Select[Any]", state.statement)
        state.statement = _lock_own_rows_only(statement, state.bind_mapper)


def _what(state: ORMExecuteState) -> str:
    loaded: InstanceState[object] | None = state.lazy_loaded_from
    path = state.loader_strategy_path
    if loaded is not None and path is not None:
        name = f"{loaded.mapper.class_.__name__}.{path[-1].key}"  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportIndexIssue]  # the last step of a lazy load is the relationship
        return (
            f"{name} was read before it was loaded; name it in the query's options, or read it by "
            "`await row.awaitable_attrs`."
        )
    mapper = state.bind_mapper
    name = mapper.class_.__name__ if mapper is not None else "A row"
    return f"{name} was read after it had expired; refresh it in the transaction first."


def _lock_own_rows_only(statement: Select[Any], mapper: Mapper[Any] | None) -> Select[Any]:
    """Lock the rows that were asked for, not those that eager loading joins to them.

    PostgreSQL refuses FOR UPDATE on the outer side of a join, and would lock whole projects on the
    inner one.
    """
    lock = statement._for_update_arg  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # there is no public way to ask
    if lock is None or lock.of is not None or mapper is None:
        return statement
    return statement.with_for_update(
        of=inspect(mapper.class_),
        read=lock.read,
        nowait=lock.nowait,
        skip_locked=lock.skip_locked,
        key_share=lock.key_share,
    )

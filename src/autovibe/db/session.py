"""Transactions as types: what only reads takes a `ReadTx`, what writes needs a `WriteTx`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Delete, Insert, Update, event, insert, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, UOWTransaction

from autovibe.db.base import CLOCK, Base, Timestamps
from autovibe.db.cache import changed_keys
from autovibe.db.dialects.base import Dialect
from autovibe.db.records import AuditOutcome, AuditRecord, OutboxEvent, text_id
from autovibe.db.visibility import limit_statement
from autovibe.kernel.clock import Clock

_CLOCK_KEY: Final = "autovibe.clock"
_OUTBOX: Final[Any] = OutboxEvent.__table__
_STALE_KEY: Final = "autovibe.stale"


class ReadTx:
    """A transaction that may only read; the database refuses a write in it."""

    def __init__(self, session: AsyncSession, dialect: Dialect) -> None:
        """Wrap a session whose transaction `Database.read()` opened."""
        self.session = session
        self.dialect = dialect


class WriteTx(ReadTx):
    """A transaction that `Database.write()` commits when its block ends without an error."""

    def __init__(self, session: AsyncSession, dialect: Dialect) -> None:
        """Wrap a session, and collect what the transaction makes stale in the query cache."""
        super().__init__(session, dialect)
        info = getattr(session, "info", None)
        self.stale_keys: set[str] = set() if info is None else info.setdefault(_STALE_KEY, set())
        self.rings: dict[str, list[str]] = {}

    def stale(self, table: str, row_id: object = None) -> None:
        """Make answers about a table, or a row of it, stale after the commit.

        Needed where SQL goes past the session only: what the session writes is noticed.
        """
        self.stale_keys.update(changed_keys(table, row_id))

    def ring(self, topic: str, *items: str) -> None:
        """Ring a bell when the transaction commits, once however often this is called.

        Whoever waits for the topic, in this process or another, wakes up (see `db.bells`).

        Args:
            topic: at most 100 characters.
            items: what it rings for, where the bell's way can carry that.
        """
        self.rings.setdefault(topic, []).extend(items)

    def emit(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Add an event; it is relayed after the commit.

        Args:
            topic: at most 100 characters.
            payload: what `json` can write.
        """
        self.session.add(OutboxEvent(topic=topic, payload=dict(payload)))

    async def emit_at_once(self, topic: str, payload: Mapping[str, Any], at: datetime) -> None:
        """Add an event by a statement of its own: hot operations add no objects.

        Args:
            topic: at most 100 characters.
            payload: what `json` can write.
            at: the time.
        """
        event_row = {"topic": topic, "payload": dict(payload), "created_at": at}
        await self.session.execute(insert(OutboxEvent), [event_row])

    async def emit_many(self, topic: str, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Add events of one topic, in one statement."""
        rows = [{"topic": topic, "payload": dict(payload)} for payload in payloads]
        await self.dialect.insert_bulk(self.session, _OUTBOX, rows)

    def audit(
        self,
        *,
        actor_type: str,
        actor_id: str,
        operation: str,
        outcome: AuditOutcome | str = AuditOutcome.OK,
        resource_type: str | None = None,
        resource_id: uuid.UUID | str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a row to the audit trail, in the transaction of what it tells of."""
        self.session.add(
            AuditRecord(
                actor_type=actor_type,
                actor_id=actor_id,
                operation=operation,
                outcome=AuditOutcome(outcome),
                resource_type=resource_type,
                resource_id=text_id(resource_id),
                reason=reason,
                request_id=request_id,
                details=dict(details or {}),
            )
        )


class ClockedSession(Session):
    """A session whose flush takes times from the injected clock."""


def new_session(engine: AsyncEngine, clock: Clock) -> AsyncSession:
    """Return a session on an engine. Objects stay readable after the commit."""
    return AsyncSession(
        engine,
        sync_session_class=ClockedSession,
        expire_on_commit=False,
        info={_CLOCK_KEY: clock},
    )


@event.listens_for(ClockedSession, "before_flush")
def _set_times(session: Session, context: UOWTransaction, instances: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
    """Fill the times that a row takes from the clock, so that no value has to be read back."""
    del context, instances
    if not session.new and not session.dirty and not session.deleted:
        return
    clock: Clock = session.info[_CLOCK_KEY]
    now = clock.now()
    _note_changes(session)
    for instance in session.new:
        mapper: Mapper[Base] = inspect(cast("Base", instance)).mapper
        for attribute in mapper.column_attrs:
            column = attribute.columns[0]
            if CLOCK in column.info and getattr(instance, attribute.key) is None:
                setattr(instance, attribute.key, now)
    for instance in session.dirty:
        if isinstance(instance, Timestamps) and session.is_modified(instance):
            state = inspect(cast("Base", instance))
            if not state.attrs.updated_at.history.has_changes():
                instance.updated_at = now


def _note_changes(session: Session) -> None:
    """Collect what the rows of a flush make stale."""
    stale: set[str] | None = session.info.get(_STALE_KEY)
    if stale is None:
        return
    for kind, instances in enumerate((session.new, session.dirty, session.deleted)):
        for instance in instances:
            mapper: Mapper[Base] = inspect(cast("Base", instance)).mapper
            table = str(mapper.local_table.name)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]  # every model has a table of its own
            key = mapper.primary_key_from_instance(cast("Base", instance))
            stale.update(changed_keys(table, key[0], is_new=kind == 0))


@event.listens_for(ClockedSession, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
    """Limit a statement to its viewer; collect what it makes stale that names no object."""
    limit_statement(state)
    stale: set[str] | None = state.session.info.get(_STALE_KEY)
    statement = state.statement
    if stale is not None and isinstance(statement, Insert | Update | Delete):
        table = str(getattr(statement.table, "name", ""))
        stale.update(changed_keys(table, is_new=isinstance(statement, Insert)))

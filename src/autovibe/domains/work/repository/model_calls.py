"""Queries on the calls of models that are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy import delete as sql_delete

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import AgentExecution

KIND: Final = "model_call"


async def find(tx: ReadTx, request_id: str) -> AgentExecution | None:
    """Return the call of an id."""
    found = await tx.session.scalars(
        select(AgentExecution).where(AgentExecution.execution_id == request_id, _is_call())
    )
    return found.one_or_none()


async def count(tx: ReadTx, before: datetime) -> int:
    """Return how many calls are older."""
    query = select(func.count()).select_from(AgentExecution).where(_older(before))
    return (await tx.session.execute(query)).scalar_one()


async def delete(tx: WriteTx, before: datetime, limit: int) -> int:
    """Delete the oldest calls; return how many."""
    oldest = (
        select(AgentExecution.id)
        .where(_older(before))
        .order_by(AgentExecution.created_at)
        .limit(limit)
    )
    gone = await tx.session.execute(
        sql_delete(AgentExecution)
        .where(AgentExecution.id.in_(oldest))
        .returning(AgentExecution.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


def _older(before: datetime) -> ColumnElement[bool]:
    return and_(AgentExecution.created_at < before, _is_call())


def _is_call() -> ColumnElement[bool]:
    return AgentExecution.metadata_["kind"].as_string() == KIND

"""Lists in the order that a caller wants, a page at a time."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from sqlalchemy import Select, SQLColumnExpression, or_

RowT = TypeVar("RowT")


def in_order(
    query: Select[RowT],
    column: SQLColumnExpression[Any],
    row_id: SQLColumnExpression[uuid.UUID],
    *,
    descending: bool,
    after: tuple[Any, uuid.UUID] | None,
) -> Select[RowT]:
    """Sort a query by a column, then by id, and begin after a place.

    Args:
        query: what is sorted.
        column: never null.
        row_id: the key of the rows, so that equal values have an order of their own.
        descending: the largest first.
        after: value and id of the last row seen.
    """
    query = query.order_by(column.desc() if descending else column, row_id)
    if after is None:
        return query
    value, last_id = after
    beyond = column < value if descending else column > value
    return query.where(or_(beyond, (column == value) & (row_id > last_id)))

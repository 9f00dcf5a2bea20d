"""The hot statements of the queue: which routes have orders, taking orders, ending them.

They are written out because their plans matter (facts: a claim whose plan changes to a join walks
the whole table, and one that filters walks over every order ahead). What keeps them: the orders of
one route are read in the order of the claim index and nowhere else, the choice is made once by
`ARRAY(SELECT ...)`, and the task is looked up by a subquery that no planner turns into a join.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Double, Integer, String, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Written
from autovibe.db.types import Json, UtcDateTime

_PARTS: Final = {
    "pending": (
        "w.queue_name = :queue AND w.status = 'pending' AND w.route = {route}"
        " AND w.available_at <= :now AND {may_start}"
    ),
    "may_start": "(SELECT t.status = 'queued' {unless_full} FROM tasks t WHERE t.id = w.task_id)",
    "in_order": "ORDER BY w.priority DESC, w.fair_key, w.id",
    "first_route": (
        "SELECT w.route FROM work_orders w WHERE w.queue_name = :queue AND w.status = 'pending'"
    ),
    "routes": """
WITH RECURSIVE routes (route) AS (
    SELECT ({first_route} ORDER BY w.route LIMIT 1)
    UNION ALL
    SELECT ({first_route} AND w.route > r.route ORDER BY w.route LIMIT 1)
    FROM routes r WHERE r.route IS NOT NULL
)
""",
    "claimed": (
        "status = 'claimed', lease_generation = lease_generation + 1, lease_expires_at = :until,"
        " claimed_at = :now, updated_at = :now"
    ),
    "columns": (
        "id, task_id, lease_generation, priority, fair_key, payload, timeout_seconds, retry_count,"
        " route"
    ),
}
_WORD: Final = re.compile(r"\{([a-z_]+)\}")


def _sql(written: str) -> str:
    """Put the parts that statements share in their places."""
    while True:
        whole = _WORD.sub(lambda found: _PARTS.get(found[1], found[0]), written)
        if whole == written:
            return whole
        written = whole


ROUTES: Final = _sql("{routes} SELECT route FROM routes WHERE route IS NOT NULL")
"""Each route that has pending orders, found in one step of the index each."""
LOWEST: Final = _sql("""
{routes}
SELECT min(lane.fair_key) FROM (
    SELECT (
        SELECT w.fair_key FROM work_orders w
        WHERE w.queue_name = :queue AND w.status = 'pending' AND w.route = r.route
        AND w.priority = p.priority ORDER BY w.fair_key LIMIT 1
    ) AS fair_key
    FROM routes r CROSS JOIN (
        SELECT 0 AS priority UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
    ) p WHERE r.route IS NOT NULL AND r.route <> '-'
) lane
""")
"""The lowest fair key that waits, found in one step of the index for each lane."""

PEEK: Final = _sql("""
SELECT c.route FROM unnest(CAST(:routes AS text[])) AS r (route) CROSS JOIN LATERAL (
    SELECT w.route, w.priority, w.fair_key, w.id FROM work_orders w
    WHERE {pending} {in_order} LIMIT :most
) c ORDER BY c.priority DESC, c.fair_key, c.id LIMIT :most
""").replace("{route}", "r.route")
TAKE: Final = _sql("""
UPDATE work_orders SET {claimed} WHERE id = ANY (ARRAY(
    SELECT c.id
    FROM unnest(CAST(:routes AS text[]), CAST(:wants AS int[])) AS r (route, want)
    CROSS JOIN LATERAL (
        SELECT w.id FROM work_orders w
        WHERE {pending} {in_order} LIMIT r.want FOR UPDATE OF w SKIP LOCKED
    ) c
)) RETURNING {columns}
""").replace("{route}", "r.route")
ONE_ROUTE: Final = _sql("""
SELECT w.id, w.priority, w.fair_key FROM work_orders w WHERE {pending} {in_order} LIMIT :most
""").replace("{route}", ":route")
_TAKE_BY_ID: Final = _sql("UPDATE work_orders SET {claimed} WHERE id IN :ids RETURNING {columns}")
_TAKE_ONE: Final = _sql("""
UPDATE work_orders SET {claimed} WHERE id = (
    SELECT w.id FROM work_orders w
    WHERE w.task_id = :task_id AND w.queue_name = :queue AND w.status = 'pending'
    AND w.available_at <= :now AND {may_start}
    ORDER BY w.id LIMIT 1 {lock}
) RETURNING {columns}
""")
ABOVE: Final = _sql("""
UPDATE work_orders SET {claimed} WHERE id = ANY (ARRAY(
    SELECT w.id FROM work_orders w
    WHERE {pending} AND w.priority = :priority AND w.fair_key >= :mark
    ORDER BY w.fair_key, w.id LIMIT :most FOR UPDATE OF w SKIP LOCKED
)) RETURNING {columns}
""").replace("{route}", ":route")
"""As TAKE, of one lane, from a fair key on."""
_SNAPSHOT_AGE: Final = Written(
    text(
        "SELECT coalesce(max(age(held)), 0) AS held_age FROM ("
        " SELECT backend_xmin AS held FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " UNION ALL SELECT xmin FROM pg_replication_slots"
        ") horizons WHERE held IS NOT NULL"
    ).columns(held_age=Integer())
)
_UNLESS_FULL: Final = {
    "postgresql": "AND (t.project_id IS NULL OR t.project_id <> ALL (CAST(:full AS uuid[])))",
    "sqlite": "AND (t.project_id IS NULL OR t.project_id NOT IN :full)",
}


class Taken(NamedTuple):
    """A work order that was just claimed."""

    id: uuid.UUID
    task_id: uuid.UUID
    lease_generation: int
    priority: int
    fair_key: float
    payload: dict[str, Any]
    timeout_seconds: int
    retry_count: int
    route: str


@dataclass(frozen=True)
class Claim:
    """What is to be claimed: of which queue, how long for, and whose projects are left out."""

    queue_name: str
    now: datetime
    until: datetime
    most: int
    full: Sequence[uuid.UUID] = ()

    def values(self) -> dict[str, Any]:
        """Return the parameters that all statements share."""
        return {"queue": self.queue_name, "now": self.now, "full": list(self.full)}


async def pending_routes(tx: ReadTx, queue_name: str) -> Sequence[str]:
    """Return each route that has pending orders."""
    return [row[0] for row in await _ROUTES.rows(tx, {"queue": queue_name})]


async def lowest_fair_key(tx: ReadTx, queue_name: str) -> float | None:
    """Return the lowest fair key among the orders of a queue that may be claimed."""
    return await tx.session.scalar(_LOWEST, {"queue": queue_name})


async def take(tx: WriteTx, claim: Claim, routes: Sequence[str]) -> list[Taken]:
    """Claim the next orders of some routes, in the order in which they are to be done.

    Orders that others are claiming at this moment are skipped.
    """
    if not routes:
        return []
    tx.stale("work_orders")
    if tx.dialect.name == "sqlite":
        return await _take_on_sqlite(tx, claim, routes)
    wants = {routes[0]: claim.most}
    if len(routes) > 1:
        # Which routes the next orders are of: otherwise each route would have as many locked.
        peeked = await _statement(PEEK, "postgresql", full=bool(claim.full)).rows(
            tx, {**claim.values(), "routes": list(routes), "most": claim.most}
        )
        found = sorted(row[0] for row in peeked)
        wants = {route: len(list(same)) for route, same in groupby(found)}
        if not wants:
            return []
    taken = await _statement(TAKE, "postgresql", full=bool(claim.full)).rows(
        tx,
        {
            **claim.values(),
            "until": claim.until,
            "routes": list(wants),
            "wants": list(wants.values()),
        },
    )
    return _in_order(taken)


async def take_above(
    tx: WriteTx, claim: Claim, route: str, priority: int, mark: float
) -> list[Taken]:
    """Claim the next orders of one lane whose fair key is not below a mark (PostgreSQL)."""
    tx.stale("work_orders")
    taken = await _statement(ABOVE, "postgresql", full=bool(claim.full)).rows(
        tx,
        {
            **claim.values(),
            "until": claim.until,
            "route": route,
            "priority": priority,
            "mark": mark,
            "most": claim.most,
        },
    )
    return _in_order(taken)


async def snapshot_age(tx: ReadTx) -> int:
    """Return how many transactions old the oldest snapshot is that somebody holds; SQLite: 0."""
    if tx.dialect.name == "sqlite":
        return 0
    return int((await _SNAPSHOT_AGE.rows(tx, {}))[0][0])


async def take_of_task(tx: WriteTx, claim: Claim, task_id: uuid.UUID) -> list[Taken]:
    """Claim the pending order of one task, if it is there and nobody else is claiming it."""
    tx.stale("work_orders")
    lock = "" if tx.dialect.name == "sqlite" else "FOR UPDATE OF w SKIP LOCKED"
    statement = _statement(
        _TAKE_ONE.replace("{lock}", lock), tx.dialect.name, full=bool(claim.full)
    )
    values = {**claim.values(), "until": claim.until, "task_id": task_id}
    return _in_order(await statement.rows(tx, values))


async def give_back(tx: WriteTx, order_ids: Sequence[uuid.UUID]) -> None:
    """Make orders pending again that this transaction took; their generation stays used."""
    if order_ids:
        await _GIVE_BACK[tx.dialect.name].rows(tx, {"ids": list(order_ids)})


async def _take_on_sqlite(tx: WriteTx, claim: Claim, routes: Sequence[str]) -> list[Taken]:
    query = _statement(ONE_ROUTE, "sqlite", full=bool(claim.full))
    candidates: list[tuple[int, float, uuid.UUID]] = []
    for route in routes:
        found = await query.rows(tx, {**claim.values(), "route": route, "most": claim.most})
        candidates += [(-priority, fair_key, one) for one, priority, fair_key in found]
    ids = [order_id for _, _, order_id in sorted(candidates)[: claim.most]]
    if not ids:
        return []
    taken = await _statement(_TAKE_BY_ID, "sqlite", full=False).rows(
        tx, {"ids": ids, "now": claim.now, "until": claim.until}
    )
    return _in_order(taken)


def _in_order(rows: Sequence[Any]) -> list[Taken]:
    taken = [Taken(*row) for row in rows]
    return sorted(taken, key=lambda one: (-one.priority, one.fair_key, one.id))


_TYPES: Final[Mapping[str, Any]] = {
    "queue": String(),
    "route": String(),
    "routes": ARRAY(Text()),
    "wants": ARRAY(Integer()),
    "now": UtcDateTime(),
    "until": UtcDateTime(),
    "most": Integer(),
    "priority": Integer(),
    "mark": Double(),
    "task_id": Uuid(),
}
_RESULT: Final[Mapping[str, Any]] = {
    "id": Uuid(),
    "task_id": Uuid(),
    "fair_key": Double(),
    "payload": Json,
    "route": String(),
}
_made: Final[dict[tuple[str, str, bool], Written]] = {}


def _statement(sql: str, backend: str, *, full: bool) -> Written:
    """Return a statement with the types of its parameters and columns, made once."""
    key = (sql, backend, full)
    made = _made.get(key)
    if made is None:
        clause = text(sql.replace("{unless_full}", _UNLESS_FULL[backend] if full else ""))
        typed = _typed(clause, backend)
        if "RETURNING" in sql:
            names = [name.strip() for name in _PARTS["columns"].split(",")]
            made = Written(typed.columns(**{name: _RESULT.get(name, Integer()) for name in names}))
        elif sql is ONE_ROUTE:
            made = Written(typed.columns(id=Uuid(), priority=Integer(), fair_key=Double()))
        else:
            made = Written(typed.columns(route=String()))
        _made[key] = made
    return made


def typed(sql: str, backend: str, *, prefix: str = "") -> TextClause:
    """Return one of the statements above with the types of its parameters, as no limit needs it.

    Args:
        sql: the statement.
        backend: name of the dialect.
        prefix: what is put before it, as EXPLAIN.
    """
    return _typed(text(prefix + sql.replace("{unless_full}", "")), backend)


def _typed(clause: TextClause, backend: str) -> TextClause:
    names = clause.compile().params
    typed = [bindparam(name, type_=kind) for name, kind in _TYPES.items() if name in names]
    if "ids" in names:
        listed = backend == "sqlite"
        typed.append(bindparam("ids", type_=Uuid() if listed else ARRAY(Uuid()), expanding=listed))
    if "full" in names:
        listed = backend == "sqlite"
        typed.append(bindparam("full", type_=Uuid() if listed else ARRAY(Uuid()), expanding=listed))
    return clause.bindparams(*typed)


_ROUTES: Final = Written(_typed(text(ROUTES), "any").columns(route=String()))
_LOWEST: Final = _typed(text(LOWEST), "any").columns(fair_key=Double())
_GIVE_BACK_SQL: Final = (
    "UPDATE work_orders SET status = 'pending', lease_expires_at = NULL, claimed_at = NULL WHERE id"
)
_GIVE_BACK: Final = {
    "postgresql": Written(_typed(text(f"{_GIVE_BACK_SQL} = ANY (:ids)"), "postgresql")),
    "sqlite": Written(_typed(text(f"{_GIVE_BACK_SQL} IN :ids"), "sqlite")),
}

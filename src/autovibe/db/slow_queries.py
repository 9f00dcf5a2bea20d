"""Timing of every statement; slow ones are logged with the plan, and without any value.

The plan is that of EXPLAIN, which does not run the statement again. Parameters are given to EXPLAIN
and to nothing else; quoted literals in the statement are blanked; of the plan, only what a dialect
lets through is shown.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from autovibe.db.dialects.base import Dialect
from autovibe.db.metrics import DatabaseMetrics

_logger = logging.getLogger(__name__)

_UNWATCHED: Final = "autovibe_unwatched"
_STARTED: Final = "autovibe.statement_started"
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")
_EXPLAINED: Final = frozenset({"select", "insert", "update", "delete", "with"})
_VERBS: Final = _EXPLAINED | {"begin", "copy", "savepoint", "set", "pragma"}
_LONGEST_STATEMENT: Final = 4_000
_EXPLAIN_TIMEOUT_S: Final = 5


class QueryWatch:
    """Times the statements of one database's engines."""

    def __init__(
        self,
        dialect: Dialect,
        reader: AsyncEngine,
        metrics: DatabaseMetrics,
        monotonic: Callable[[], float],
        threshold_s: float,
    ) -> None:
        """Args: where plans are asked for, the clock, and what counts as slow (0: nothing)."""
        self._dialect = dialect
        self._reader = reader
        self._metrics = metrics
        self._monotonic = monotonic
        self._threshold_s = threshold_s
        self._explaining: asyncio.Task[None] | None = None

    def attach(self, engine: AsyncEngine) -> None:
        """Time the statements of an engine and of those made from it."""
        event.listen(engine.sync_engine, "before_cursor_execute", self._before)
        event.listen(engine.sync_engine, "after_cursor_execute", self._after)

    async def close(self) -> None:
        """Wait until the last plan has been logged."""
        if self._explaining is not None:
            await asyncio.wait([self._explaining])

    def _before(self, connection: Connection, *_: object) -> None:
        connection.info[_STARTED] = self._monotonic()

    def _after(self, connection: Connection, *given: Any) -> None:
        _cursor, statement, parameters, _context, executemany = given
        started = connection.info.pop(_STARTED, None)
        if started is None or connection.get_execution_options().get(_UNWATCHED):
            return
        seconds = self._monotonic() - started
        verb = statement.lstrip("( \n").split(None, 1)[0].lower() if statement.strip() else ""
        self._metrics.query_seconds.labels(verb if verb in _VERBS else "other").observe(seconds)
        if not self._threshold_s or seconds < self._threshold_s:
            return
        self._metrics.slow_queries.inc()
        if verb not in _EXPLAINED or (self._explaining and not self._explaining.done()):
            # One plan at a time: a database that is slow already is not asked for many more.
            _log(self._dialect.name, seconds, statement, ())
            return
        first = parameters[0] if executemany and parameters else parameters
        self._explaining = asyncio.get_running_loop().create_task(
            self._explain(seconds, statement, first), name="explain-slow-query"
        )

    async def _explain(self, seconds: float, statement: str, parameters: Any) -> None:
        plan: list[str] = []
        try:
            async with asyncio.timeout(_EXPLAIN_TIMEOUT_S), self._reader.connect() as connection:
                unwatched = await connection.execution_options(**{_UNWATCHED: True})
                plan = await self._dialect.explain(unwatched, statement, parameters)
        except Exception as error:  # noqa: BLE001 - the log line matters more than its plan
            plan = [f"(no plan: {type(error).__name__})"]
        _log(self._dialect.name, seconds, statement, plan)


def _log(backend: str, seconds: float, statement: str, plan: Any) -> None:
    blanked = " ".join(_LITERAL.sub("'?'", statement).split())[:_LONGEST_STATEMENT]
    lines = "".join(f"\n  {line}" for line in plan)
    _logger.warning("slow query on %s: %.3f s: %s%s", backend, seconds, blanked, lines)

"""What a database does, counted for Prometheus: pools, queries, and the query cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.pool import Pool, QueuePool

_SECONDS: Final = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class DatabaseMetrics:
    """The metrics of one opened database; each has its own registry, so nothing is global."""

    def __init__(self) -> None:
        """Make the metrics, all at zero."""
        self.registry = CollectorRegistry()
        self.query_seconds = Histogram(
            "autovibe_db_query_seconds",
            "Time of statements, by their first word.",
            ("verb",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.query_errors = Counter(
            "autovibe_db_query_errors",
            "Statements that failed, by the reason of the error.",
            ("reason",),
            registry=self.registry,
        )
        self.slow_queries = Counter(
            "autovibe_db_slow_queries",
            "Statements above the threshold of the slow-query log.",
            registry=self.registry,
        )
        self.pool_waits = Counter(
            "autovibe_db_pool_waits",
            "Transactions that found every connection in use.",
            ("pool",),
            registry=self.registry,
        )
        self.pool_wait_seconds = Histogram(
            "autovibe_db_pool_wait_seconds",
            "How long those waited.",
            ("pool",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pool_timeouts = Counter(
            "autovibe_db_pool_timeouts",
            "Transactions that got no connection in time.",
            ("pool",),
            registry=self.registry,
        )
        self.cache_requests = Counter(
            "autovibe_query_cache_requests",
            "Reads that may be answered from the query cache: hit, miss, or joined another's miss.",
            ("region", "result"),
            registry=self.registry,
        )
        self.cache_errors = Counter(
            "autovibe_query_cache_errors",
            "Calls to the cache's server that failed; each was a miss.",
            registry=self.registry,
        )

    def watch_pools(self, pools: Mapping[str, Pool]) -> None:
        """Report pools by name from now on."""
        self.registry.register(_Pools(pools))

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Pools(Collector):
    """Gauges that are read when somebody asks."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[GaugeMetricFamily]:
        size = GaugeMetricFamily(
            "autovibe_db_pool_size", "Connections that are kept open.", labels=["pool"]
        )
        used = GaugeMetricFamily(
            "autovibe_db_pool_checked_out", "Connections in use.", labels=["pool"]
        )
        overflow = GaugeMetricFamily(
            "autovibe_db_pool_overflow", "Connections open beyond the size.", labels=["pool"]
        )
        for name, pool in self._pools.items():
            queue = cast("QueuePool", pool)
            size.add_metric([name], queue.size())
            used.add_metric([name], queue.checkedout())
            overflow.add_metric([name], max(0, queue.overflow()))
        yield from (size, used, overflow)


def is_exhausted(pool: Pool) -> bool:
    """Return whether the next transaction has to wait for a connection."""
    queue = cast("QueuePool", pool)
    most: int = queue._max_overflow  # noqa: SLF001 - no method tells it  # pyright: ignore[reportPrivateUsage]  # as above
    return queue.checkedout() >= queue.size() + most

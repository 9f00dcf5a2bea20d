"""Queries on a large PostgreSQL: a million checkpoints, ten million usage rows.

Loading takes some minutes; AUTOVIBE_BENCH_SCALE=0.1 loads a tenth. Everything timed goes through
the same functions as in autovibe, with the database warm, and is the median of 30 calls by the
client's clock:

- `checkpoint_ancestors_1000_deep_ms`: the whole line of a checkpoint 1,000 deep;
- `checkpoint_common_ancestor_ms`: where two checkpoints at depth 2,000 part, at depth 1,000;
- `path_history_ms`: the newest 50 changes of the path that changed most often;
- `path_history_rare_ms`: of one that changed about a hundred times;
- `dashboard_10m_usage_ms`: all running machines of 10,000, with their newest checkpoints, and the
  last 30 days of one project's usage.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import asyncpg

from autovibe.db import Database, open_database
from autovibe.domains.checkpoints import repository as checkpoints
from autovibe.domains.metering import repository as metering
from autovibe.testing.databases import TestDatabases
from autovibe.testing.postgres_server import DURABLE, SETTINGS_VARIABLE

SCALE: Final = float(os.environ.get("AUTOVIBE_BENCH_SCALE", "1"))
CALLS: Final = 30
PROJECTS: Final = max(4, int(200 * SCALE))
EACH: Final = 5_000
CHECKPOINTS: Final = PROJECTS * EACH
MACHINES: Final = int(10_000 * SCALE)
USAGE: Final = int(10_000_000 * SCALE)
PATHS: Final = 400
START: Final = datetime(2025, 12, 1, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 20, tzinfo=UTC)
SEED: Final = 20261125


@dataclass
class Tree:
    """The checkpoints of one project as they are made: ids, parents, depths, jumps."""

    project: uuid.UUID
    ids: list[uuid.UUID] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)

    def add(self, parent: int) -> int:
        """Add a child of the checkpoint with this number (-1 for a root); return its number."""
        own = len(self.ids)
        self.ids.append(uuid.uuid4())
        self.parents.append(parent)
        if parent < 0:
            self.depths.append(0)
            self.jumps.append(own)
            return own
        near = self.jumps[parent]
        far = self.jumps[near]
        even = self.depths[parent] - self.depths[near] == self.depths[near] - self.depths[far]
        self.depths.append(self.depths[parent] + 1)
        self.jumps.append(far if even else parent)
        return own


def main() -> None:
    """Print the rows of results."""
    os.environ[SETTINGS_VARIABLE] = DURABLE
    databases = TestDatabases(f"bench-{os.getpid()}")
    try:
        rows = asyncio.run(measure(databases))
    finally:
        databases.close()
    for name, value in rows.items():
        print(json.dumps({"name": name, "unit": "ms", "ours": round(value, 3), "runs": CALLS}))


async def measure(databases: TestDatabases) -> dict[str, float]:
    """Load, then time each query."""
    url = await databases.postgresql()
    raw = await asyncpg.connect(url)
    # No rule is asked for each row: what is loaded keeps them all.
    await raw.execute("SET session_replication_role = replica")
    tell(f"loading {CHECKPOINTS:,} checkpoints and {USAGE:,} usage rows")
    forest = await load_checkpoints(raw)
    await load_usage(raw, [tree.project for tree in forest], forest)
    await raw.execute("VACUUM ANALYZE")
    await raw.close()
    database = open_database(url)
    try:
        return await time_all(database, forest)
    finally:
        await database.close()


def tell(text: str) -> None:
    """Say what happens, with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


async def load_checkpoints(raw: asyncpg.Connection) -> list[Tree]:
    """Fill projects and checkpoints: chains, trunks with two branches, bushes."""
    print(f"seed {SEED}", file=sys.stderr)
    chance = random.Random(SEED)  # noqa: S311 - data for a benchmark
    forest = [grow(Tree(uuid.uuid4()), number, EACH, chance) for number in range(PROJECTS)]
    await raw.copy_records_to_table(
        "projects",
        columns=["id", "name", "greediness"],
        records=[(tree.project, f"project {n:03}", "0.5") for n, tree in enumerate(forest)],
    )
    await raw.execute("DROP INDEX idx_checkpoints_paths_gin")
    columns = [
        *("id", "project_id", "parent_checkpoint_id", "checkpoint_type", "depth"),
        *("jump_checkpoint_id", "jump_depth", "verification_status", "created_at", "verified_at"),
        "file_manifest",
    ]
    for tree in forest:
        await raw.copy_records_to_table(
            "checkpoints", columns=columns, records=list(checkpoint_rows(tree, chance))
        )
    tell("indexing paths")
    await raw.execute(
        "CREATE INDEX idx_checkpoints_paths_gin ON checkpoints USING gin"
        ' ((jsonb_path_query_array(file_manifest, \'$."files"[*]."path"\')'
        " || coalesce(file_manifest -> 'deleted', '[]'::jsonb)) jsonb_path_ops)"
    )
    return forest


def grow(tree: Tree, number: int, count: int, chance: random.Random) -> Tree:
    """Give a project its checkpoints; the first is a trunk that parts at a fifth of its length."""
    last = tree.add(-1)
    trunk = count // 5
    for _ in range(count - 1):
        own = len(tree.ids)
        if number % 4 == 0 and own == count * 3 // 5:
            last = trunk
        elif number % 4 == 3 and chance.random() < 0.2:
            last = chance.randrange(own)
        last = tree.add(last)
    return tree


def checkpoint_rows(tree: Tree, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a project: each changes 5 to 20 files, a few of them often."""
    for own, parent in enumerate(tree.parents):
        paths = {
            "workspace/README.md" if chance.random() < 0.6 else "workspace/notes.md",
            *(
                f"workspace/src/module_{int(PATHS * chance.random() ** 2):03}.py"
                for _ in range(chance.randint(4, 19))
            ),
        }
        files = [{"path": path, "size": "2000", "sha256": "0" * 64} for path in sorted(paths)]
        at = START + timedelta(seconds=own * 30)
        yield (
            tree.ids[own],
            tree.project,
            tree.ids[parent] if parent >= 0 else None,
            "automatic" if own else "genesis",
            tree.depths[own],
            tree.ids[tree.jumps[own]],
            tree.depths[tree.jumps[own]],
            "verified",
            at,
            at,
            json.dumps({"files": files, "deleted": []}),
        )


async def load_usage(
    raw: asyncpg.Connection, projects: list[uuid.UUID], forest: list[Tree]
) -> None:
    """Fill machines, 12 months of usage in partitions, and the days."""
    for month in range(12):
        first = date(2025 + (11 + month) // 12, (11 + month) % 12 + 1, 1)
        await raw.execute("SELECT create_monthly_partition('resource_usage', $1)", first)
    await raw.copy_records_to_table(
        "intelligent_machines",
        columns=["id", "machine_type", "status", "project_id", "spawned_at", "last_checkpoint_id"],
        records=[
            (
                uuid.uuid4(),
                "claude_code",
                ("working", "active", "checkpointing")[number % 3]
                if number % 100 < 23
                else "terminated",
                projects[number % PROJECTS],
                NOW - timedelta(seconds=number),
                forest[number % PROJECTS].ids[-1],
            )
            for number in range(MACHINES)
        ],
    )
    await raw.execute(
        "CREATE TEMP TABLE numbered AS SELECT id, project_id,"
        " row_number() OVER () - 1 AS number FROM intelligent_machines"
    )
    await raw.execute("CREATE INDEX ON numbered (number)")
    await raw.execute(
        "INSERT INTO resource_usage (id, recorded_at, project_id, machine_id, resource_type, unit,"
        " amount, cost_cad, enforcement)"
        " SELECT gen_random_uuid(), $1::timestamptz + n * ($2::interval / $3::float8),"
        "  m.project_id, m.id,"
        "  (ARRAY['money','time','api_calls','cpu','memory'])[1 + n % 5],"
        "  (ARRAY['CAD','minutes','calls','core_seconds','gb_hours'])[1 + n % 5],"
        "  0.25, CASE WHEN n % 5 = 0 THEN 0.25 END, 'record'"
        " FROM generate_series(0, $3::bigint - 1) AS n"
        " JOIN numbered AS m ON m.number = (n * 7919) % $4::bigint",
        START, NOW - START, USAGE, MACHINES,
    )  # fmt: skip
    tell("summing up days")
    await raw.execute(
        "INSERT INTO resource_usage_daily"
        " SELECT project_id, (recorded_at AT TIME ZONE 'UTC')::date, resource_type, unit,"
        " sum(amount), coalesce(sum(cost_cad), 0), count(*) FROM resource_usage GROUP BY 1, 2, 3, 4"
    )


async def time_all(database: Database, forest: list[Tree]) -> dict[str, float]:
    """Return the median of each query in milliseconds."""
    trunk = forest[0]
    deep = trunk.depths.index(1_000)
    pair = [n for n, depth in enumerate(trunk.depths) if depth == 2_000]
    meeting = trunk.ids[1_000]

    async def nothing() -> None:
        async with database.read() as tx:
            await checkpoints.find_node(tx, trunk.ids[0])

    async def ancestors() -> None:
        async with database.read() as tx:
            found = await checkpoints.ancestors(tx, trunk.ids[deep])
        assert len(found) == trunk.depths[deep] + 1

    async def common() -> None:
        async with database.read() as tx:
            found = await checkpoints.common_ancestor(tx, trunk.ids[pair[0]], trunk.ids[pair[-1]])
        assert found == meeting

    def history(path: str) -> Callable[[], Awaitable[None]]:
        async def one() -> None:
            async with database.read() as tx:
                found = await checkpoints.path_history(tx, forest[1].project, path, limit=50)
            assert found

        return one

    async def dashboard() -> None:
        async with database.read() as tx:
            machines = await checkpoints.running_machines(tx, limit=MACHINES)
            days = await metering.daily_usage(
                tx,
                project_id=forest[2].project,
                since=NOW.date() - timedelta(days=30),
                until=NOW.date(),
                after=None,
                limit=500,
            )
        assert machines
        assert days

    tell(f"one row by its key takes {await median_ms(nothing):.2f} ms")
    return {
        "checkpoint_ancestors_1000_deep_ms": await median_ms(ancestors),
        "checkpoint_common_ancestor_ms": await median_ms(common),
        "path_history_ms": await median_ms(history("workspace/README.md")),
        "path_history_rare_ms": await median_ms(history(f"workspace/src/module_{PATHS - 2}.py")),
        "dashboard_10m_usage_ms": await median_ms(dashboard),
    }


async def median_ms(call: Callable[[], Awaitable[None]]) -> float:
    """Return the median time of a call, warm."""
    taken: list[float] = []
    for _ in range(CALLS + 3):
        begun = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(taken[3:])


if __name__ == "__main__":
    main()

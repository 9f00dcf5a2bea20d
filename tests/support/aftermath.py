"""What must hold when the control planes of a home have ended and been recovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli_user import User, processes_mentioning
from sqlalchemy import func, select, text

from autovibe.db import Database, open_database
from autovibe.domains.metering.models import (
    BudgetHold,
    BudgetReservation,
    ResourceBudget,
    ResourceUsage,
)
from autovibe.drivers.machine.cgroups import PREFIX, host_hierarchies
from autovibe.store import Store

_ENDED_MACHINES = "SELECT error_message FROM intelligent_machines WHERE status = 'terminated'"


@dataclass
class Aftermath:
    """Looks at processes, files, rows and books of a user's home."""

    user: User
    url: str

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a query on the database itself."""
        async with self._opened() as db, db.read() as tx:
            return [tuple(row) for row in await tx.session.execute(text(query), values)]

    async def column(self, query: str) -> list[Any]:
        """Return the only column of what a query finds."""
        return [row[0] for row in await self.rows(query)]

    async def nothing_is_left(self) -> None:
        """Check that nobody is at work, and that no row says so."""
        assert processes_mentioning(str(self.user.home)) == []
        for machine in await self.rows("SELECT hypervisor, id FROM intelligent_machines"):
            assert _groups_of(machine) == []
        home = self.user.home / ".autovibe"
        assert [path.name for path in (home / "machines/scratch").iterdir()] == []
        assert [path.name for path in (home / "run").iterdir()] == []
        await self.no_row_is_open()
        await self.books_balance()

    async def no_row_is_open(self) -> None:
        """Check that tasks, orders, executions, assignments and machines have ended together."""
        for table, over in (
            ("intelligent_machines", "status = 'terminated'"),
            ("instances", "1 = 0"),
            ("executions", "status <> 'running'"),
            ("worker_assignments", "status <> 'active'"),
            ("workers", "status <> 'busy'"),
            ("work_orders", "status <> 'claimed' AND lease_expires_at IS NULL"),
            ("tasks", "status NOT IN ('queued', 'in_progress') AND assigned_to IS NULL"),
        ):
            open_rows = await self.rows(f"SELECT * FROM {table} WHERE NOT ({over})")
            assert open_rows == [], table
        paired = await self.rows(
            "SELECT DISTINCT t.status, o.status FROM tasks t JOIN work_orders o ON o.task_id = t.id"
        )
        assert set(paired) <= {("blocked", "pending"), ("completed", "completed")}

    async def books_balance(self) -> None:
        """Check to the last digit that used is the sum of the rows, and that nothing is held."""
        async with self._opened() as db, db.read() as tx:
            states = set(await tx.session.scalars(select(BudgetReservation.state)))
            assert states <= {"settled", "released"}, states
            for budget in await tx.session.scalars(select(ResourceBudget)):
                assert budget.reserved_amount == 0
                if budget.resource_type != "money":
                    continue
                settled = await tx.session.scalar(
                    select(func.sum(BudgetHold.settled_amount)).where(
                        BudgetHold.budget_id == budget.id
                    )
                )
                recorded = await tx.session.scalar(
                    select(func.sum(ResourceUsage.amount))
                    .join(BudgetHold, BudgetHold.reservation_id == ResourceUsage.reservation_id)
                    .where(BudgetHold.budget_id == budget.id)
                    .where(ResourceUsage.resource_type == BudgetHold.resource_type)
                )
                assert budget.used_amount == (settled or 0) == (recorded or 0)

    async def calls(self) -> tuple[int, int]:
        """Return how many calls the ledger has, and how many of them are uncertain."""
        async with self._opened() as db, db.read() as tx:
            query = select(ResourceUsage).where(ResourceUsage.resource_type == "api_calls")
            calls = list(await tx.session.scalars(query))
        uncertain = [call for call in calls if call.metadata_.get("uncertain")]
        return int(sum((call.amount for call in calls), Decimal(0))), len(uncertain)

    async def checkpoints_verify(self) -> None:
        """Read back every checkpoint that has a row."""
        store = Store.open(self.user.home / ".autovibe/store")
        for root in await self.column("SELECT manifest_root FROM checkpoints"):
            assert store.verify(root).ok

    async def text_of(self, checkpoint_id: str, path: str) -> str:
        """Return the text of one file of a checkpoint."""
        store = Store.open(self.user.home / ".autovibe/store")
        found = await self.rows("SELECT id, manifest_root FROM checkpoints")
        root = {_plain(row_id): root for row_id, root in found}[_plain(checkpoint_id)]
        return b"".join(store.read(root, f"workspace/{path}")).decode()

    async def ended_by_recovery(self) -> Sequence[str]:
        """Return what recovery said of the machines that it ended."""
        return [told for told in await self.column(_ENDED_MACHINES) if told]

    def _opened(self) -> _Opened:
        return _Opened(self.url)


class _Opened:
    """A database that is open inside the block."""

    def __init__(self, url: str) -> None:
        self._database = open_database(url)

    async def __aenter__(self) -> Database:
        return self._database

    async def __aexit__(self, *error: object) -> None:
        await self._database.close()


def _plain(row_id: object) -> str:
    return str(row_id).replace("-", "")


def _groups_of(machine: tuple[Any, ...]) -> list[Path]:
    """Return the control groups of a machine; SQLite's ids may lack their dashes."""
    places = host_hierarchies()
    parents = {*places.v1.values(), *([places.v2] if places.v2 else [])}
    wanted = f"{machine[0]}-{_plain(machine[1])}"
    return [
        path
        for parent in parents
        for path in parent.glob(f"{PREFIX}{machine[0]}-*")
        if path.name.removeprefix(PREFIX).partition("-")[2].replace("-", "")
        == wanted.partition("-")[2]
    ]

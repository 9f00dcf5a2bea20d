"""A session that is limited to a viewer sees rows of the viewer's projects, however it asks."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import column, func, select, table, text, update
from sqlalchemy.orm import aliased

from autovibe.db import Database
from autovibe.db.visibility import UNLIMITED, Viewer, limit, sees_any
from autovibe.kernel.permissions import ROLES
from autovibe.testing import factories


async def two_projects(db: Database) -> tuple[dict[str, Any], Viewer]:
    """Make two projects with a task each, and a developer in the first."""
    rows: dict[str, Any] = {}
    async with db.write() as tx:
        user = await factories.add_user(tx)
        for name in ("mine", "theirs"):
            project = await factories.add_project(tx, name=name)
            rows[name] = project.id
            task = await factories.add(
                tx,
                "tasks",
                project_id=project.id,
                title=name,
                task_type="docs",
                permission_level="autonomous",
            )
            rows[f"{name} task"] = task.id
        await factories.add(
            tx, "project_members", project_id=rows["mine"], user_id=user.id, role="developer"
        )
        return rows, Viewer(user.id, ROLES)


async def test_every_kind_of_question_is_limited(db: Database) -> None:
    rows, viewer = await two_projects(db)
    task = factories.model("tasks")
    core = task.__table__
    other = aliased(task)
    named = table("tasks", column("id", core.c.id.type), column("title"))
    inner = select(task.title).subquery()
    async with db.read() as tx:
        limit(tx.session, viewer)
        ask = tx.session
        for query in (
            select(task.title),
            select(other.title),
            select(core.c.title),
            select(core.alias().c.title),
            select(named.c.title),
            select(inner.c.title),
            select(core.c.title).cte().select(),
            select(task.title).join(other, other.project_id == task.project_id),
        ):
            assert list(await ask.scalars(query)) == ["mine"], str(query)
        assert await ask.scalar(select(func.count()).select_from(task)) == 1
        assert await ask.get(task, rows["theirs task"]) is None
        assert await ask.get(task, rows["mine task"]) is not None
        every = select(func.count()).select_from(task)
        assert await ask.scalar(every, execution_options={UNLIMITED: "a test"}) == 2


async def test_what_cannot_be_limited_is_refused(db: Database) -> None:
    _, viewer = await two_projects(db)
    async with db.read() as tx:
        limit(tx.session, viewer)
        with pytest.raises(TypeError, match="is not limited"):
            await tx.session.execute(text("SELECT title FROM tasks"))


async def test_a_change_reaches_rows_of_ones_projects_only(db: Database) -> None:
    _, viewer = await two_projects(db)
    task = factories.model("tasks")
    async with db.write() as tx:
        limit(tx.session, viewer)
        await tx.session.execute(update(task).values(title="changed"))
    async with db.read() as tx:
        assert sorted(await tx.session.scalars(select(task.title))) == ["changed", "theirs"]


async def test_a_role_that_does_not_count_sees_nothing(db: Database) -> None:
    rows, viewer = await two_projects(db)
    task = factories.model("tasks")
    async with db.read() as tx:
        limit(tx.session, Viewer(viewer.user_id, ("admin",)))
        assert list(await tx.session.scalars(select(task.title))) == []
    async with db.read() as tx:
        assert await sees_any(tx, viewer, ["mine"])
        assert await sees_any(tx, viewer, [str(rows["mine task"])[:8]])
        assert not await sees_any(tx, viewer, ["theirs", str(rows["theirs task"]), "a"])

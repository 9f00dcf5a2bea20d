"""What source 000 says of the whole: name, style of the ORM, decisions that were to be taken."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from autovibe.db import Database
from autovibe.db.base import Base
from autovibe.db.errors import CheckViolationError
from autovibe.testing import factories

ROOT = Path(__file__).parents[2]


@pytest.mark.req("S0-03")
async def test_the_orm_is_sqlalchemy_2_in_its_async_style(db: Database) -> None:
    assert int(importlib.metadata.version("sqlalchemy").partition(".")[0]) >= 2
    assert isinstance(db.engine, AsyncEngine)
    async with db.read() as tx:
        assert isinstance(tx.session, AsyncSession)
    for mapper in Base.registry.mappers:
        for attribute in mapper.column_attrs:
            declared = (
                vars(kind).get("__annotations__", {}).get(attribute.key, "")
                for kind in mapper.class_.__mro__
            )
            assert any("Mapped[" in str(one) for one in declared), attribute


@pytest.mark.req("S0-01")
def test_the_package_and_its_pages_carry_the_name() -> None:
    assert importlib.metadata.metadata("autovibe")["Name"] == "autovibe"
    assert (ROOT / "README.md").read_text().startswith("# autovibe\n")
    page = (ROOT / "docs/architecture.md").read_text()
    assert "autovibe Intelligent Machine orchestration system" in page


@pytest.mark.req("S0-26", "S0-58")
async def test_what_was_to_be_decided_is_written_down_and_holds(db: Database) -> None:
    paths = (
        ROOT / "docs/decisions/0010-jump-pointers-instead-of-materialised-paths.md"
    ).read_text()
    assert "S0-26" in paths
    assert re.search(r"materialised path.*\n.*\n.*\d ms", paths), "a decision has its measurement"
    assert "S0-58" in (ROOT / "docs/decisions/0011-soft-delete.md").read_text()
    async with db.write() as tx:
        await factories.add_machine(tx, (await factories.add_project(tx)).id)
    with pytest.raises(CheckViolationError):
        async with db.write() as tx:
            await tx.session.execute(text("UPDATE intelligent_machines SET status = 'deleted'"))
    async with db.write() as tx:
        await tx.session.execute(text("DELETE FROM intelligent_machines"))

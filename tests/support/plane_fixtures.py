"""Fixtures around a control plane without processes; a conftest imports those that it wants."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from plane import Plane, StillClock, open_plane

from autovibe.db import open_database


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep git away from the configuration of whoever runs the tests."""
    home = tmp_path / "person"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
async def plane(database_url: str, tmp_path: Path) -> AsyncGenerator[Plane, None]:
    """Give a control plane on either database; its clock stands still."""
    clock = StillClock()
    database = open_database(database_url, clock=clock)
    yield open_plane(database, tmp_path / "plane", clock)
    await database.close()


@pytest.fixture
async def one_plane(databases, tmp_path: Path) -> AsyncGenerator[Plane, None]:
    """Give a control plane on SQLite, for what does not depend on the database."""
    clock = StillClock()
    database = open_database(await databases.sqlite(tmp_path), clock=clock)
    yield open_plane(database, tmp_path / "plane", clock)
    await database.close()

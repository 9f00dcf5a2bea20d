"""The secret column of the schema: what SQL sees of it, and replacing its key."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from autovibe.db import Database, open_database
from autovibe.db.encryption import KeyRingSource
from autovibe.db.errors import KeyRingError, SecretUnreadableError
from autovibe.db.rotation import rotate_keys
from autovibe.db.upgrade import migrate
from autovibe.domains.work.models import Worker

CONFIG = {
    "memory_mb": 4096,
    "environment": [{"name": "ci", "API_KEY": "hunter2-a"}, {"accessToken": {"v": "hunter2-b"}}],
    "credentials": {"registry": ["hunter2-c", 5, None]},
}


@pytest.fixture
async def sealed(database_url: str, tmp_path: Path) -> AsyncGenerator[Database]:
    database = open_database(database_url, keys=KeyRingSource(tmp_path / "keys.json"))
    async with database.write() as tx:
        tx.session.add(worker(CONFIG))
    yield database
    await database.close()


def worker(config: dict[str, Any]) -> Worker:
    return Worker(name="w", worker_type="docs", status="idle", config=config)


async def config_of(database: Database) -> dict[str, Any]:
    async with database.read() as tx:
        return (await tx.session.execute(select(Worker.config))).scalar_one()


async def raw(database: Database) -> str:
    async with database.read() as tx:
        stored = (await tx.session.execute(text("SELECT config FROM workers"))).scalar_one()
    return stored if isinstance(stored, str) else json.dumps(stored)


@pytest.mark.req("S3-111")
async def test_sql_sees_no_secret_of_a_worker_but_all_else(sealed: Database) -> None:
    stored = json.loads(await raw(sealed))
    assert "hunter2" not in json.dumps(stored)
    assert stored["memory_mb"] == 4096
    assert stored["environment"][0]["name"] == "ci"
    assert stored["credentials"].startswith("av1:")
    assert await config_of(sealed) == CONFIG
    memory = (
        cast(Worker.config, JSONB)["memory_mb"].as_integer()
        if sealed.dialect.name == "postgresql"
        else func.json_extract(Worker.config, "$.memory_mb")
    )
    async with sealed.read() as tx:
        assert await tx.session.scalar(select(memory)) == 4096


async def test_a_changed_config_is_sealed_again(sealed: Database) -> None:
    async with sealed.write() as tx:
        row = (await tx.session.execute(select(Worker))).scalar_one()
        row.config = {**row.config, "password": "hunter2-d"}
    assert "hunter2" not in await raw(sealed)
    assert await config_of(sealed) == {**CONFIG, "password": "hunter2-d"}


@pytest.mark.req("S3-111")
async def test_rotation_covers_the_secrets_of_workers(sealed: Database) -> None:
    old = sealed.keys.ring().primary
    done = await rotate_keys(sealed, sealed.keys, forget=True)
    assert (done.values, done.columns) == (3, ("workers.config",))
    assert old not in await raw(sealed)
    assert (await raw(sealed)).count(f"av1:{done.key}:") == 3
    assert await config_of(sealed) == CONFIG
    assert list(sealed.keys.ring().keys) == [done.key]


async def test_a_secret_that_sql_wrote_in_the_clear_is_sealed_by_rotation(sealed: Database) -> None:
    async with sealed.write() as tx:
        await tx.session.execute(text('UPDATE workers SET config = \'{"token": "hunter2"}\''))
    assert await config_of(sealed) == {"token": "hunter2"}
    assert (await rotate_keys(sealed, sealed.keys)).values == 1
    assert "hunter2" not in await raw(sealed)
    assert await config_of(sealed) == {"token": "hunter2"}


async def test_a_secret_does_not_open_under_another_name_or_another_ring(
    sealed: Database, tmp_path: Path
) -> None:
    stored = json.loads(await raw(sealed))
    moved = json.dumps({"password": stored["credentials"]})
    other = open_database(
        sealed.url.render_as_string(hide_password=False), keys=KeyRingSource(tmp_path / "other")
    )
    with pytest.raises(SecretUnreadableError, match="lacks"):
        await config_of(other)
    blind = open_database(sealed.url.render_as_string(hide_password=False))
    with pytest.raises(KeyRingError):
        await config_of(blind)
    async with blind.write() as tx:
        # Nothing secret in it: no ring is asked for.
        tx.session.add(Worker(id=uuid.uuid4(), name="x", worker_type="docs", status="idle"))
        await tx.session.execute(
            text("UPDATE workers SET config = :moved WHERE name = 'w'").bindparams(moved=moved)
            if sealed.dialect.name == "sqlite"
            else text(
                "UPDATE workers SET config = CAST(:moved AS jsonb) WHERE name = 'w'"
            ).bindparams(moved=moved)
        )
    for database in (blind, other):
        await database.close()
    with pytest.raises(SecretUnreadableError, match=r"workers\.config/password does not open"):
        async with sealed.read() as tx:
            await tx.session.execute(select(Worker.config))


async def test_the_migration_seals_what_older_rows_have_in_the_clear(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = open_database(empty_database_url, keys=KeyRingSource(tmp_path / "keys.json"))
    for target in ("0002", "0003"):
        async with database.engine.begin() as connection:
            await connection.run_sync(migrate, target)
            if target == "0002":
                await connection.execute(
                    text(
                        "INSERT INTO workers (name, worker_type, status, config) VALUES"
                        " ('w', 'docs', 'idle', '{\"token\": \"hunter2\", \"memory_mb\": 5}')"
                    )
                )
    assert "hunter2" not in await raw(database)
    assert await config_of(database) == {"token": "hunter2", "memory_mb": 5}
    await database.close()

"""Secret columns: what is stored, who can read it, and replacing keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text

from autovibe.db import Database, open_database
from autovibe.db.encryption import EncryptedJson, EncryptedText, KeyRing, KeyRingSource, key_of
from autovibe.db.errors import InvalidValueError, KeyRingError, SecretUnreadableError
from autovibe.db.rotation import rotate_keys

RING = KeyRing.new()
PLACE = "vaults.secret"
TABLES = MetaData()
VAULTS = Table(
    "vaults",
    TABLES,
    Column("name", String(20), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("secret", EncryptedText(PLACE)),
    Column("settings", EncryptedJson("vaults.settings")),
)


@pytest.fixture
async def vaults(database_url: str, tmp_path: Path):
    """A database with a table of secrets, and its key ring."""
    database = open_database(database_url, keys=KeyRingSource(tmp_path / "keys.json"))
    async with database.write() as tx:
        await (await tx.session.connection()).run_sync(TABLES.create_all)
    yield database
    async with database.write() as tx:
        await (await tx.session.connection()).run_sync(TABLES.drop_all)
    await database.close()


async def put(db: Database, name: str, secret: str | None, part: int = 0, **more: object) -> None:
    async with db.write() as tx:
        await tx.session.execute(insert(VAULTS).values(name=name, part=part, secret=secret, **more))


async def raw(db: Database, column: str = "secret") -> list[str]:
    async with db.read() as tx:
        query = text(f"SELECT {column} FROM vaults ORDER BY name, part")
        return list((await tx.session.execute(query)).scalars())


async def secrets(db: Database) -> list[str | None]:
    async with db.read() as tx:
        query = select(VAULTS.c.secret).order_by(VAULTS.c.name, VAULTS.c.part)
        return list((await tx.session.execute(query)).scalars())


@given(st.text(), st.text(min_size=1, max_size=40))
def test_what_is_encrypted_comes_back_and_is_never_the_same_twice(plain: str, place: str) -> None:
    first, second = RING.encrypt(plain, place), RING.encrypt(plain, place)
    assert RING.decrypt(first, place) == plain == RING.decrypt(second, place)
    assert first != second


@given(st.text(min_size=1), st.data())
def test_a_ciphertext_that_was_changed_anywhere_does_not_open(plain: str, data: st.DataObject):
    form, name, body = RING.encrypt(plain, PLACE).split(":")
    raw_bytes = bytearray(base64.b64decode(body))
    at = data.draw(st.integers(0, len(raw_bytes) - 1))
    raw_bytes[at] ^= data.draw(st.integers(1, 255))
    changed = f"{form}:{name}:{base64.b64encode(bytes(raw_bytes)).decode()}"
    with pytest.raises(SecretUnreadableError):
        RING.decrypt(changed, PLACE)


@given(st.text())
def test_text_that_is_no_ciphertext_is_told_as_such(stored: str) -> None:
    with pytest.raises(SecretUnreadableError):
        RING.decrypt(stored, PLACE)


def test_a_ciphertext_does_not_open_in_another_column() -> None:
    with pytest.raises(SecretUnreadableError, match=r"other\.column does not open"):
        RING.decrypt(RING.encrypt("x", PLACE), "other.column")


def test_another_key_is_a_typed_error_that_names_the_missing_one() -> None:
    stored = RING.encrypt("x", PLACE)
    with pytest.raises(SecretUnreadableError, match=RING.primary) as caught:
        KeyRing.new().decrypt(stored, PLACE)
    assert caught.value.reason == "SECRET_UNREADABLE"
    same_name = KeyRing(RING.primary, {RING.primary: b"0" * 32})
    with pytest.raises(SecretUnreadableError, match="does not open"):
        same_name.decrypt(stored, PLACE)


def test_a_ring_survives_its_text_form_and_shows_no_key() -> None:
    ring = RING.with_new_primary()
    assert KeyRing.parse(ring.dump()) == ring
    assert repr(ring) == f"KeyRing(primary='{ring.primary}')"


@pytest.mark.parametrize(
    "malformed",
    ["", "{}", "[]", "null", '{"primary": "a", "keys": {}}', '{"primary": "a", "keys": {"a": "!"}}',
     '{"primary": "a", "keys": {"a": "AAAA"}}', '{"primary": "A:", "keys": {"A:": 5}}'],
)  # fmt: skip
def test_a_malformed_ring_is_refused(malformed: str) -> None:
    with pytest.raises(KeyRingError):
        KeyRing.parse(malformed)


def test_the_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "home" / "keys.json"
    first = KeyRingSource(file).ring()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["keys.json"]
    file.chmod(0o644)
    assert KeyRingSource(file).ring() == first
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_ring_of_the_environment_makes_no_file_and_cannot_be_replaced(tmp_path: Path) -> None:
    source = KeyRingSource(tmp_path / "keys.json", RING.dump())
    assert source.ring() == RING
    with pytest.raises(KeyRingError, match="AUTOVIBE_KEYS"):
        source.replace(RING.with_new_primary())
    assert list(tmp_path.iterdir()) == []


def test_a_ring_that_another_process_replaced_is_read_again(tmp_path: Path) -> None:
    mine, others = (KeyRingSource(tmp_path / "keys.json") for _ in range(2))
    stored = mine.ring().encrypt("x", PLACE)
    others.replace(others.ring().with_new_primary())
    assert mine.ring() == others.ring()
    assert mine.ring().decrypt(stored, PLACE) == "x"


@pytest.mark.req("S3-111")
async def test_the_database_holds_ciphertext_only(vaults: Database) -> None:
    await put(vaults, "a", "hunter2", settings={"token": "hunter2", "n": [1, None]})
    await put(vaults, "b", None)
    stored, nothing = await raw(vaults)
    assert stored.startswith(f"av1:{vaults.keys.ring().primary}:")
    assert nothing is None
    assert "hunter2" not in "".join([stored, (await raw(vaults, "settings"))[0]])
    assert await secrets(vaults) == ["hunter2", None]
    async with vaults.read() as tx:
        settings = await tx.session.scalar(select(VAULTS.c.settings).limit(1))
    assert settings == {"token": "hunter2", "n": [1, None]}


async def test_hot_work_reads_and_writes_secrets_too(vaults: Database) -> None:
    async def work(tx):
        await tx.session.execute(insert(VAULTS).values(name="hot", part=1, secret="s"))
        return await tx.session.scalar(select(VAULTS.c.secret))

    assert await vaults.write_in_place(work) == "s"
    assert "av1:" in (await raw(vaults))[0]


async def test_a_secret_of_another_type_is_refused(vaults: Database) -> None:
    with pytest.raises(InvalidValueError):
        await put(vaults, "a", 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError):
        await put(vaults, "a", "x", settings=float("nan"))


async def test_a_database_without_a_ring_reads_everything_but_secrets(
    vaults: Database,
) -> None:
    await put(vaults, "a", "x")
    blind = open_database(vaults.url.render_as_string(hide_password=False))
    assert len(await raw(blind)) == 1
    with pytest.raises(KeyRingError):
        await secrets(blind)
    await blind.close()


@pytest.mark.req("S3-111")
async def test_rotation_puts_every_secret_under_the_new_key(vaults: Database) -> None:
    for number in range(9):
        await put(vaults, f"v{number % 3}", f"secret {number}", number)
    before = await secrets(vaults)
    old = vaults.keys.ring().primary
    done = await rotate_keys(vaults, vaults.keys, metadata=TABLES)
    assert (done.values, done.columns) == (9, (PLACE, "vaults.settings"))
    assert {key_of(stored, PLACE) for stored in await raw(vaults)} == {done.key}
    assert done.key != old
    assert await secrets(vaults) == before
    assert set(vaults.keys.ring().keys) == {old, done.key}


async def test_rotation_goes_through_more_rows_than_one_batch(vaults: Database) -> None:
    async with vaults.write() as tx:
        rows = [{"name": f"n{at // 7}", "part": at, "secret": str(at)} for at in range(420)]
        await tx.session.execute(insert(VAULTS), rows)
    done = await rotate_keys(vaults, vaults.keys, forget=True, metadata=TABLES)
    assert done.values == 420
    assert {key_of(stored, PLACE) for stored in await raw(vaults)} == {done.key}
    assert list(vaults.keys.ring().keys) == [done.key]
    assert sorted(await secrets(vaults), key=int) == [str(at) for at in range(420)]


async def test_a_rotation_that_meets_an_unreadable_secret_keeps_all_keys(
    vaults: Database, tmp_path: Path
) -> None:
    await put(vaults, "a", "x")
    async with vaults.write() as tx:
        foreign = KeyRing.new().encrypt("y", PLACE)
        await tx.session.execute(
            text("INSERT INTO vaults (name, part, secret) VALUES ('b', 0, :s)"), {"s": foreign}
        )
    old = vaults.keys.ring().primary
    with pytest.raises(SecretUnreadableError):
        await rotate_keys(vaults, vaults.keys, forget=True, metadata=TABLES)
    kept = json.loads((tmp_path / "keys.json").read_text())["keys"]
    assert old in kept
    assert len(kept) == 2

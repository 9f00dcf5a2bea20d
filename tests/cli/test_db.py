"""`autovibe db`: what it does to a real database, and what it says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from autovibe.db.dialects import postgresql, sqlite
from autovibe.db.upgrade import HEAD

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request, databases, home, monkeypatch):
    """An empty database of each kind, as the settings name it."""
    if request.param == "sqlite":
        yield f"sqlite:///{home}/autovibe.db"
        return
    url = await databases.empty_postgresql()
    monkeypatch.setenv("AUTOVIBE_DATABASE_URL", url)
    yield url
    await databases.drop_postgresql(url)


def revision(cli) -> str:
    return cli("db", "current", "--json").document()["revision"]


@pytest.mark.req("S4-38", "S4-50")
def test_a_database_goes_up_down_and_up_again(cli, url):
    ended = cli("db", "upgrade", "--json")
    assert (ended.status, ended.document()) == (
        0,
        {"before": "", "after": HEAD, "changed": True},
    )
    assert cli("db", "upgrade").out.startswith("Nothing to do")
    assert cli("db", "current").out == f"{HEAD} (the newest)\n"
    steps = [item["revision"] for item in cli("db", "history", "--json").document()["revisions"]]
    assert steps[0] == HEAD
    ended = cli("db", "downgrade", "-1", "--yes", "--json")
    assert ended.document()["after"] == (steps[1] if len(steps) > 1 else "")
    ended = cli("db", "downgrade", "base", "--yes")
    assert (ended.status, revision(cli)) == (0, "")
    assert cli("db", "upgrade", "--to", steps[-1]).status == 0
    assert revision(cli) == steps[-1]
    assert cli("db", "upgrade").status == 0
    assert cli("db", "check").status == 0


def test_a_downgrade_without_anybody_to_ask_is_refused(cli, url):
    cli("db", "upgrade")
    ended = cli("db", "downgrade", "base")
    assert ended.status == 2
    assert "add --yes" in ended.err
    assert revision(cli) == HEAD


@pytest.mark.req("S3-95")
def test_an_upgrade_with_a_backup_happens_only_after_the_backup(cli, home, tmp_path):
    cli("db", "upgrade", "--to", "0001")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    assert cli("db", "upgrade", "--backup", str(taken)).status == 1
    assert revision(cli) == "0001"
    assert cli("db", "upgrade", "--backup", str(tmp_path / "before")).status == 0
    assert revision(cli) == HEAD
    manifest = json.loads((tmp_path / "before" / "manifest.json").read_text())
    assert manifest["backup"]["revision"] == "0001"


@pytest.mark.parametrize("target", ["9999", "nonsense", "-99", HEAD])
def test_a_downgrade_to_what_is_no_older_revision_is_refused(cli, home, target):
    cli("db", "upgrade")
    ended = cli("db", "downgrade", target, "--yes", "--json")
    assert ended.status == 2
    assert ended.document()["error"]["reason"] == "REVISION_NOT_FOUND"
    assert revision(cli) == HEAD


def test_an_upgrade_to_an_unknown_revision_is_refused(cli, home):
    ended = cli("db", "upgrade", "--to", "9999", "--json")
    assert (ended.status, ended.document()["error"]["reason"]) == (2, "REVISION_NOT_FOUND")


@pytest.mark.parametrize("command", ["current", "check", "rotate-keys"])
def test_looking_makes_no_database(cli, home, command):
    ended = cli("db", command, "--json")
    assert (ended.status, ended.document()["error"]["reason"]) == (1, "DATABASE_ABSENT")
    assert "autovibe db upgrade" in ended.err
    assert not (home / "autovibe.db").exists()


@pytest.mark.req("S4-63", "S4-64")
def test_the_printed_statements_make_the_same_schema(cli, home, tmp_path):
    script = cli("db", "upgrade", "--sql").out
    made = sqlite3.connect(home.parent / "offline.db")
    made.executescript(script)
    assert cli("db", "upgrade").status == 0
    migrated = sqlite3.connect(home / "autovibe.db")
    query = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
    assert made.execute(query).fetchall() == migrated.execute(query).fetchall()
    assert made.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    for connection in (made, migrated):
        connection.close()


@pytest.fixture
def on_postgresql(databases, monkeypatch):
    """An empty PostgreSQL database that the settings name, and a loop to speak to it with.

    Commands run a loop of their own, so this one rests meanwhile.
    """
    with asyncio.Runner() as runner:
        url = runner.run(databases.empty_postgresql())
        monkeypatch.setenv("AUTOVIBE_DATABASE_URL", url)
        yield runner, url
        runner.run(databases.drop_postgresql(url))


def test_the_printed_statements_of_postgresql_make_a_good_database(cli, on_postgresql):
    runner, url = on_postgresql
    script = cli("db", "upgrade", "--sql").out

    async def execute() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(script)
        await connection.close()

    runner.run(execute())
    assert cli("db", "check", "--json").document()["problems"] == []


def test_check_reads_the_indexes_of_postgresql_and_finds_an_invalid_one(cli, on_postgresql):
    runner, url = on_postgresql
    assert cli("db", "upgrade").status == 0

    async def run(*statements: str) -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    def damage() -> list[str]:
        problems = cli("db", "check", "--json").document()["problems"]
        return [problem["text"] for problem in problems if problem["kind"] == "integrity"]

    runner.run(run("CREATE EXTENSION amcheck"))
    assert damage() == []
    runner.run(
        run(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_audit_log_at'::regclass"
        )
    )
    assert damage() == ["index idx_audit_log_at is invalid; run REINDEX on it"]


def test_check_finds_what_is_missing_and_what_is_damaged(cli, home):
    cli("db", "upgrade")
    with sqlite3.connect(home / "autovibe.db") as connection:
        connection.execute("DROP INDEX idx_audit_log_at")
        connection.execute("ALTER TABLE projects ADD COLUMN stray TEXT")
        connection.execute(
            "INSERT INTO project_members (project_id, user_id, role)"
            " VALUES ('00000000000000000000000000000001', '00000000000000000000000000000002',"
            " 'viewer')"
        )
    connection.close()
    ended = cli("db", "check", "--json")
    document = ended.document()
    assert (ended.status, document["ok"]) == (1, False)
    kinds = {problem["kind"] for problem in document["problems"]}
    assert kinds == {"schema", "foreign_key"}
    texts = "".join(problem["text"] for problem in document["problems"])
    assert "stray" in texts
    assert "idx_audit_log_at" in texts


def test_check_says_that_an_old_database_is_to_be_upgraded(cli, home):
    cli("db", "upgrade", "--to", "0001")
    ended = cli("db", "check")
    assert ended.status == 1
    assert "run `autovibe db upgrade`" in ended.out


def test_a_migration_gives_up_when_somebody_holds_a_sqlite_database(cli, home, monkeypatch):
    cli("db", "upgrade", "--to", "0001")
    pragmas = ("PRAGMA busy_timeout=50", *sqlite._PRAGMAS[1:])
    monkeypatch.setattr(sqlite, "_PRAGMAS", pragmas)
    holder = sqlite3.connect(home / "autovibe.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        blocked(cli)
    finally:
        holder.close()
    assert cli("db", "upgrade").status == 0


def test_a_migration_gives_up_when_somebody_holds_a_table_of_postgresql(
    cli, on_postgresql, monkeypatch
):
    runner, url = on_postgresql
    monkeypatch.setattr(postgresql, "TABLE_WAIT_S", 0.1)
    assert cli("db", "upgrade", "--to", "0001").status == 0

    async def hold() -> asyncpg.Connection:
        holder = await asyncpg.connect(url)
        await holder.execute("BEGIN")
        await holder.execute("SELECT * FROM alembic_version, projects, tasks")
        return holder

    holder = runner.run(hold())
    ended = cli("db", "downgrade", "base", "--yes", "--json")
    assert (ended.status, ended.document()["error"]["reason"]) == (1, "MIGRATION_BLOCKED")
    assert revision(cli) == "0001"
    runner.run(holder.close())
    assert cli("db", "downgrade", "base", "--yes").status == 0


def blocked(cli) -> None:
    ended = cli("db", "upgrade", "--json")
    assert ended.status == 1
    assert ended.document()["error"]["reason"] == "MIGRATION_BLOCKED"
    assert "changed nothing" in ended.err


@pytest.mark.req("S3-94", "S4-63", "S4-64")
def test_the_plain_alembic_commands_work_too(cli, home):
    cli("db", "upgrade")
    # One process for all of them: starting it takes longer than they do.
    program = "import sys; from alembic.config import main; [main(a.split()) for a in sys.argv[1:]]"
    commands = ["history --verbose", "current", "upgrade head --sql", "downgrade base"]
    done = subprocess.run(
        [sys.executable, "-c", program, *commands],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for shown in (f"Rev: {HEAD} (head)", f"{HEAD} (head)\n", f"version_num='{HEAD}'"):
        assert shown in done.stdout
    assert revision(cli) == ""


@pytest.mark.req("S3-111")
def test_rotating_keys_makes_a_new_key_and_keeps_the_old_one(cli, home):
    cli("db", "upgrade")
    first = cli("db", "rotate-keys", "--json").document()
    second = cli("db", "rotate-keys", "--json").document()
    ring = json.loads((home / "keys.json").read_text())
    assert ring["primary"] == second["key"] != first["key"]
    assert first["key"] in ring["keys"]
    ended = cli("db", "rotate-keys", "--forget-old")
    assert (ended.status, "add --yes" in ended.err) == (2, True)
    third = cli("db", "rotate-keys", "--forget-old", "--yes", "--json").document()
    assert list(json.loads((home / "keys.json").read_text())["keys"]) == [third["key"]]


def test_backup_and_restore_say_what_they_did(cli, home, tmp_path):
    cli("db", "upgrade")
    target = tmp_path / "backup"
    done = cli("db", "backup", str(target), "--json").document()
    assert (done["backend"], done["revision"]) == ("sqlite", HEAD)
    assert "not included" in done["keys"]
    ended = cli("db", "restore", str(target))
    assert ended.status == 1
    assert "--force moves it aside" in ended.err
    ended = cli("db", "restore", str(target), "--force")
    assert ended.status == 0
    assert "What was there before is in" in ended.out
    assert cli("db", "check").status == 0
    assert cli("db", "backup", str(target)).status == 1


@pytest.mark.parametrize(
    "arguments", [["--until", "yesterday"], ["--until", "2026-11-25T10:00:00Z"]]
)
def test_a_restore_of_sqlite_to_another_time_is_refused(cli, home, tmp_path, arguments):
    cli("db", "upgrade")
    cli("db", "backup", str(tmp_path / "b"))
    ended = cli("db", "restore", str(tmp_path / "b"), "--force", *arguments)
    assert ended.status in {1, 2}
    assert (home / "autovibe.db").exists()
    assert not list(home.glob("before-restore*"))


def test_the_log_of_sqlite_cannot_be_received(cli, home, tmp_path):
    ended = cli("db", "receive-log", str(tmp_path / "wal"))
    assert (ended.status, "Only PostgreSQL" in ended.err) == (2, True)


def test_help_of_each_command_has_an_example(cli):
    for name in ("upgrade", "downgrade", "current", "history", "check", "rotate-keys", "backup",
                 "restore", "receive-log"):  # fmt: skip
        assert "Example: autovibe db" in cli("db", name, "--help").out


def test_a_data_set_to_develop_on_fills_an_empty_database_only(cli, home):
    counts = cli("db", "seed", "--json").document()["rows"]
    assert (counts["projects"], counts["tasks"]) == (3, 12)
    assert cli("db", "check").status == 0
    again = cli("db", "seed")
    assert again.status == 1
    assert "has projects" in again.err

"""What `doctor` finds out about a host, one thing at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane, StillClock

from autovibe.agents import adapters
from autovibe.db import open_database
from autovibe.db.upgrade import HEAD, ensure_schema
from autovibe.domains.machines.driver import MachineDriver, Probe
from autovibe.kernel.settings import Settings, load_settings
from autovibe.runtime import doctor
from autovibe.store import Store

KEY = "sk-very-secret"
AS_ROOT = os.geteuid() == 0


@dataclass
class Driver:
    """A driver whose trial has been made already."""

    result: Probe

    async def probe(self) -> Probe:
        return self.result


@dataclass
class Agent:
    """An agent whose program is missing, or not."""

    missing: str | None = None

    def check(self) -> str | None:
        return self.missing


def settings_in(home: Path, **environment: str) -> Settings:
    return load_settings({"AUTOVIBE_HOME": str(home), **environment})


async def schema_in(settings: Settings) -> None:
    """Make the database, as the first start does."""
    settings.home.mkdir(exist_ok=True)
    database = open_database(settings.database_url)
    await ensure_schema(database.engine)
    await database.close()


async def test_a_host_without_a_home_is_examined_and_left_as_it_is(tmp_path: Path):
    settings = settings_in(tmp_path / "home")
    driver = cast("MachineDriver", Driver(Probe(ok=True, enforced={"memory": "cgroup"})))
    found = await doctor.examine(settings, adapters(), driver, StillClock())
    names = [finding.name for finding in found]
    assert names[:4] == ["python", "git", "sandbox", "limits"]
    assert {"home", "database", "store", "disk", "prices", "agent shell"} <= set(names)
    assert "bad" not in {finding.level for finding in found if finding.name != "git"}
    assert list(tmp_path.glob("home*")) == []


def test_a_sandbox_that_cannot_be_started_says_how_to_get_it():
    found = doctor.check_sandbox(Probe(ok=False, reason="Install bubblewrap."))
    assert (found.level, found.advice) == ("bad", "Install bubblewrap.")
    assert doctor.check_limits(Probe(ok=False)) == []


@pytest.mark.parametrize(
    ("enforced", "level", "text"),
    [
        (
            {"memory": "cgroup", "processes": "cgroup", "cpus": "cgroup"},
            "ok",
            "memory by the kernel",
        ),
        ({"memory": "sampled", "processes": "cgroup", "cpus": "cgroup"}, "note", "each second"),
        ({"memory": "cgroup", "processes": "cgroup", "cpus": "none"}, "note", "cpus not limited"),
        (
            {"memory": "cgroup", "processes": "cgroup", "cpus": "cgroup", "disk_write": "none"},
            "ok",
            "disk_write not limited",
        ),
    ],
)
def test_limits_say_who_enforces_them(enforced: Mapping[str, str], level: str, text: str):
    (found,) = doctor.check_limits(Probe(ok=True, enforced=enforced))
    assert found.level == level
    assert text in found.text
    assert bool(found.advice) == (level != "ok")


def test_a_missing_agent_says_how_to_get_it():
    agents: Any = {"there": Agent(), "missing": Agent("Install it with pip.")}
    there, missing = doctor.check_agents(agents)
    assert (there.level, there.advice) == ("ok", "")
    assert (missing.level, missing.advice) == ("warn", "Install it with pip.")


def test_no_part_of_a_key_is_shown(tmp_path: Path):
    found = doctor.check_keys(settings_in(tmp_path, ANTHROPIC_API_KEY=KEY))
    assert [finding.level for finding in found] == ["ok", "note", "note"]
    assert KEY not in repr(found)
    assert "very" not in repr(found)
    assert "OPENAI_API_KEY" in found[1].advice


async def test_git_that_is_missing_or_broken_is_said(tmp_path: Path):
    assert (await doctor.check_git(None)).level == "bad"
    broken = tmp_path / "git"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert (await doctor.check_git(str(broken))).level == "bad"
    broken.write_text("#!/bin/sh\necho git version 9\n")
    assert "git version 9" in (await doctor.check_git(str(broken))).text


def test_a_home_that_others_may_enter_is_said(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    assert doctor.check_home(home).level == "ok"
    home.chmod(0o755)
    found = doctor.check_home(home)
    assert found.level == "warn"
    assert "0755" in found.text
    assert str(home) in found.advice


def test_a_home_that_cannot_be_used_is_said(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("x")
    assert doctor.check_home(file).level == "bad"
    assert doctor.check_home(file / "below").level == "bad"
    assert doctor.check_home(Path("/proc/nothing/home")).level == "bad"


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_home_that_may_not_be_written_is_said(tmp_path: Path):
    tmp_path.chmod(0o500)
    assert doctor.check_home(tmp_path).level == "bad"
    assert doctor.check_home(tmp_path / "home").level == "bad"


async def test_a_database_is_described_and_its_rate_has_a_date(tmp_path: Path):
    settings = settings_in(tmp_path)
    await schema_in(settings)
    clock = StillClock(datetime(2026, 11, 24, tzinfo=UTC))
    database, rate, _ = await doctor.check_database(settings, clock)
    assert (database.level, database.details["revision"]) == ("ok", HEAD)
    valid_from = date.fromisoformat(str(rate.details["valid_from"]))
    assert str(valid_from) in rate.text
    later = StillClock(datetime.combine(valid_from, datetime.min.time(), UTC) + timedelta(days=31))
    _, stale, _ = await doctor.check_database(settings, later)
    assert stale.level == "warn"
    _, refused, _ = await doctor.check_database(replace(settings, rates_max_age_days=1), later)
    assert refused.level == "bad"


async def test_a_database_of_a_newer_or_an_older_version_is_said(tmp_path: Path):
    settings = settings_in(tmp_path)
    await schema_in(settings)
    for revision, level, text in (("9999", "bad", "9999"), ("0000", "ok", f"brings it to {HEAD}")):
        with sqlite3.connect(tmp_path / "autovibe.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
        (found,) = await doctor.check_database(settings, StillClock())
        assert found.level == level
        assert text in found.text


async def test_a_database_that_is_none_or_cannot_be_reached_is_said(tmp_path: Path):
    (tmp_path / "autovibe.db").write_bytes(b"no database at all" * 100)
    (found,) = await doctor.check_database(settings_in(tmp_path), StillClock())
    assert found.level == "bad"
    for url in ("mysql://x/y", "postgresql://user:hidden@127.0.0.1:1/db"):
        settings = settings_in(tmp_path, AUTOVIBE_DATABASE_URL=url)
        (found,) = await doctor.check_database(settings, StillClock())
        assert found.level == "bad"
        assert "hidden" not in repr(found)


async def test_a_database_of_either_kind_takes_a_write(database_url: str, tmp_path: Path):
    settings = settings_in(tmp_path, AUTOVIBE_DATABASE_URL=database_url)
    found = await doctor.check_database(settings, StillClock())
    assert found[0].level == "ok"
    assert "takes writes" in found[0].text


def test_a_store_is_counted_and_its_damage_said(tmp_path: Path):
    clock = StillClock()
    settings = settings_in(tmp_path)
    (absent,) = doctor.check_store(settings, clock)
    assert "first start" in absent.text
    assert not (tmp_path / "store").exists()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("content")
    store = Store.open(tmp_path / "store", clock=clock)
    store.write_ref("checkpoints/x", store.snapshot({"w": tmp_path / "tree"}).root)
    (found,) = doctor.check_store(settings, clock)
    assert (found.level, found.details["checkpoints"]) == ("ok", 1)
    for index in (tmp_path / "store" / "packs").glob("*.idx"):
        index.write_bytes(b"garbage")
    (damaged,) = doctor.check_store(settings, clock)
    assert damaged.level == "warn"
    (tmp_path / "other" / "store").mkdir(parents=True)
    (tmp_path / "other" / "store" / "x").write_text("no store")
    (none,) = doctor.check_store(settings_in(tmp_path / "other"), clock)
    assert none.level == "bad"


def test_a_disk_that_is_nearly_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "_LEAST_FREE_BYTES", 2**63)
    assert doctor.check_disk(tmp_path / "not" / "there").level == "warn"
    monkeypatch.setattr(doctor, "_LEAST_FREE_BYTES", 1)
    assert doctor.check_disk(tmp_path).level == "ok"


def test_prices_have_a_date_and_grow_old(tmp_path: Path):
    newest = doctor.newest_price_change(date(2100, 1, 1))
    assert newest is not None
    overlay = tmp_path / "prices.toml"
    found = doctor.check_prices(overlay, newest)
    assert (found.level, found.details["newest_change"]) == ("ok", str(newest))
    assert doctor.check_prices(overlay, newest + timedelta(days=61)).level == "warn"
    assert doctor.newest_price_change(date(1990, 1, 1)) is None
    # A change that is announced but not in force yet says nothing about age.
    before = doctor.newest_price_change(newest - timedelta(days=1))
    assert before is not None
    assert before < newest
    overlay.write_text("[anthropic.x]\ninput = 1\noutput = 2\n")
    assert str(overlay) in doctor.check_prices(overlay, newest).text
    overlay.write_text("[anthropic.x]\ninput = 1\n")
    assert doctor.check_prices(overlay, newest).level == "bad"


def test_tool_chains_are_proposed_without_what_holds_a_login(tmp_path: Path):
    for name in (".cargo/bin", ".nvm", "go/bin", ".ssh", ".config", ".cargo"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    optional = tmp_path / "opt"
    for name in ("zig", ".hidden"):
        (optional / name).mkdir(parents=True)
    found = doctor.tool_chains(tmp_path, [tmp_path / ".nvm"], optional)
    own = [str(path.relative_to(tmp_path)) for path in found if path.is_relative_to(tmp_path)]
    assert own == [".cargo/bin", "go/bin", "opt/zig"]


async def test_checkpoints_without_reference_are_told_of_and_damaged_ones_too(
    plane: Plane, tmp_path: Path
):
    settings = settings_in(plane.store.path.parent)
    fine = await doctor.check_checkpoints(plane.db, settings)
    assert (fine.level, fine.details["read_at"]) == ("ok", "")
    project = await plane.project()
    made = await plane.checkpoint(project.id)
    found = await doctor.check_checkpoints(plane.db, settings)
    assert (found.level, found.details["without_reference"]) == ("warn", [made.id])
    runner = scheduler_of(plane, tmp_path).runner
    await run_job(runner, "cleanup-checkpoints")
    await run_job(runner, "audit-store")
    found = await doctor.check_checkpoints(plane.db, settings)
    assert found.details["damaged"] == 1
    assert "all read back on 2026-11-23" in found.text
    assert "--repair --from" in found.advice

"""What works on this host and what is missing, found by really trying; changes nothing.

Everything here returns data. `autovibe doctor` shows it.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from genai_prices import data_snapshot, types

from autovibe.db import open_configured
from autovibe.db.engine import Database
from autovibe.db.upgrade import HEAD, current_revision
from autovibe.domains.machines.agent import AgentAdapter
from autovibe.domains.machines.driver import MachineDriver, Probe
from autovibe.domains.metering import MeteringService, NoExchangeRateError, PriceBook
from autovibe.kernel.clock import Clock
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.ids import new_id
from autovibe.kernel.protoconv import from_timestamp
from autovibe.kernel.settings import Settings
from autovibe.runtime.checkpoint_health import look_at_checkpoints
from autovibe.runtime.store_jobs import MEND
from autovibe.runtime.store_process import read_store_key
from autovibe.store import Store
from autovibe.v1 import metering_pb2

Level = Literal["ok", "note", "warn", "bad"]

_LEAST_PYTHON: Final = (3, 11)
_LEAST_FREE_BYTES: Final = 2 * 1024**3
_PRICES_STALE_AFTER: Final = timedelta(days=60)
_SAMPLED: Final = (
    "Where the kernel enforces no limit, autovibe looks once a second and ends a machine that is "
    "over it. To have the kernel do it, give the control plane a control group that it may write: "
    "`systemd-run --user --scope -p Delegate=yes autovibe up`."
)
# Below a person's home, only parts that hold no login of theirs.
_HOME_CHAINS: Final = (
    ".cargo/bin",
    ".cargo/registry",
    ".rustup",
    ".nvm",
    ".volta",
    ".bun",
    ".deno",
    ".pyenv",
    ".rbenv",
    ".sdkman",
    ".asdf",
    ".local/share/mise",
    "go/bin",
    "go/pkg",
)
_HOST_CHAINS: Final = ("/nix/store", "/snap")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `ok` is good, `note` is worth knowing, `warn` should be mended, `bad` keeps tasks from running
    in a sandbox. `advice` says what to do, "" where there is nothing to do.
    """

    name: str
    level: Level
    text: str
    advice: str = ""
    details: Mapping[str, object] = field(default_factory=dict[str, object])


async def examine(
    settings: Settings,
    adapters: Mapping[str, AgentAdapter],
    sandbox: MachineDriver,
    clock: Clock,
) -> list[Finding]:
    """Return what was found, in the order in which a person wants to read it.

    Args:
        settings: whose home, database and keys are looked at.
        adapters: the agents, by name.
        sandbox: really starts something.
        clock: says how old rates are.
    """
    probe = await sandbox.probe()
    git = await asyncio.to_thread(shutil.which, "git")
    return [
        check_python(),
        await check_git(git),
        check_sandbox(probe),
        *check_limits(probe),
        *check_agents(adapters),
        *check_keys(settings),
        check_home(settings.home),
        *await check_database(settings, clock),
        *await asyncio.to_thread(check_store, settings, clock),
        check_disk(settings.home),
        check_prices(settings.home / "prices.toml", clock.now().date()),
    ]


def check_python() -> Finding:
    """Look at the interpreter."""
    text = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] >= _LEAST_PYTHON:
        return Finding("python", "ok", text)
    return Finding("python", "bad", text, "Install Python 3.11 or later.")


async def check_git(program: str | None) -> Finding:
    """Look at git.

    Args:
        program: its path, `None` if there is none.
    """
    advice = "Install git (`sudo apt install git`): directories are imported and results applied "
    if program is None:
        return Finding("git", "bad", "git is not installed.", f"{advice}with it.")
    process = await asyncio.create_subprocess_exec(
        program,
        "--version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        return Finding("git", "bad", f"{program} does not run.", f"{advice}with it.")
    return Finding("git", "ok", f"{out.decode(errors='replace').strip()} ({program})")


def check_sandbox(probe: Probe) -> Finding:
    """Say whether a sandbox was started."""
    if probe.ok:
        return Finding("sandbox", "ok", "bubblewrap starts a sandbox, as tasks get it.")
    return Finding("sandbox", "bad", "No sandbox can be started here.", probe.reason)


def check_limits(probe: Probe) -> list[Finding]:
    """Say which limits of a machine the kernel enforces (decision C3)."""
    if not probe.ok:
        return []
    by_kernel = all(probe.enforced.get(name) == "cgroup" for name in _LIMITS)
    text = ", ".join(f"{name} {_HOW.get(how, how)}" for name, how in probe.enforced.items())
    return [
        Finding(
            "limits",
            "ok" if by_kernel else "note",
            text,
            "" if by_kernel else _SAMPLED,
            {"enforced": dict(probe.enforced)},
        )
    ]


_LIMITS: Final = ("memory", "processes", "cpus")
_HOW: Final = {
    "cgroup": "by the kernel",
    "sampled": "by looking each second",
    "none": "not limited",
}


def check_agents(adapters: Mapping[str, AgentAdapter]) -> list[Finding]:
    """Say which agents are installed."""
    found: list[Finding] = []
    for name, adapter in adapters.items():
        missing = adapter.check()
        if missing is None:
            found.append(Finding(f"agent {name}", "ok", "installed"))
        else:
            found.append(Finding(f"agent {name}", "warn", "not installed", missing))
    return found


def check_keys(settings: Settings) -> list[Finding]:
    """Say for which providers there is a key; no key is shown, in whole or in part."""
    found: list[Finding] = []
    for provider, upstream in settings.upstreams.items():
        details = {"url": upstream.url, "key": upstream.key is not None}
        if upstream.key is not None:
            text = f"there is a key, for {upstream.url}"
            found.append(Finding(f"key {provider}", "ok", text, "", details))
            continue
        name = f"{provider.upper()}_API_KEY"
        advice = f"Set {name} (or AUTOVIBE_UPSTREAM_{provider.upper()}_KEY) to use {provider}."
        found.append(Finding(f"key {provider}", "note", "no key", advice, details))
    return found


def check_home(home: Path) -> Finding:
    """Look at the home directory: it must be the user's own, and for nobody else (decision C13)."""
    try:
        status = home.stat()
    except FileNotFoundError:
        return _missing_home(home)
    except OSError as error:
        return _bad_home(f"{home} cannot be looked at: {error.strerror}.")
    if not stat.S_ISDIR(status.st_mode):
        return _bad_home(f"{home} is no directory.")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return _bad_home(f"{home} cannot be written.")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        text = f"{home} can be entered by others (mode {mode:04o})."
        return Finding("home", "warn", text, f"Run `chmod 700 {home}`; the next start does so too.")
    return Finding("home", "ok", f"{home} (mode {mode:04o})")


def _missing_home(home: Path) -> Finding:
    above = next(parent for parent in home.parents if parent.exists())
    try:
        # Permissions alone do not tell: /proc takes no directory, whoever asks.
        Path(tempfile.mkdtemp(prefix=".autovibe-", dir=above)).rmdir()
    except OSError as error:
        why = error.strerror or "it cannot be written"
        return _bad_home(f"{home} does not exist and cannot be made in {above}: {why}.")
    return Finding("home", "ok", f"{home} is made at the first start.")


def _bad_home(text: str) -> Finding:
    return Finding("home", "bad", text, "Set AUTOVIBE_HOME to a directory that you may write.")


async def check_database(settings: Settings, clock: Clock) -> list[Finding]:
    """Look at the database and at the exchange rate in it; makes none where there is none."""
    try:
        database = open_configured(settings, clock=clock)
    except AutovibeError as error:
        return [Finding("database", "bad", error.message, "Correct AUTOVIBE_DATABASE_URL.")]
    try:
        return await _look_at_database(settings, database, clock)
    except (AutovibeError, OSError) as error:
        message = error.message if isinstance(error, AutovibeError) else str(error)
        return [Finding("database", "bad", f"{_shown(database)}: {message}", "See above.")]
    finally:
        await database.close()


async def _look_at_database(settings: Settings, database: Database, clock: Clock) -> list[Finding]:
    if is_absent(database):
        return [Finding("database", "ok", f"{_shown(database)} is made at the first start.")]
    async with database.engine.connect() as connection:
        revision = await current_revision(connection)
    details = {"kind": database.dialect.name, "revision": revision, "known_revision": HEAD}
    where = _shown(database)
    if revision > HEAD:
        text = f"{where} is at revision {revision}; this autovibe knows none later than {HEAD}."
        return [Finding("database", "bad", text, "Install a newer autovibe.", details)]
    if not revision:
        text = f"{where} is empty; its tables are made at the first start."
        return [Finding("database", "ok", text, "", details)]
    # Begins, writes nothing, commits: a database that takes no writes refuses the beginning.
    async with database.write():
        pass
    if revision != HEAD:
        text = f"{where}, revision {revision}; the next start brings it to {HEAD}."
        return [Finding("database", "ok", text, "", details)]
    return [
        Finding("database", "ok", f"{where}, revision {revision}, takes writes", "", details),
        await check_rate(database, settings.rates_max_age_days, clock),
        await check_checkpoints(database, settings),
    ]


def is_absent(database: Database) -> bool:
    """Return whether there is no database file yet; connecting would make one."""
    path = database.url.database
    return database.dialect.name == "sqlite" and bool(path) and not Path(str(path)).exists()


def _shown(database: Database) -> str:
    """Return where a database is; a password in its URL is not shown."""
    if database.dialect.name == "sqlite":
        return f"SQLite {database.url.database}"
    return f"PostgreSQL {database.url.host or ''}/{database.url.database or ''}"


async def check_rate(database: Database, max_age_days: int | None, clock: Clock) -> Finding:
    """Say which rate turns US dollars into Canadian ones, and how old it is (decision B4)."""
    metering = MeteringService(max_rate_age_days=max_age_days)
    actor = Actor("system", "doctor", ALL_SCOPES)
    try:
        async with database.read() as tx:
            rate = await metering.get_exchange_rate(
                tx,
                CallContext(actor, clock, new_id()),
                metering_pb2.GetExchangeRateRequest(currency="USD"),
            )
    except NoExchangeRateError as error:
        return Finding("rate", "bad", error.message, "Without a rate no model call is admitted.")
    valid_from = from_timestamp(rate.valid_from).date()
    text = f"1 USD = {rate.rate_to_cad} CAD, of {valid_from}"
    details = {"rate_to_cad": rate.rate_to_cad, "valid_from": str(valid_from), "stale": rate.stale}
    if rate.stale:
        advice = "It is older than 30 days; upgrade autovibe for a newer one."
        return Finding("rate", "warn", text, advice, details)
    return Finding("rate", "ok", text, "", details)


async def check_checkpoints(database: Database, settings: Settings) -> Finding:
    """Say whether the store has the files of all checkpoints, as far as that is known."""
    health = await look_at_checkpoints(database, settings)
    read_at = health.read_at
    when = f"all read back on {read_at:%Y-%m-%d}" if read_at else "not yet read back as a whole"
    details: dict[str, object] = {
        "checkpoints": health.checkpoints,
        "damaged": health.damaged,
        "without_reference": [str(one) for one in health.without_reference],
        "read_at": str(read_at or ""),
    }
    if health.problems:
        text = f"{'; '.join(health.problems)}; {when}"
        advice = f"Run `autovibe db maintain cleanup-checkpoints`; for what stays, {MEND}."
        return Finding("checkpoints", "warn", text, advice, details)
    return Finding("checkpoints", "ok", f"{health.checkpoints:,} with files, {when}", "", details)


def check_store(settings: Settings, clock: Clock) -> list[Finding]:
    """Count what is in the checkpoint store; makes none where there is none."""
    path = settings.store_path
    if not path.exists():
        return [Finding("store", "ok", f"{path} is made at the first start.")]
    try:
        key = read_store_key(settings.checkpoints.key_file)
        stats = Store.open(path, key=key, create=False, clock=clock).stats()
    except (AutovibeError, OSError) as error:
        message = error.message if isinstance(error, AutovibeError) else str(error)
        return [Finding("store", "bad", message, f"Restore {path} from a backup.")]
    details: dict[str, object] = {
        "objects": stats.objects,
        "packs": stats.packs,
        "checkpoints": stats.refs,
        "raw_bytes": stats.raw_bytes,
        "stored_bytes": stats.stored_bytes,
        "damaged_packs": list(stats.damaged_packs),
    }
    text = (
        f"{path}: {stats.refs:,} references, {stats.objects:,} objects, "
        f"{_mib(stats.stored_bytes)} on disk for {_mib(stats.raw_bytes)}"
    )
    if stats.damaged_packs:
        damaged = f"{text}; {len(stats.damaged_packs)} packs are damaged."
        advice = "Find out which checkpoints are with `autovibe checkpoint verify ID`."
        return [Finding("store", "warn", damaged, advice, details)]
    return [Finding("store", "ok", text, "", details)]


def check_disk(home: Path) -> Finding:
    """Say how much room is left where checkpoints go."""
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1024**3:.1f} GiB free at {there}"
    if free >= _LEAST_FREE_BYTES:
        return Finding("disk", "ok", text, "", {"free_bytes": free})
    advice = "Make room, or set AUTOVIBE_HOME to another disk: a full one stops tasks."
    return Finding("disk", "warn", text, advice, {"free_bytes": free})


def check_prices(overlay: Path, today: date) -> Finding:
    """Say where prices come from, and of when the newest of them is.

    The catalogue has no date of its own; that of its newest price change is one that it is not
    older than.
    """
    release = version("genai-prices")
    newest = newest_price_change(today)
    text = f"genai-prices {release}, newest price change of {newest}"
    details: dict[str, object] = {
        "catalogue": release,
        "newest_change": str(newest),
        "own": overlay.is_file(),
    }
    try:
        PriceBook(overlay)
    except AutovibeError as error:
        return Finding("prices", "bad", error.message, f"Correct {overlay}.", details)
    if overlay.is_file():
        text += f", over it {overlay}"
    if newest is None or today - newest > _PRICES_STALE_AFTER:
        advice = "Upgrade it: `pip install --upgrade genai-prices`."
        return Finding("prices", "warn", text, advice, details)
    return Finding("prices", "ok", text, "", details)


def newest_price_change(today: date) -> date | None:
    """Return the day of the newest price change in the catalogue that is in force."""
    days = [
        prices.constraint.start_date
        for provider in data_snapshot.get_snapshot().providers
        for model in provider.models
        for prices in (model.prices if isinstance(model.prices, list) else [])
        if isinstance(prices.constraint, types.StartDateConstraint)
    ]
    return max((day for day in days if day <= today), default=None)


def tool_chains(
    user_home: Path, known: Sequence[Path], optional: Path = Path("/opt")
) -> list[Path]:
    """Return tool chains of this host that no machine sees yet (decision C4).

    What lies below /usr is seen by all. Directories where tools keep a person's logins are left
    out.

    Args:
        user_home: of the person.
        known: what `[sandbox] ro` names already.
        optional: the directory of add-on software.
    """
    candidates = [user_home / name for name in _HOME_CHAINS]
    candidates += [Path(name) for name in _HOST_CHAINS]
    if optional.is_dir():
        candidates += sorted(path for path in optional.iterdir() if not path.name.startswith("."))
    return [
        path
        for path in candidates
        if path.is_dir() and not any(path.is_relative_to(shown) for shown in known)
    ]


def _mib(count_bytes: int) -> str:
    return f"{count_bytes / 1024**2:.1f} MiB"

"""Settings of the database engine, the query cache and the key ring: values, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from autovibe.kernel.errors import InvalidArgumentError

SSL_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
_PREFIX: Final = "AUTOVIBE_DATABASE_"
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class DatabaseSettings:
    """How connections to a PostgreSQL are made, kept and watched; SQLite has its own fixed pools.

    Times are in seconds; 0 takes a limit away.
    """

    profile: str = "large"
    pool_size: int = 20
    max_overflow: int = 30
    pool_timeout_s: float = 30.0
    pool_recycle_s: int = 3_600
    pool_pre_ping: bool = True
    statement_timeout_s: float = 60.0
    lock_timeout_s: float = 5.0
    slow_query_s: float = 0.5
    """Statements that take longer are logged, with their plan; 0 logs none."""
    sslmode: str = ""
    """One of `SSL_MODES`; "" lets the URL say, and else is `prefer`."""
    sslrootcert: Path | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    require_tls: bool = False
    """Refuse every PostgreSQL whose certificate and name would not be verified."""


@dataclass(frozen=True)
class CacheSettings:
    """Where results of queries are kept."""

    url: str = "memory"
    """`memory`, `off`, or `redis://` / `rediss://` / `valkey://` with host, port and database."""
    max_entries: int = 10_000
    """Of the cache in memory; a server has its own `maxmemory`."""


PROFILES: Final[Mapping[str, tuple[int, int]]] = {"large": (20, 30), "small": (20, 10)}
"""Name → pool size and overflow: that of a control plane, and that of a development setup."""

KEYS: Final = frozenset(
    {
        "profile",
        "pool_size",
        "max_overflow",
        "pool_timeout",
        "pool_recycle",
        "pool_pre_ping",
        "statement_timeout",
        "lock_timeout",
        "slow_query",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "require_tls",
    }
)
CACHE_KEYS: Final = frozenset({"url", "max_entries"})


@dataclass(frozen=True)
class Source:
    """One table of `config.toml` under the variables of one prefix, which win."""

    env: Mapping[str, str]
    prefix: str
    table: Mapping[str, object] = field(default_factory=dict[str, object])

    def value(self, name: str) -> tuple[object, str]:
        """Return what was given, None if nothing was, and where it stands."""
        variable = f"{self.prefix}{name.upper()}"
        if self.env.get(variable):
            return self.env[variable], variable
        return self.table.get(name), f"{name} in config.toml"

    def number(self, name: str, kind: Callable[[Any], Any], default: float) -> Any:
        """Return a number of 0 or more.

        Raises:
            InvalidArgumentError: it is none.
        """
        given, where = self.value(name)
        if given is None:
            return default
        try:
            number = kind(cast("str", given))
            fits = not isinstance(given, bool) and 0 <= number < 10**9 and number == float(given)  # pyright: ignore[reportArgumentType]  # refused below if it cannot be
        except (TypeError, ValueError):
            fits, number = False, 0
        if not fits:
            what = "a whole number" if kind is int else "a number"
            raise InvalidArgumentError(f"{where} must be {what}, 0 or more.", name=name)
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a yes or no.

        Raises:
            InvalidArgumentError: it is neither.
        """
        given, where = self.value(name)
        if given is None or isinstance(given, bool):
            return default if given is None else given
        if str(given).lower() not in _YES:
            raise InvalidArgumentError(f"{where} must be true or false.", name=name)
        return _YES[str(given).lower()]

    def text(self, name: str, default: str = "") -> str:
        """Return a text.

        Raises:
            InvalidArgumentError: it is none.
        """
        given, where = self.value(name)
        if given is not None and not isinstance(given, str):
            raise InvalidArgumentError(f"{where} must be text in quotes.", name=name)
        return given or default

    def texts(self, name: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the texts of a list; in a variable they stand between commas or spaces.

        Raises:
            InvalidArgumentError: it is no list of texts.
        """
        given, where = self.value(name)
        if given is None:
            return tuple(default)
        if isinstance(given, str) and where.startswith(self.prefix):
            return tuple(given.replace(",", " ").split())
        items = cast("list[object]", given)
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):  # pyright: ignore[reportUnnecessaryIsInstance]  # what a person wrote
            raise InvalidArgumentError(f"{where} must be a list of texts in quotes.", name=name)
        return tuple(str(item) for item in items)

    def path(self, name: str) -> Path | None:
        """Return a path, None if there is none."""
        text = self.text(name)
        return Path(text).expanduser().absolute() if text else None


def read_database_settings(env: Mapping[str, str], table: Mapping[str, object]) -> DatabaseSettings:
    """Return the settings of `AUTOVIBE_DATABASE_*` over those of the table `[database]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, _PREFIX, table)
    profile = source.text("profile", "large")
    if profile not in PROFILES:
        raise InvalidArgumentError(
            f"There is no pool profile {profile!r}; take one of {', '.join(PROFILES)}.",
            name="profile",
        )
    size, overflow = PROFILES[profile]
    own = DatabaseSettings()
    read = replace(
        own,
        profile=profile,
        pool_size=source.number("pool_size", int, size),
        max_overflow=source.number("max_overflow", int, overflow),
        pool_timeout_s=source.number("pool_timeout", float, own.pool_timeout_s),
        pool_recycle_s=source.number("pool_recycle", int, own.pool_recycle_s),
        pool_pre_ping=source.flag("pool_pre_ping", default=own.pool_pre_ping),
        statement_timeout_s=source.number("statement_timeout", float, own.statement_timeout_s),
        lock_timeout_s=source.number("lock_timeout", float, own.lock_timeout_s),
        slow_query_s=source.number("slow_query", float, own.slow_query_s),
        sslmode=source.text("sslmode"),
        sslrootcert=source.path("sslrootcert"),
        sslcert=source.path("sslcert"),
        sslkey=source.path("sslkey"),
        require_tls=source.flag("require_tls", default=own.require_tls),
    )
    if read.pool_size < 1:
        raise InvalidArgumentError("pool_size must be 1 or more.", name="pool_size")
    if read.sslmode and read.sslmode not in SSL_MODES:
        raise InvalidArgumentError(
            f"There is no sslmode {read.sslmode!r}; take one of {', '.join(SSL_MODES)}.",
            name="sslmode",
        )
    return read


def read_cache_settings(env: Mapping[str, str], table: Mapping[str, object]) -> CacheSettings:
    """Return the settings of `AUTOVIBE_CACHE_*` over those of the table `[cache]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_CACHE_", table)
    own = CacheSettings()
    url = source.text("url", own.url)
    schemes = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")
    if url not in {"memory", "off"} and not url.startswith(schemes):
        raise InvalidArgumentError(
            "The cache's URL must be memory, off or redis://HOST:PORT/DATABASE.", name="url"
        )
    return CacheSettings(
        url=url, max_entries=max(1, source.number("max_entries", int, own.max_entries))
    )

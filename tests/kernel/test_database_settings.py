"""Settings of engine, cache and key ring: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from autovibe.kernel.database_settings import CacheSettings, DatabaseSettings
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import load_settings


def load(tmp_path: Path, config: str = "", **env: str):
    (tmp_path / "config.toml").write_text(config)
    return load_settings({"AUTOVIBE_HOME": str(tmp_path), **env})


@pytest.mark.req("S0-114")
def test_the_default_is_the_large_pool(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.database == DatabaseSettings()
    assert (settings.database.pool_size, settings.database.max_overflow) == (20, 30)
    assert settings.cache == CacheSettings(url="memory")


@pytest.mark.req("S3-105")
def test_the_small_profile_is_the_pool_of_a_development_setup(tmp_path: Path) -> None:
    database = load(tmp_path, '[database]\nprofile = "small"\n').database
    assert (database.pool_size, database.max_overflow) == (20, 10)
    assert database.pool_pre_ping


def test_a_number_of_its_own_wins_over_the_profile_and_a_variable_over_the_file(
    tmp_path: Path,
) -> None:
    config = '[database]\nprofile = "small"\nmax_overflow = 3\npool_timeout = 1.5\n'
    database = load(tmp_path, config, AUTOVIBE_DATABASE_POOL_SIZE="7").database
    assert (database.pool_size, database.max_overflow, database.pool_timeout_s) == (7, 3, 1.5)


def test_flags_are_read_from_variables_and_from_the_file(tmp_path: Path) -> None:
    assert not load(tmp_path, "[database]\npool_pre_ping = false\n").database.pool_pre_ping
    assert load(tmp_path, AUTOVIBE_DATABASE_REQUIRE_TLS="true").database.require_tls
    assert not load(tmp_path, AUTOVIBE_DATABASE_POOL_PRE_PING="0").database.pool_pre_ping


@pytest.mark.parametrize(
    ("config", "env"),
    [
        ("[database]\npool_size = 0\n", {}),
        ("[database]\npool_size = true\n", {}),
        ("[database]\npool_size = 1.5\n", {}),
        ("[database]\nslow_query = -1\n", {}),
        ("[database]\nsslmode = 3\n", {}),
        ('[database]\nsslmode = "sometimes"\n', {}),
        ('[database]\nprofile = "huge"\n', {}),
        ("[database]\nnonsense = 1\n", {}),
        ('[cache]\nurl = "memcached://x"\n', {}),
        ("", {"AUTOVIBE_DATABASE_POOL_SIZE": "many"}),
        ("", {"AUTOVIBE_DATABASE_LOCK_TIMEOUT": "nan"}),
        ("", {"AUTOVIBE_DATABASE_REQUIRE_TLS": "perhaps"}),
        ("", {"AUTOVIBE_CACHE_URL": "nonsense"}),
    ],
)
def test_a_malformed_value_is_refused(tmp_path: Path, config: str, env: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError):
        load(tmp_path, config, **env)


def test_a_key_ring_in_the_environment_is_taken_out_of_it_and_never_shown(tmp_path: Path) -> None:
    env = {"AUTOVIBE_HOME": str(tmp_path), "AUTOVIBE_KEYS": "very-secret"}
    settings = load_settings(env)
    assert settings.keys == "very-secret"
    assert "AUTOVIBE_KEYS" not in env
    assert "very-secret" not in repr(settings)

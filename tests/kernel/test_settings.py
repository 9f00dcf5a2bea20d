from __future__ import annotations

import json
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from autovibe.kernel.checkpoint_settings import CheckpointSettings
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.maintenance_settings import read_maintenance_settings
from autovibe.kernel.settings import HomeUnusableError, Settings, ensure_home, load_settings


def _load(home: Path, config: str = "", **variables: str) -> tuple[Settings, dict[str, str]]:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(config)
    environment = {"AUTOVIBE_HOME": str(home), **variables}
    return load_settings(environment), environment


def test_a_variable_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path):
    config = """
        database_url = "sqlite:////from/file.db"
        [up]
        http_port = 9000
        [upstream.anthropic]
        url = "https://file.example/"
        key = "file-key"
        [upstream.openai]
        key = "openai-file-key"
        [limits]
        task_timeout = 60
        cpus = 3
        default_task_budget = 0.1
        [sandbox]
        ro = ["/opt/tools"]
        [rates]
        max_age_days = 30
        [checkpoints]
        audit_every = 7
        detection = "fanotify"
    """
    settings, _ = _load(
        tmp_path / "home",
        config,
        AUTOVIBE_DATABASE_URL="postgresql://db.example/x",
        AUTOVIBE_CHECKPOINTS_DETECTION="walk",
        AUTOVIBE_UPSTREAM_ANTHROPIC_URL="http://127.0.0.1:1/",
    )
    assert settings.database_url == "postgresql://db.example/x"
    assert settings.upstreams["anthropic"].url == "http://127.0.0.1:1"
    assert settings.upstreams["anthropic"].key == "file-key"
    assert settings.upstreams["openai"].url == "https://api.openai.com"
    assert settings.upstreams["openai"].key == "openai-file-key"
    assert settings.upstreams["gemini"].key is None
    assert (settings.http_port, settings.grpc_port, settings.host) == (9000, 8421, "127.0.0.1")
    assert (settings.task_timeout_s, settings.cpus, settings.memory_mb) == (60, 3.0, 4096)
    assert settings.default_task_budget == Decimal("0.1")
    assert settings.sandbox_ro == (Path("/opt/tools"),)
    assert settings.rates_max_age_days == 30
    assert settings.checkpoints == CheckpointSettings(7, "walk")


def test_without_anything_the_home_is_below_the_users_and_the_database_in_it(tmp_path: Path):
    settings = load_settings({"HOME": str(tmp_path)})
    assert settings.home == tmp_path / ".autovibe"
    assert settings.database_url == f"sqlite:///{tmp_path}/.autovibe/autovibe.db"
    assert (settings.default_task_budget, settings.server, settings.token) == (
        Decimal(5),
        None,
        None,
    )
    assert settings.rates_max_age_days is None
    unlimited, _ = _load(tmp_path / "other", '[limits]\ndefault_task_budget = "unlimited"')
    assert unlimited.default_task_budget is None


def test_provider_keys_leave_the_environment_and_are_never_shown(tmp_path: Path):
    settings, environment = _load(
        tmp_path / "home",
        "",
        ANTHROPIC_API_KEY="sk-a",
        AUTOVIBE_UPSTREAM_ANTHROPIC_KEY="sk-own",
        OPENAI_API_KEY="sk-o",
        GEMINI_API_KEY="sk-g",
        GOOGLE_API_KEY="sk-google",
        AUTOVIBE_TOKEN="avt_secret",
    )
    keys = [upstream.key for upstream in settings.upstreams.values()]
    assert keys == ["sk-own", "sk-o", "sk-g"]
    assert not [value for value in environment.values() if value.startswith("sk-")]
    assert "sk-" not in repr(settings)
    assert "avt_secret" not in repr(settings)


@pytest.mark.parametrize(
    "config",
    [
        "nonsense = 1",
        "[limits]\ntask_timeuot = 3",
        "[limit]\ntask_timeout = 3",
        "[upstream.mistral]\nkey = 'x'",
        "[upstream.anthropic]\nurll = 'x'",
        "[upstream]\nanthropic = 'x'",
        "up = 3",
        "[database_url]\nx = 1",
        "database_url = 5",
        "[limits]\ntask_timeout = '30m'",
        "[limits]\ntask_timeout = -1",
        "[limits]\ntask_timeout = true",
        "[limits]\ncpus = 'two'",
        "[limits]\ncpus = 0",
        "[limits]\ncpus = inf",
        "[limits]\ndefault_task_budget = 'much'",
        "[limits]\ndefault_task_budget = -1",
        "[sandbox]\nro = '~/tools'",
        "[sandbox]\nro = [1]",
        "[checkpoints]\ndetection = 'guess'",
        "[checkpoints]\naudit_every = -1",
        "[checkpoints]\naudit_every = 'often'",
        "[up]\nhttp_port = 65536",
        "[up]\nhost = 5",
        "not toml",
    ],
)
def test_an_unknown_name_or_a_malformed_value_is_refused_and_named(tmp_path: Path, config: str):
    with pytest.raises(InvalidArgumentError) as refused:
        _load(tmp_path / "home", config)
    assert "config.toml" in refused.value.message


def test_a_config_file_of_bytes_is_refused(tmp_path: Path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgumentError):
        load_settings({"AUTOVIBE_HOME": str(tmp_path)})


def test_the_home_is_made_for_its_owner_only(tmp_path: Path):
    settings = load_settings({"AUTOVIBE_HOME": str(tmp_path / "deep" / "home")})
    ensure_home(settings)
    settings.home.chmod(0o755)
    ensure_home(settings)
    for path in (settings.home, settings.machines_path, settings.run_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert settings.store_path.parent == settings.server_file.parent == settings.token_file.parent


def test_a_home_that_is_a_file_or_below_one_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(HomeUnusableError) as refused:
            ensure_home(load_settings({"AUTOVIBE_HOME": str(home)}))
        assert "AUTOVIBE_HOME" in refused.value.message


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Give a directory that other users may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def test_a_home_that_may_not_be_written_is_refused(open_directory: Path):
    home = open_directory / "home"
    ensure_home(load_settings({"AUTOVIBE_HOME": str(home)}))
    home.chmod(0o500)
    # Root writes everywhere, so the question is asked by a process that is not root.
    script = """
import json, os, sys
from autovibe.kernel.settings import HomeUnusableError, ensure_home, load_settings
home, uid = sys.argv[1], int(sys.argv[2])
if os.geteuid() == 0:
    os.chown(home, uid, uid)
    for path in (home + "/machines", home + "/run"):
        os.chown(path, uid, uid)
    os.setresuid(uid, uid, uid)
try:
    ensure_home(load_settings({"AUTOVIBE_HOME": home}))
except HomeUnusableError as error:
    print(json.dumps([error.reason, error.message]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(home), "65534"],
        capture_output=True,
        text=True,
        check=True,
    )
    reason, message = json.loads(done.stdout)
    assert reason == "HOME_UNUSABLE"
    assert "read-only" in message


def test_a_store_that_forgets_sooner_than_the_database_goes_back_is_refused():
    short = {"grace_days": 7}
    with pytest.raises(InvalidArgumentError, match="restore_window_days"):
        read_maintenance_settings({}, short)
    assert read_maintenance_settings({}, short | {"restore_window_days": 7}).grace_days == 7
    assert read_maintenance_settings({}, {"grace_days": 0}).grace_days == 0
    environment = {"AUTOVIBE_MAINTENANCE_RESTORE_WINDOW_DAYS": "60"}
    with pytest.raises(InvalidArgumentError, match="set the grace to 60"):
        read_maintenance_settings(environment, {})

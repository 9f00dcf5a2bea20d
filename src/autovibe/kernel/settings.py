"""Settings: `AUTOVIBE_*` variables over `$AUTOVIBE_HOME/config.toml` over defaults."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from autovibe.kernel.approval_settings import (
    APPROVAL_KEYS,
    ApprovalSettings,
    read_approval_settings,
)
from autovibe.kernel.breaker_settings import (
    BREAKER_KEYS,
    BreakerSettings,
    read_breaker_settings,
)
from autovibe.kernel.checkpoint_settings import (
    CHECKPOINT_KEYS,
    CheckpointSettings,
    read_checkpoint_settings,
)
from autovibe.kernel.database_settings import (
    CACHE_KEYS,
    KEYS,
    CacheSettings,
    DatabaseSettings,
    read_cache_settings,
    read_database_settings,
)
from autovibe.kernel.egress_settings import EGRESS_KEYS, EgressSettings, read_egress_settings
from autovibe.kernel.errors import AutovibeError, Code, InvalidArgumentError
from autovibe.kernel.gateway_settings import (
    GATEWAY_KEYS,
    GatewaySettings,
    UpstreamSettings,
    read_gateway_settings,
    read_upstreams,
)
from autovibe.kernel.log_settings import LOG_KEYS, LogSettings, read_log_settings
from autovibe.kernel.maintenance_settings import (
    MAINTENANCE_KEYS,
    MaintenanceSettings,
    read_maintenance_settings,
)
from autovibe.kernel.money import parse_decimal
from autovibe.kernel.people_settings import PEOPLE_KEYS, PeopleSettings, read_people_settings
from autovibe.kernel.serving_settings import (
    SERVING_KEYS,
    ServingSettings,
    read_serving_settings,
)
from autovibe.kernel.talk_settings import (
    CHAT_KEYS,
    DOCUMENT_KEYS,
    ChatSettings,
    DocumentSettings,
    read_chat_settings,
    read_document_settings,
)
from autovibe.kernel.worker_settings import (
    QUEUE_KEYS,
    WORKER_KEYS,
    QueueSettings,
    WorkerSettings,
    read_queue_settings,
    read_worker_settings,
)

HTTP_PORT: Final = 8420
GRPC_PORT: Final = 8421
WORKER_PORT: Final = 8422
_LAST_PORT: Final = 65_535
_SECTIONS: Final[Mapping[str, Collection[str]]] = {
    "": {"database_url", "server", "server_certificate", "token"},
    "approvals": APPROVAL_KEYS,
    "breaker": BREAKER_KEYS,
    "cache": CACHE_KEYS,
    "chat": CHAT_KEYS,
    "checkpoints": CHECKPOINT_KEYS,
    "queue": QUEUE_KEYS,
    "worker": WORKER_KEYS,
    "database": KEYS,
    "documents": DOCUMENT_KEYS,
    "egress": EGRESS_KEYS,
    "gateway": GATEWAY_KEYS,
    "logs": LOG_KEYS,
    "limits": {"default_task_budget", "task_timeout", "memory_mb", "cpus", "processes"},
    "maintenance": MAINTENANCE_KEYS,
    "people": PEOPLE_KEYS,
    "rates": {"max_age_days"},
    "sandbox": {"ro"},
    "up": {"host", "http_port", "grpc_port", "worker_host", "worker_port", *SERVING_KEYS},
}


class HomeUnusableError(AutovibeError):
    """The home directory cannot be made or written."""

    code = Code.FAILED_PRECONDITION
    reason = "HOME_UNUSABLE"


@dataclass(frozen=True)
class Settings:
    """Everything that a person may set."""

    home: Path
    database_url: str
    server: str | None = None
    token: str | None = field(default=None, repr=False)
    upstreams: Mapping[str, UpstreamSettings] = field(default_factory=dict[str, UpstreamSettings])
    default_task_budget: Decimal | None = Decimal(5)
    """Cap in CAD of a run without a budget; `None` (written "unlimited") means no cap."""
    task_timeout_s: int = 3600
    memory_mb: int = 4096
    cpus: float = 2.0
    processes: int = 512
    rates_max_age_days: int | None = None
    sandbox_ro: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    grpc_port: int = GRPC_PORT
    worker_host: str | None = None
    """Address on which workers of other hosts are served over TLS; none are when it is not set."""
    worker_port: int = WORKER_PORT
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    maintenance: MaintenanceSettings = field(default_factory=MaintenanceSettings)
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    server_certificate: Path | None = None
    """What a named server must show over TLS, PEM; None trusts whom this system trusts."""
    people: PeopleSettings = field(default_factory=PeopleSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    egress: EgressSettings = field(default_factory=EgressSettings)
    approvals: ApprovalSettings = field(default_factory=ApprovalSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    chat: ChatSettings = field(default_factory=ChatSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    documents: DocumentSettings = field(default_factory=DocumentSettings)
    keys: str | None = field(default=None, repr=False)
    """A key ring in place of the file `keys.json`; see `db.encryption`."""

    @property
    def store_path(self) -> Path:
        """Directory of the checkpoint store."""
        return self.home / "store"

    @property
    def machines_path(self) -> Path:
        """Directory under which each machine has its own."""
        return self.home / "machines"

    @property
    def run_path(self) -> Path:
        """Directory of instance locks."""
        return self.home / "run"

    @property
    def keys_file(self) -> Path:
        """Where the key ring of secret columns is, unless `keys` gives one."""
        return self.home / "keys.json"

    @property
    def tls_path(self) -> Path:
        """Directory of the certificate that this server shows to workers on other hosts."""
        return self.home / "tls"

    @property
    def pins_file(self) -> Path:
        """Where a worker keeps the certificates of servers that it was told to trust."""
        return self.home / "servers.json"

    @property
    def archive_path(self) -> Path:
        """Directory of archives of old rows."""
        return self.maintenance.archive_path or self.home / "archives"

    @property
    def server_file(self) -> Path:
        """Where a running `autovibe up` says how to reach it."""
        return self.home / "server.json"

    @property
    def credentials_file(self) -> Path:
        """Where `autovibe login` keeps the tokens of servers, by address."""
        return self.home / "credentials.json"

    @property
    def token_file(self) -> Path:
        """Where a running `autovibe up` leaves the owner's token."""
        return self.home / "token"


def load_settings(environment: MutableMapping[str, str] | None = None) -> Settings:
    """Read settings; all keys are removed from the environment (decision C5).

    Raises:
        InvalidArgumentError: a value is malformed, or `config.toml` has an unknown name.
    """
    env = os.environ if environment is None else environment
    home = Path(env.get("AUTOVIBE_HOME") or Path(env.get("HOME") or "~").expanduser() / ".autovibe")
    home = home.expanduser().absolute()
    config = _read_config(home / "config.toml")
    limits = _table(config, "limits")
    up = _table(config, "up")
    return Settings(
        home=home,
        database_url=env.get("AUTOVIBE_DATABASE_URL")
        or _text(config, "database_url")
        or f"sqlite:///{home / 'autovibe.db'}",
        server=env.get("AUTOVIBE_SERVER") or _text(config, "server"),
        token=env.get("AUTOVIBE_TOKEN") or _text(config, "token"),
        upstreams=read_upstreams(env, _table(config, "upstream")),
        default_task_budget=_task_budget(limits.get("default_task_budget", "5")),
        task_timeout_s=_integer(limits, "task_timeout", 3600),
        memory_mb=_integer(limits, "memory_mb", 4096),
        cpus=_number(limits, "cpus", 2.0),
        processes=_integer(limits, "processes", 512),
        rates_max_age_days=_integer(_table(config, "rates"), "max_age_days", 0) or None,
        sandbox_ro=_paths(_table(config, "sandbox"), "ro"),
        host=_text(up, "host") or "127.0.0.1",
        http_port=_port(up, "http_port", HTTP_PORT),
        grpc_port=_port(up, "grpc_port", GRPC_PORT),
        worker_host=_text(up, "worker_host"),
        worker_port=_port(up, "worker_port", WORKER_PORT),
        database=read_database_settings(env, _table(config, "database")),
        cache=read_cache_settings(env, _table(config, "cache")),
        maintenance=read_maintenance_settings(env, _table(config, "maintenance")),
        checkpoints=read_checkpoint_settings(env, _table(config, "checkpoints")),
        serving=read_serving_settings(env, up),
        server_certificate=_path_of(
            env.get("AUTOVIBE_SERVER_CERTIFICATE") or _text(config, "server_certificate")
        ),
        people=read_people_settings(env, _table(config, "people")),
        queue=read_queue_settings(env, _table(config, "queue")),
        worker=read_worker_settings(env, _table(config, "worker")),
        egress=read_egress_settings(env, _table(config, "egress")),
        approvals=read_approval_settings(env, _table(config, "approvals")),
        breaker=read_breaker_settings(env, _table(config, "breaker")),
        gateway=read_gateway_settings(env, _table(config, "gateway")),
        logs=read_log_settings(env, _table(config, "logs")),
        chat=read_chat_settings(env, _table(config, "chat")),
        documents=read_document_settings(env, _table(config, "documents")),
        keys=env.pop("AUTOVIBE_KEYS", None) or None,
    )


def ensure_home(settings: Settings) -> None:
    """Make the home directory, readable by its owner only (decision C13).

    Raises:
        HomeUnusableError: it cannot be made or written.
    """
    try:
        for path in (settings.home, settings.machines_path, settings.run_path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.home.stat().st_mode & 0o077:
            settings.home.chmod(0o700)
    except OSError as error:
        raise HomeUnusableError(
            f"Cannot use {settings.home} ({error.strerror}); set AUTOVIBE_HOME to a directory that "
            "you may write.",
            path=str(settings.home),
        ) from error
    if not os.access(settings.home, os.W_OK | os.X_OK):
        raise HomeUnusableError(
            f"{settings.home} is read-only; set AUTOVIBE_HOME to a directory that you may write.",
            path=str(settings.home),
        )


def _read_config(path: Path) -> dict[str, object]:
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a home of the wrong kind is refused later
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}. Mend or remove it.") from error
    for section, value in config.items():
        if isinstance(value, dict):
            known = _SECTIONS.get(section)
            names = set(cast("dict[str, object]", value))
            if section == "upstream":
                continue  # its names are the user's own; `read_upstreams` checks what is in them
        else:
            known = _SECTIONS[""]
            names = {section}
        unknown = names - set(known) if known is not None else names | {section}
        if unknown:
            name = min(unknown)
            raise InvalidArgumentError(
                f"{path} has an unknown setting {name!r}; remove it.", name=name
            )
    return config


def _table(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = config.get(name, {})
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"[{name}] in config.toml must be a table.", name=name)
    return cast("dict[str, object]", value)


def _text(config: Mapping[str, object], name: str) -> str | None:
    value = config.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError(f"{name} in config.toml must be text in quotes.", name=name)
    return value


def _integer(table: Mapping[str, object], name: str, default: int) -> int:
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidArgumentError(f"{name} in config.toml must be a whole number.", name=name)
    return value


def _port(table: Mapping[str, object], name: str, default: int) -> int:
    value = _integer(table, name, default)
    if value > _LAST_PORT:
        raise InvalidArgumentError(
            f"{name} in config.toml must be a port, 0 to {_LAST_PORT}.", name=name
        )
    return value


def _number(table: Mapping[str, object], name: str, default: float) -> float:
    value = table.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise InvalidArgumentError(f"{name} in config.toml must be a number above 0.", name=name)
    return float(value)


def _path_of(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _paths(table: Mapping[str, object], name: str) -> tuple[Path, ...]:
    value = table.get(name, [])
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item.startswith("/") for item in items):
        raise InvalidArgumentError(
            f"{name} in config.toml must be a list of absolute paths.", name=name
        )
    return tuple(Path(str(item)) for item in items)


def _task_budget(value: object) -> Decimal | None:
    if value == "unlimited":
        return None
    # A bare 0.1 of TOML is a float already; its shortest text is what was written.
    return parse_decimal(str(value), "default_task_budget in config.toml")

"""Where the services are: a server that was named, one that lives here, or this process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import logging.handlers
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from autovibe.cli import lazy
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.settings import Settings, ensure_home

if TYPE_CHECKING:
    from autovibe.sdk.services import Services

_LOG_BYTES: Final = 4 * 1024 * 1024


class Embedded(Protocol):
    """The control plane in this process."""

    @property
    def services(self) -> Services:
        """The local twin of every service."""
        ...

    async def work_on(self, task_id: str) -> None:
        """Do a task's order here and return when it has ended."""
        ...


@dataclass(frozen=True)
class Connection:
    """The services, and the control plane itself when it is in this process."""

    services: Services
    embedded: Embedded | None = None


@dataclass(frozen=True)
class LivingServer:
    """What a running `autovibe up` wrote into `server.json`."""

    url: str
    grpc: str
    """Address of gRPC, as in `127.0.0.1:8421`."""
    instance_id: str
    pid: int
    certificate: str = ""
    """File of the certificate that it shows over TLS."""


@contextlib.asynccontextmanager
async def connect(settings: Settings) -> AsyncGenerator[Connection]:
    """Open the services: `AUTOVIBE_SERVER`, else a living server of this home, else embedded.

    Raises:
        UnauthenticatedError: a server is named or found, and no token for it.
        UnavailableError: the server cannot be reached.
        HomeUnusableError: the home directory cannot be made or written.
    """
    found = server_of(settings)
    if found is not None:
        url, certificate = found
        async with lazy.connect_http(url, token_of(settings, url), certificate) as services:
            yield Connection(services)
        return
    ensure_home(settings)
    log_to_file(settings.home / "autovibe.log")
    async with lazy.open_embedded(settings) as embedded:
        yield Connection(embedded.services, embedded)


def server_of(settings: Settings) -> tuple[str, Path | None] | None:
    """Return address and certificate of the server that was named, or of one living here."""
    if settings.server is not None:
        return settings.server, settings.server_certificate
    living = find_server(settings)
    if living is None:
        return None
    return living.url, Path(living.certificate) if living.certificate else None


def find_server(settings: Settings) -> LivingServer | None:
    """Return the server that lives in this home; what a dead one left is no server."""
    try:
        raw = cast("object", json.loads(settings.server_file.read_bytes()))
        fields = cast("dict[str, object]", raw)
        server = LivingServer(
            str(fields["url"]),
            str(fields.get("grpc", "")),
            str(fields["instance_id"]),
            int(cast("int", fields["pid"])),
            str(fields.get("certificate", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if _lives(server, settings.run_path) else None


def log_to_file(path: Path) -> None:
    """Keep what our own modules log out of the output of the command."""
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES, backupCount=1, delay=True, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _lives(server: LivingServer, run_path: Path) -> bool:
    """Return whether the instance's lock is held, or, where there is none, its process exists."""
    lock = run_path / f"{Path(server.instance_id).name}.lock"
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return _process_exists(server.pid)
    try:
        # Shared: two commands that look at the same time do not take each other for the server.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _process_exists(pid: int) -> bool:
    if pid < 1:  # these stand for groups of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def token_of(settings: Settings, url: str) -> str:
    """Return the token for a server.

    `AUTOVIBE_TOKEN`, else that of `autovibe login`, else what `autovibe up` left in this home.

    Raises:
        UnauthenticatedError: there is none.
    """
    token = settings.token or read_credentials(settings).get(url, "")
    if not token:
        with contextlib.suppress(OSError):
            token = settings.token_file.read_text(encoding="utf-8").strip()
    if not token:
        raise UnauthenticatedError(
            f"There is no token for {url}; log in with `autovibe login`, or set AUTOVIBE_TOKEN."
        )
    return token


def read_credentials(settings: Settings) -> dict[str, str]:
    """Return the tokens that `autovibe login` has kept, by address of their server."""
    try:
        kept = cast("object", json.loads(settings.credentials_file.read_bytes()))
    except (OSError, ValueError):
        return {}
    tokens = cast("dict[object, object]", kept) if isinstance(kept, dict) else {}
    return {url: str(token) for url, token in tokens.items() if isinstance(url, str)}


def keep_credentials(settings: Settings, tokens: Mapping[str, str]) -> None:
    """Keep tokens where only their owner may read them, at once or not at all."""
    path = settings.credentials_file
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dict(tokens), file)
    temporary.replace(path)

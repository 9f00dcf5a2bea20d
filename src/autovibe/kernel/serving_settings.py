"""Settings of a server that others than this host's programs reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError


@dataclass(frozen=True)
class ServingSettings:
    """How REST and gRPC are served beside their addresses."""

    tls_certificate: Path | None = None
    """Chain of certificates, PEM; with it and its key, REST and gRPC are served over TLS only."""
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Names under which the server answers beside its address, with port unless it is 443."""
    allowed_origins: tuple[str, ...] = ()
    """Sites whose pages may call, as in https://example.org; none by default."""
    requests_per_minute: int = 6_000
    """What one token may send over REST; ten seconds' worth at once. 0 is no limit."""


SERVING_KEYS: Final = frozenset(
    {"tls_certificate", "tls_key", "allowed_hosts", "allowed_origins", "requests_per_minute"}
)


def read_serving_settings(env: Mapping[str, str], table: Mapping[str, object]) -> ServingSettings:
    """Return the settings of `AUTOVIBE_UP_*` over those of the table `[up]`.

    Raises:
        InvalidArgumentError: a value is malformed, or there is a certificate without a key.
    """
    source = Source(env, "AUTOVIBE_UP_", table)
    read = ServingSettings(
        tls_certificate=source.path("tls_certificate"),
        tls_key=source.path("tls_key"),
        allowed_hosts=_names(source, "allowed_hosts"),
        allowed_origins=_names(source, "allowed_origins"),
        requests_per_minute=source.number(
            "requests_per_minute", int, ServingSettings.requests_per_minute
        ),
    )
    if (read.tls_certificate is None) != (read.tls_key is None):
        raise InvalidArgumentError(
            "TLS needs both tls_certificate and tls_key; set the other one too.", name="tls_key"
        )
    return read


def _names(source: Source, name: str) -> tuple[str, ...]:
    """Return names of a list, or of a text with commas between them."""
    given, where = source.value(name)
    if isinstance(given, str):
        return tuple(part.strip().lower() for part in given.split(",") if part.strip())
    items = cast("list[object]", given) if isinstance(given, list) else []
    if not (given is None or isinstance(given, list)) or not all(
        isinstance(item, str) for item in items
    ):
        raise InvalidArgumentError(f"{where} must be a list of texts.", name=name)
    return tuple(str(item).strip().lower() for item in items)

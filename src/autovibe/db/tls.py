"""TLS towards PostgreSQL: libpq's names for modes and files, as a context for the driver."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL

from autovibe.db.errors import DatabaseUrlError, TlsSettingsError
from autovibe.kernel.database_settings import SSL_MODES, DatabaseSettings

_FILES: Final = ("sslrootcert", "sslcert", "sslkey")
_VERIFIED: Final = ("verify-ca", "verify-full")


def take_from_url(url: URL, settings: DatabaseSettings) -> tuple[URL, DatabaseSettings]:
    """Move `sslmode` and the like from a URL's query, where they win, into the settings.

    Raises:
        DatabaseUrlError: the mode is none of PostgreSQL's.
        TlsSettingsError: `require_tls` is set and the mode verifies too little.
    """
    given: Mapping[str, Any] = url.query
    mode = str(given.get("sslmode", settings.sslmode or "prefer"))
    if mode not in SSL_MODES:
        raise DatabaseUrlError(
            f"There is no sslmode {mode!r}; take one of {', '.join(SSL_MODES)}.", sslmode=mode
        )
    if settings.require_tls and mode != "verify-full":
        raise TlsSettingsError(
            f"database.require_tls is set and sslmode is {mode}, so anybody on the way could read "
            "along; set sslmode to verify-full and sslrootcert to the file of the authority.",
            sslmode=mode,
        )
    files = {name: Path(str(given[name])) for name in _FILES if name in given}
    rest = url.difference_update_query(("sslmode", *_FILES))
    return rest, replace(settings, sslmode=mode, **files)


def ssl_argument(settings: DatabaseSettings) -> ssl.SSLContext | str | bool:
    """Return what asyncpg takes as `ssl`.

    Raises:
        TlsSettingsError: a certificate or key cannot be read, or a key comes without certificate.
    """
    mode = settings.sslmode
    if mode == "disable":
        return False
    if mode in {"", "prefer"} and settings.sslcert is None:
        return "prefer"  # the driver tries without TLS when the server has none
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    if mode not in _VERIFIED:
        context.verify_mode = ssl.CERT_NONE
    try:
        if settings.sslrootcert is not None:
            context.load_verify_locations(settings.sslrootcert)
        if settings.sslcert is not None:
            context.load_cert_chain(settings.sslcert, settings.sslkey)
    except (OSError, ssl.SSLError) as error:
        raise TlsSettingsError(
            f"A certificate or key of the database cannot be used ({error}); correct sslrootcert, "
            "sslcert and sslkey."
        ) from error
    if settings.sslkey is not None and settings.sslcert is None:
        raise TlsSettingsError("sslkey needs the certificate that it belongs to; set sslcert too.")
    return context

"""Sockets to listen on."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

from autovibe.kernel.errors import AutovibeError
from autovibe.skins.errors import AddressUnusableError, PortTakenError, TlsFilesError


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to an address; the caller closes it.

    Args:
        host: an address, or a name that resolves to one.
        port: 1 to 65535, or 0 for any free one.

    Raises:
        PortTakenError: another program listens there.
        AddressUnusableError: the address is none of this host's, or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise address_error(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listening at once: two programs may both bind a port that none of them listens on yet.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise address_error(host, port, error) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listener


def address_error(host: str, port: int, error: OSError) -> AutovibeError:
    """Return the error for an address that could not be bound."""
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(
            f"Port {port} on {host} is taken by another program; stop it or choose another port.",
            host=host,
            port=port,
        )
    return AddressUnusableError(
        f"{host}:{port} cannot be listened on ({error.strerror or error}); choose another "
        "address or port.",
        host=host,
        port=port,
    )


def check_tls_files(certificate: Path, key: Path) -> None:
    """Look whether a server can show a certificate.

    Raises:
        TlsFilesError: the files cannot be read, or do not belong together.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsFilesError(
            f"TLS cannot be served with {certificate} and {key} "
            f"({getattr(error, 'reason', None) or error}); give a certificate and its key as PEM."
        ) from error

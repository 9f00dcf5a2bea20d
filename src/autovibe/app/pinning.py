"""Certificates between our own processes: a server makes its own, a worker knows it by its hash.

There is no authority: whoever invites a worker gives it the fingerprint with the token, and from
then on the worker accepts this one certificate and no other.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autovibe.kernel.errors import InvalidArgumentError, UnauthenticatedError, UnavailableError
from autovibe.sdk.grpc_remote import TLS_NAME

_YEARS: Final = 20
_DAYS: Final = 365
_CONNECT_S: Final = 10.0
_FINGERPRINT_LENGTH: Final = 64


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, in lower-case hex."""
        return _fingerprint(self.certificate)


def server_certificate(directory: Path) -> ServerCertificate:
    """Return the certificate of a server, made when there is none yet."""
    key_file, certificate_file = directory / "server.key", directory / "server.crt"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not certificate_file.exists():
        made = _self_signed()
        _write_private(key_file, made.key)
        _write_private(certificate_file, made.certificate)
    return ServerCertificate(certificate_file.read_bytes(), key_file.read_bytes())


def pinned_certificate(pins: Path, host: str, port: int, fingerprint: str) -> bytes:
    """Return the one certificate that a server may show, PEM.

    Args:
        pins: where those are kept that were accepted before.
        host: where the server is.
        port: as `host`.
        fingerprint: SHA-256 in hex, with or without colons; "" takes what is kept.

    Raises:
        InvalidArgumentError: the fingerprint is none.
        UnauthenticatedError: nothing is known of the server, or it shows another certificate.
        UnavailableError: the server cannot be reached.
    """
    kept = _read_pins(pins)
    target = f"{host}:{port}"
    if not fingerprint:
        if target not in kept:
            raise UnauthenticatedError(
                f"Nothing is known of the server {target}; give --fingerprint, which "
                "`autovibe worker invite` prints there."
            )
        return kept[target].encode()
    wanted = fingerprint.replace(":", "").lower()
    if len(wanted) != _FINGERPRINT_LENGTH or set(wanted) - set("0123456789abcdef"):
        raise InvalidArgumentError(
            "A fingerprint is a SHA-256 in hex, as `autovibe worker invite` prints it.",
            field="fingerprint",
        )
    shown = _shown(host, port)
    if not hmac.compare_digest(_fingerprint(shown), wanted):
        raise UnauthenticatedError(
            f"The server {target} shows another certificate than {wanted}; somebody may stand "
            "between you and it. Compare with `autovibe worker invite` on the server."
        )
    _write_private(pins, json.dumps({**kept, target: shown.decode()}).encode())
    return shown


def _shown(host: str, port: int) -> bytes:
    """Return the certificate that a server shows. Nothing is sent to it, no token either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # its hash is compared instead
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), timeout=_CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=TLS_NAME) as secured,
        ):
            encoded = secured.getpeercert(binary_form=True)
    except OSError as error:
        raise UnavailableError(
            f"The server {host}:{port} cannot be reached over TLS ({error}); see that "
            "`autovibe up --worker-host` runs there."
        ) from error
    return ssl.DER_cert_to_PEM_cert(encoded or b"").encode()


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()


def _self_signed() -> ServerCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, TLS_NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A worker's clock may be behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_YEARS * _DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(TLS_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return ServerCertificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _read_pins(path: Path) -> dict[str, str]:
    try:
        kept: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {target: str(pem) for target, pem in cast("dict[str, object]", kept).items()}


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, at once or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)

"""TLS towards PostgreSQL: what the settings become, and a real handshake."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy.engine import make_url

from autovibe.db import open_database
from autovibe.db.errors import DatabaseUnavailableError, DatabaseUrlError, TlsSettingsError
from autovibe.db.tls import ssl_argument, take_from_url
from autovibe.kernel.database_settings import DatabaseSettings

URL = "postgresql://u:p@127.0.0.1:1/x"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("tls")
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return directory / "cert.pem", directory / "key.pem"


@pytest.mark.req("S3-112")
@pytest.mark.parametrize("mode", ["", "disable", "prefer", "require", "verify-ca"])
def test_where_tls_is_demanded_everything_but_verify_full_is_refused(mode: str) -> None:
    with pytest.raises(TlsSettingsError, match="verify-full") as caught:
        open_database(URL, settings=DatabaseSettings(sslmode=mode, require_tls=True))
    assert caught.value.reason == "DATABASE_TLS_SETTINGS"


def test_the_url_may_say_it_as_libpq_does_and_wins() -> None:
    url = make_url(f"{URL}?sslmode=verify-full&sslrootcert=/ca.pem&application_name=me")
    rest, settings = take_from_url(url, DatabaseSettings(sslmode="disable", require_tls=True))
    assert dict(rest.query) == {"application_name": "me"}
    assert (settings.sslmode, settings.sslrootcert) == ("verify-full", Path("/ca.pem"))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(DatabaseUrlError, match="sometimes"):
        open_database(f"{URL}?sslmode=sometimes")


@pytest.mark.parametrize(
    ("mode", "verifies", "checks_name"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_a_mode_checks_what_its_name_says(mode: str, verifies, checks_name) -> None:
    context = ssl_argument(DatabaseSettings(sslmode=mode))
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (verifies, checks_name)


def test_files_that_cannot_be_used_are_an_error_at_the_start(certificate, tmp_path: Path) -> None:
    cert, _ = certificate
    for settings in (
        DatabaseSettings(sslmode="verify-full", sslrootcert=tmp_path / "none.pem"),
        DatabaseSettings(sslmode="require", sslcert=cert, sslkey=tmp_path / "none.pem"),
        DatabaseSettings(sslmode="require", sslkey=cert),
    ):
        with pytest.raises(TlsSettingsError):
            open_database(URL, settings=settings)


@pytest.mark.req("S3-112")
@pytest.mark.parametrize(
    ("host", "trusts", "shakes"),
    [("localhost", True, True), ("127.0.0.1", True, False), ("localhost", False, False)],
)
async def test_a_server_must_have_a_trusted_certificate_of_its_name(
    certificate,
    host: str,
    trusts,
    shakes,
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    shook: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            shook.append(writer.get_extra_info("cipher")[1])
            await reader.read(1)
        except (ssl.SSLError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = DatabaseSettings(sslmode="verify-full", sslrootcert=cert if trusts else None)
    database = open_database(f"postgresql://u:p@{host}:{port}/x", settings=settings)
    # It speaks no PostgreSQL behind its certificate.
    with pytest.raises(DatabaseUnavailableError):
        async with database.read():
            pass
    await database.close()
    server.close()
    await server.wait_closed()
    assert bool(shook) is shakes

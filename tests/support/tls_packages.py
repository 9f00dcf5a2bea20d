"""A package index over TLS with an authority of its own, for pip and for npm."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import ssl
import tarfile
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

WHEEL = "shouting-1.0-py3-none-any.whl"
TARBALL = "whispering-1.0.0.tgz"


@dataclass(frozen=True)
class Authority:
    """An authority whose certificate is in `file`."""

    file: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    def server_context(self, directory: Path, hosts: Sequence[str]) -> ssl.SSLContext:
        """Return a server's context with a certificate for these hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = _builder(self.name, _name(hosts[0]), key).add_extension(names, critical=False)
        file = directory / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a client's context that trusts nobody else."""
        return ssl.create_default_context(cafile=str(self.file))


def make_authority(directory: Path) -> Authority:
    """Make an authority and write its certificate into a directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Test Authority")
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "authority.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(file, key, name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@dataclass
class PackageIndex:
    """Serves files by path over TLS, and what does not exist as 404."""

    port: int = 0
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of a connection and close it."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            kind, body = self.files.get(path, ("text/plain", b"missing\n"))
            status = "200 OK" if path in self.files else "404 Not Found"
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()


@asynccontextmanager
async def serving_packages(
    context: ssl.SSLContext, address: str, host: str = ""
) -> AsyncGenerator[PackageIndex]:
    """Serve an index of one Python and one JavaScript package at a loopback address."""
    index = PackageIndex()
    server = await asyncio.start_server(index.serve, address, 0, ssl=context)
    index.port = server.sockets[0].getsockname()[1]
    wheel, tarball = _wheel(), _tarball()
    digest = hashlib.sha256(wheel).hexdigest()
    link = f'<a href="/files/{WHEEL}#sha256={digest}">{WHEEL}</a>'
    index.files = {
        "/simple/shouting/": ("text/html", f"<!DOCTYPE html><html>{link}</html>".encode()),
        f"/files/{WHEEL}": ("application/octet-stream", wheel),
        "/whispering": ("application/json", _document(index.port, host or address, tarball)),
        f"/{TARBALL}": ("application/octet-stream", tarball),
    }
    try:
        yield index
    finally:
        server.close()
        await server.wait_closed()


def _wheel() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("shouting.py", "def shout(text):\n    return text.upper() + '!'\n")
        info = "shouting-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD", f"shouting.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return content.getvalue()


def _tarball() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in {
            "package.json": json.dumps({"name": "whispering", "version": "1.0.0"}),
            "index.js": "module.exports = (text) => text.toLowerCase() + '...';\n",
        }.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(content.getvalue())


def _document(port: int, host: str, tarball: bytes) -> bytes:
    integrity = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    version = {
        "name": "whispering",
        "version": "1.0.0",
        "dist": {
            "tarball": f"https://{host}:{port}/{TARBALL}",
            "integrity": f"sha512-{integrity}",
        },
    }
    return json.dumps(
        {
            "name": "whispering",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": version},
        }
    ).encode()

"""The /etc of a sandbox: a handful of generated files and public ones of the host, no secret."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

UID: Final = 1000
GID: Final = 1000
USER: Final = "agent"
HOME: Final = "/home/agent"

_HOST_ETC: Final = Path("/etc")
# What programs need to find libraries, certificates, time zones and their public settings.
# Never whole directories that may hold keys: /etc/ssl has `private` beside `certs`.
_PUBLIC: Final = (
    "alternatives",
    "ca-certificates",
    "debian_version",
    "fonts",
    "java-*-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "lsb-release",
    "mime.types",
    "os-release",
    "perl",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "python3*",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)


def write_etc(directory: Path, hostname: str) -> list[str]:
    """Write the generated files and return their names."""
    files = {
        "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"{USER}:x:{UID}:{GID}:{USER}:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\n{USER}:x:{GID}:\nnogroup:x:65534:\n",
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1 localhost {hostname}\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
    }
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return list(files)


def public_paths(etc: Path = _HOST_ETC) -> Iterator[Path]:
    """Yield the paths of the host's /etc that are shown: they exist and everyone may read them."""
    for pattern in _PUBLIC:
        for path in sorted(etc.glob(pattern)):
            try:
                readable = path.stat().st_mode & stat.S_IROTH
            except OSError:  # a link to nowhere
                continue
            if readable:
                yield path

"""Finding files that look like secrets before a directory is imported (decision C6)."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

_NAMES: Final = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "service-account*.json",
    "secrets.*",
    "*.tfstate",
    "*.ovpn",
)
_HARMLESS_NAMES: Final = ("*.example", "*.sample", "*.template", "*.dist", "*.pub", "*.py", "*.md")
_READ_NAMES: Final = (
    "*.json",
    "*.y*ml",
    "*.toml",
    "*.ini",
    "*.cfg",
    "*.conf",
    "*.txt",
    "*.sh",
    "*.properties",
    ".*rc",
    "*.env*",
    "*.tfvars",
)
_CONTENT: Final = re.compile(
    rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
    rb"|\bAKIA[0-9A-Z]{16}\b"
    rb"|\bsk-ant-[A-Za-z0-9_-]{20,}"
    rb"|\bsk-(?:proj-)?[A-Za-z0-9]{32,}"
    rb"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    rb"|\bgithub_pat_[A-Za-z0-9_]{30,}"
    rb"|\bglpat-[A-Za-z0-9_-]{20,}"
    rb"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    rb"|\bAIza[0-9A-Za-z_-]{35}\b"
    rb"|_authToken\s*=\s*[^\s$]{8,}"
    rb"|(?i:aws_secret_access_key|client_secret|api[_-]?key|password|passwd)"
    rb"[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+_=-]{20,}"
)
_SKIPPED_DIRECTORIES: Final = frozenset(
    {".git", "node_modules", ".venv", "venv", "site-packages", "__pycache__", ".tox", "target"}
)
_READ_LIMIT: Final = 256 * 1024


@dataclass(frozen=True)
class Finding:
    """A file that looks like a secret, and why."""

    path: str
    why: Literal["name", "content"]


def scan(directory: Path, paths: Iterable[str] | None = None) -> list[Finding]:
    """Look at files below a directory.

    Args:
        directory: where to look.
        paths: relative paths to look at; `None` means every file (outside git).

    Returns:
        The findings, sorted by path. Names are looked at everywhere but in dependency folders;
        content only in small files whose name suggests configuration.
    """
    found = (_judge(directory, path) for path in (_walk(directory) if paths is None else paths))
    return sorted((finding for finding in found if finding), key=lambda finding: finding.path)


def _walk(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name not in _SKIPPED_DIRECTORIES]
        for name in files:
            yield os.path.relpath(Path(folder) / name, directory)


def _judge(directory: Path, path: str) -> Finding | None:
    parts = path.split("/")
    if _SKIPPED_DIRECTORIES.intersection(parts[:-1]) or _matches(parts[-1], _HARMLESS_NAMES):
        return None
    if _matches(parts[-1], _NAMES):
        return Finding(path, "name")
    if _matches(parts[-1], _READ_NAMES) or "." not in parts[-1]:
        content = _read(directory / path)
        if content is not None and _CONTENT.search(content):
            return Finding(path, "content")
    return None


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _READ_LIMIT:
            return None
        return file.read(_READ_LIMIT)

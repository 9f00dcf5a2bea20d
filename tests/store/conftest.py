"""Real trees for the store: the awkward ones that agents make."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autovibe.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def run_python():
    """Run a script in a process of its own, as another writer of the store would be."""

    def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)

    return run


@pytest.fixture
def damage():
    """Flip one byte of every pack of a store, at an offset from its end."""

    def flip(store: Store, from_end: int) -> None:
        for pack in (store.path / "packs").glob("*.pack"):
            data = bytearray(pack.read_bytes())
            data[-from_end] ^= 0xFF
            pack.write_bytes(data)

    return flip


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


@pytest.fixture
def tricky(tmp_path: Path) -> Path:
    """Everything of which other tools lose a part (docs of the store, point 2)."""
    top = tmp_path / "tricky"
    _write(top / "plain.txt", b"hello\n")
    _write(top / ".gitignore", b"ignored/\n*.log\n")
    _write(top / ".gitattributes", b"* text=auto\n")
    _write(top / "crlf.txt", b"a\r\nb\r\n")
    _write(top / "ignored" / "build.o", b"\0\1\2" * 1000)
    _write(top / "debug.log", b"untracked and ignored\n")
    _write(top / ".hidden" / ".deep", b"hidden\n")
    _write(top / "empty-file", b"")
    (top / "empty-dir" / "inner").mkdir(parents=True)
    _write(top / "script.sh", b"#!/bin/sh\n", 0o755)
    _write(top / "readonly", b"r\n", 0o444)
    _write(top / "secret", b"s\n", 0o600)
    _write(top / "no-permission", b"n\n", 0o000)
    if not os.access(top / "no-permission", os.R_OK):  # only root can read such a file
        (top / "no-permission").chmod(0o400)
    _write(top / "large.bin", os.urandom(1 << 20) + bytes(2 << 20) + b"end")
    _write(top / "exact-chunk.bin", b"x" * (1 << 20))
    _write(top / "just-over.bin", b"y" * ((1 << 20) + 1))
    (top / "link").symlink_to("plain.txt")
    (top / "dangling").symlink_to("no/such/file")
    (top / "absolute").symlink_to("/etc/hostname")
    (top / "link-to-dir").symlink_to("ignored", target_is_directory=True)
    _write(top / "hard" / "one", b"linked\n")
    os.link(top / "hard" / "one", top / "hard" / "two")
    os.link(top / "hard" / "one", top / "a-third")
    _write(tmp_path / "outside", b"one name inside, one outside\n")
    os.link(tmp_path / "outside", top / "half-inside")
    _write(top / os.fsdecode(b"not-utf8-\xff\xfe"), b"raw name\n")
    _write(top / "ünïcode" / "名前", b"name\n")
    _write(top / 'new\nline and "quotes"', b"odd\n")
    os.mkfifo(top / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(top, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
    subprocess.run(["git", "init", "-q", str(top / "nested")], check=True)
    _write(top / "nested" / "file", b"in a nested repository\n")
    _write(top / "worktree" / ".git", b"gitdir: /somewhere/else/.git/worktrees/x\n")
    try:
        os.setxattr(top / "plain.txt", "user.note", b"kept \0 bytes")
        os.setxattr(top / "hard", "user.dir", b"also on directories")
    except OSError:  # this file system has none; everything else is still tested
        pass
    os.utime(top / "plain.txt", ns=(1, 1_234_567_890_123_456_789))
    os.utime(top / "secret", ns=(0, -5_000_000_001))
    os.utime(top / "link", ns=(7, 7_000_000_007), follow_symlinks=False)
    os.utime(top / "empty-dir", ns=(9, 9_000_000_009))
    return top


def describe(top: Path) -> dict[str, tuple[object, ...]]:
    """Describe a tree independently of the store: everything that a restore must bring back."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for path in top.rglob("*"):
        name = str(path.relative_to(top))
        st = path.lstat()
        content: object = None
        if stat.S_ISREG(st.st_mode):
            content = path.read_bytes()
            inodes.setdefault(st.st_ino, []).append(name)
        elif stat.S_ISLNK(st.st_mode):
            content = path.readlink()
        xattrs = tuple(
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in sorted(os.listxattr(path, follow_symlinks=False))
            if key.startswith("user.")
        )
        found[name] = (st.st_mode, st.st_mtime_ns, content, xattrs)
    for paths in inodes.values():
        if len(paths) > 1:
            for path in paths:
                found[path] += (tuple(sorted(paths)),)
    return found


@pytest.fixture
def describe_tree():
    return describe

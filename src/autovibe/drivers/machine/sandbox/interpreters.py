"""Which Python installations a sandbox may see: our own, and the one behind `.venv` (decision C4).

The workspace is hostile: its `.venv` may claim any directory to be its interpreter. So nothing in
it is followed through links, and what it names must be a real installation that holds none of the
user's own files; even then only the parts that an installation consists of are shown.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAMES: Final = (".venv", "venv")
_INTERPRETER: Final = re.compile(r"python3\.\d+")
_PARTS: Final = ("bin", "include", "lib", "lib64", "ssl")
_MAX_CONFIG_BYTES: Final = 65536
_MAX_LINKS: Final = 8
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Nothing may be put over these: they are what the sandbox itself is made of.
_RESERVED: Final = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys"}
    | {"usr", "workspace"}
)
_MIN_PARTS: Final = 3  # the root and two names


def own_interpreter() -> Path:
    """Return the interpreter below our virtual environment, as a real path."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return Path(base).resolve()


def own_prefix() -> Path:
    """Return the installation that our interpreter belongs to, as a real path."""
    return Path(sys.base_prefix).resolve()


@dataclass(frozen=True)
class Private:
    """Directories (real paths) that hold the user's own files.

    A tool may be installed below one of `homes`, but may not be one; nothing of `closed` is shown.
    """

    homes: Sequence[Path]
    closed: Sequence[Path]

    def would_be_shown(self, path: Path) -> bool:
        """Return whether showing `path` (a real path) would show private files."""
        return any(place.is_relative_to(path) for place in (*self.homes, *self.closed)) or any(
            path.is_relative_to(place) for place in self.closed
        )

    def and_closed(self, *paths: Path) -> Private:
        """Return the same with more closed directories."""
        return Private(self.homes, [*self.closed, *(path.resolve() for path in paths)])


def private_directories(scratch: Path) -> Private:
    """Return the directories that hold the user's and autovibe's own files."""
    homes = [Path.home()]
    with contextlib.suppress(KeyError):
        homes.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    autovibe_home = Path(os.environ.get("AUTOVIBE_HOME") or Path.home() / ".autovibe")
    return Private([path.resolve() for path in homes], [autovibe_home.resolve(), scratch.resolve()])


def is_installation(prefix: Path, private: Private) -> bool:
    """Return whether a directory (a real path) is a Python installation that may be shown."""
    if len(prefix.parts) < _MIN_PARTS or (prefix / ".git").exists():
        return False
    return not private.would_be_shown(prefix) and any(
        _is_program(path) and (prefix / "lib" / path.name / "os.py").is_file()
        for path in prefix.glob("bin/python3.*")
        if _INTERPRETER.fullmatch(path.name)
    )


def _is_program(path: Path) -> bool:
    """Return whether this is a machine-code program itself, not a link (as in environments)."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


@contextlib.contextmanager
def _opened(name: str, flags: int, below: int | None) -> Generator[int]:
    descriptor = os.open(name, _OPEN | flags, dir_fd=below)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _configured_home(environment: int) -> str | None:
    """Return `home` of a pyvenv.cfg, which is the directory of the interpreter."""
    with _opened("pyvenv.cfg", 0, environment) as config:
        if not stat.S_ISREG(os.fstat(config).st_mode):
            return None
        text = os.read(config, _MAX_CONFIG_BYTES).decode(errors="replace")
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            return value.strip()
    return None


def _linked_interpreter(environment: int) -> str | None:
    """Return the absolute target of the link chain that starts at bin/python."""
    with _opened("bin", os.O_DIRECTORY, environment) as programs:
        name = "python"
        for _ in range(_MAX_LINKS):
            target = os.readlink(name, dir_fd=programs)
            if target.startswith("/"):
                return target
            if "/" in target:
                return None
            name = target
    return None


def _claimed_prefixes(workspace: Path) -> Iterator[Path]:
    """Yield the prefixes that the environments of a workspace claim, as they write them."""
    for name in _NAMES:
        with (
            contextlib.suppress(OSError, ValueError),
            _opened(str(workspace), os.O_DIRECTORY, None) as root,
            _opened(name, os.O_DIRECTORY, root) as environment,
        ):
            with contextlib.suppress(OSError):
                home = _configured_home(environment)
                if home is not None and home.startswith("/"):
                    yield Path(os.path.normpath(home)).parent
            with contextlib.suppress(OSError):
                program = _linked_interpreter(environment)
                if program is not None:
                    yield Path(os.path.normpath(program)).parent.parent


def workspace_interpreters(workspace: Path, private: Private) -> list[tuple[Path, Path]]:
    """Return (host directory, place inside) of the installations behind a workspace's environments.

    What lies in /usr is visible anyway and is left out.
    """
    found: dict[Path, Path] = {}
    for claimed in _claimed_prefixes(workspace):
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            real = claimed.resolve(strict=True)
            if real.is_relative_to("/usr") or not is_installation(real, private):
                continue
            for prefix in {claimed, real}:
                if len(prefix.parts) < _MIN_PARTS or prefix.parts[1] in _RESERVED:
                    continue
                if prefix.is_relative_to("/home/agent"):
                    continue
                for part in _PARTS:
                    if (real / part).is_dir():
                        found[prefix / part] = real / part
    return [(host, inside) for inside, host in found.items()]

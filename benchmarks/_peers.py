"""The tools that stand beside the store: restic, borg and git, each on a copy of its own state.

What they have in common: `first` captures a tree, `again` captures it once more, `restore` writes
the last capture elsewhere, `verify` reads everything back, `size` is what the disk holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

_NOTHING: Final = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


class Peer:
    """A program that captures `tree` into `home`."""

    name = ""
    version: tuple[str, ...] = ()

    def __init__(self, home: Path, tree: Path) -> None:
        self.home = home
        self.tree = tree
        self.peak_kib = 0
        home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment = kept | self.settings()
        self.prepare()

    @classmethod
    def found(cls) -> bool:
        """Say whether the program is installed."""
        return shutil.which(cls.version[0]) is not None

    @classmethod
    def title(cls) -> str:
        """Return name and version."""
        told = subprocess.run(cls.version, capture_output=True, text=True, check=True).stdout
        number = next(word for word in told.split() if word[0].isdigit())
        return f"{cls.name} {number}"

    def settings(self) -> dict[str, str]:
        """Return its environment."""
        return {}

    def prepare(self) -> None:
        """Make the repository."""

    def run(self, *command: str, cwd: Path | None = None) -> None:
        """Run it to its end and keep the largest memory that any run took."""
        process = subprocess.Popen(
            command,
            cwd=cwd or self.tree,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        told: list[bytes] = []
        out = process.stdout
        reader = threading.Thread(target=lambda: told.extend(out))
        reader.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
        out.close()
        self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
        if process.returncode:
            sys.stderr.write(b"".join(told[-20:]).decode(errors="replace"))
            raise subprocess.CalledProcessError(process.returncode, command)

    def size(self) -> int:
        """Return the bytes of the repository."""
        return sum(path.lstat().st_size for path in self.home.rglob("*") if path.is_file())

    def first(self) -> None:
        """Capture everything."""
        raise NotImplementedError

    def again(self) -> None:
        """Capture what has changed."""
        self.first()

    def restore(self, into: Path) -> None:
        """Write the last capture into a new directory."""
        raise NotImplementedError

    def verify(self) -> None:
        """Read everything back."""
        raise NotImplementedError


class Git(Peer):
    """A shadow repository of contents: `add -A -f`, then `write-tree`."""

    name = "git"
    version = ("git", "--version")

    def settings(self) -> dict[str, str]:
        return {**_NOTHING, "GIT_DIR": str(self.home), "GIT_WORK_TREE": str(self.tree)}

    def prepare(self) -> None:
        self.run("git", "init", "--quiet")
        self.run("git", "config", "gc.auto", "0")

    def first(self) -> None:
        self.run("git", "add", "-A", "-f")
        self.run("git", "write-tree")

    def restore(self, into: Path) -> None:
        self.run("git", "checkout-index", "-a", f"--prefix={into}/")

    def verify(self) -> None:
        self.run("git", "fsck", "--full", "--no-dangling")


class Restic(Peer):
    """restic; it always encrypts."""

    name = "restic"
    version = ("restic", "version")

    def settings(self) -> dict[str, str]:
        cache = self.home.with_name(f"{self.home.name}-cache")
        return {
            "RESTIC_REPOSITORY": str(self.home),
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_CACHE_DIR": str(cache),
        }

    def prepare(self) -> None:
        self.run("restic", "init", "-q", "--repository-version", "2")

    def first(self) -> None:
        self.run("restic", "backup", "-q", ".")

    def restore(self, into: Path) -> None:
        self.run("restic", "restore", "-q", "latest", "--target", str(into))

    def verify(self) -> None:
        self.run("restic", "check", "-q", "--read-data")


class Borg(Peer):
    """borg without encryption, zstd level 3."""

    name = "borg"
    version = ("borg", "--version")
    count = 0

    def settings(self) -> dict[str, str]:
        base = self.home.with_name(f"{self.home.name}-base")
        return {
            "BORG_REPO": str(self.home),
            "BORG_BASE_DIR": str(base),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }

    def prepare(self) -> None:
        self.run("borg", "init", "-e", "none")

    def first(self) -> None:
        self.count += 1
        self.run("borg", "create", "-C", "zstd,3", f"::{self.count}", ".")

    def restore(self, into: Path) -> None:
        into.mkdir()
        self.run("borg", "extract", f"::{self.count}", cwd=into)

    def verify(self) -> None:
        self.run("borg", "check", "--verify-data")

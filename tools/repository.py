"""What the tools share: where the repository is, and which files belong to it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
GENERATED: Final = ("src/autovibe/v1/",)
MIGRATIONS: Final = ("src/autovibe/db/migrations/",)


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in the repository, whoever owns it; the caller looks at the exit status."""
    return subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def files(*suffixes: str) -> list[Path]:
    """Return every file that is tracked or about to be, with one of the suffixes if any is given.

    Relative to ROOT, sorted. Without git (an unpacked archive) every file outside dot-directories
    and build/ counts.
    """
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        names = [
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if not any(
                part.startswith(".") or part in {"build", "__pycache__"}
                for part in path.relative_to(ROOT).parts
            )
        ]
    return sorted(
        {
            name
            for name in names
            if (not suffixes or name.suffix in suffixes)
            and (ROOT / name).is_file()
            and not (ROOT / name).is_symlink()
        }
    )


def is_under(path: Path, *prefixes: str) -> bool:
    """Return whether a path (relative to ROOT) lies under one of the prefixes."""
    return path.as_posix().startswith(prefixes)

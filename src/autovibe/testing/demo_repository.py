"""The small repository that the demo repairs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FILES: Final = {
    "calc.py": '"""A calculator."""\n\n\ndef add(a: int, b: int) -> int:\n    return a - b\n',
    "test_calc.py": (
        "import unittest\n\nimport calc\n\n\n"
        "class AddTest(unittest.TestCase):\n"
        "    def test_adds(self) -> None:\n"
        "        self.assertEqual(calc.add(2, 3), 5)\n"
    ),
    ".gitignore": "*.log\n__pycache__/\n",
    "README.md": "# calc\n\nRun the tests with `python3 -m unittest`.\n",
}
PROMPT: Final = "The test in test_calc.py fails. Find the reason and correct it."
_IDENTITY: Final = ("-c", "user.name=autovibe demo", "-c", "user.email=demo@autovibe.invalid")
_PLAIN: Final = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")


def make_demo_repository(path: Path) -> str:
    """Make a git repository in which one test fails, and return the id of its only commit.

    The user's own git configuration has no part in it. `path` is made, and must be empty if it is
    there already.

    Raises:
        FileExistsError: the directory is not empty.
    """
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        msg = f"{path} is not empty; give a new or an empty directory."
        raise FileExistsError(msg)
    for name, content in FILES.items():
        (path / name).write_text(content, encoding="utf-8")
    _git(path, "init", "--quiet", "--initial-branch=main", "--template=")
    _git(path, "add", "--all")
    _git(path, *_IDENTITY, *_PLAIN, "commit", "--quiet", "--message=Add a calculator")
    return _git(path, "rev-parse", "HEAD")


def _git(path: Path, *arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-C", str(path), *arguments]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()

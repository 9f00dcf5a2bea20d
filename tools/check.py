"""Run every check of `make check`, show what failed, and exit 1 when anything did.

With names as arguments only those checks run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from repository import ROOT

BIN: Final = Path(sys.executable).parent
CHECKS: Final[dict[str, list[str]]] = {
    "ruff": [f"{BIN}/ruff", "check", "--quiet", "--output-format", "concise", "."],
    "format": [f"{BIN}/ruff", "format", "--check", "--quiet", "--diff", "."],
    "sizes": [sys.executable, "tools/check_size.py"],
    "tree": [sys.executable, "tools/check_tree.py"],
    "lock": [sys.executable, "tools/check_lock.py"],
    "contract": [sys.executable, "tools/check_proto.py"],
    "layers": [f"{BIN}/lint-imports", "--no-cache"],
    "reference": [sys.executable, "tools/reference.py", "--check"],
    "links": [sys.executable, "tools/check_links.py"],
    "requirements": [sys.executable, "tools/requirements.py", "--check"],
    "types": [f"{BIN}/basedpyright", "--level", "error"],
}


def main() -> int:
    """Run the checks named on the command line, or all of them."""
    names = sys.argv[1:] or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"No check is called {unknown[0]}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = [name for name in names if not passes(name)]
    if failed:
        print(f"failed: {', '.join(failed)}; one alone: python tools/check.py {failed[0]}")
    return 1 if failed else 0


def passes(name: str) -> bool:
    """Run one check, print its verdict, and its output when there is something to read."""
    begun = time.monotonic()
    # The tools call each other (buf starts protoc through `python`), so theirs come first.
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        CHECKS[name],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": path},
    )
    passed = done.returncode == 0
    verdict = "passed" if passed else "FAILED"
    print(f"{name:<13} {verdict}  {time.monotonic() - begun:5.1f} s", flush=True)
    notes = [line for line in done.stdout.splitlines() if not passed or line.startswith("note: ")]
    for line in notes:
        print(f"    {line}", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())

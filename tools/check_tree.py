"""Fail when a file names this machine, a package registry, or work left to do."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from repository import ROOT, files

# The bracketed letters keep these patterns from finding themselves.
RULES: Final = {
    "a path of the machine it was written on": re.compile(
        rf"{re.escape(str(ROOT))}\b|(?<![\w.-])/(?:w[o]rk|f[a]rm)/|"
        r"(?<![\w.-])/(?:home/(?!(?:agent|me|you)/)|Users/)[a-z][a-z0-9_-]*/"
    ),
    "the host of a package registry": re.compile(
        r"\bpyp[i]\.org|\bpythonhosted\.or[g]|\bregistry\.npmj[s]\.org|\bdeb\.debia[n]\.org|"
        r"\bcrate[s]\.io|\bproxy\.golan[g]\.org"
    ),
    "work left to do": re.compile(r"\bT[O]DO\b|\bF[I]XME\b|\bX[X]X\b"),
}


def main() -> int:
    """Read every text file of the tree."""
    failures = 0
    for path in files():
        for number, line in enumerate(lines_of(path), start=1):
            for what, pattern in RULES.items():
                found = pattern.search(line)
                if found:
                    print(f"{path}:{number}: {what}: {found.group()!r}")
                    failures += 1
    return 1 if failures else 0


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file; none for a binary one."""
    content = (ROOT / path).read_bytes()
    if b"\0" in content[:8192]:
        return []
    return content.decode("utf-8", errors="replace").splitlines()


if __name__ == "__main__":
    sys.exit(main())

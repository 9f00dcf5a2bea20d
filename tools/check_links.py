"""Fail when a Markdown page points at a file or a heading of this repository that is not there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from repository import ROOT, files

LINK: Final = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`[^`\n]*`")
HEADING: Final = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def main() -> int:
    """Follow every relative link."""
    broken = [problem for page in files(".md") for problem in broken_links(page)]
    for problem in broken:
        print(problem)
    return 1 if broken else 0


def broken_links(page: Path) -> Iterator[str]:
    """Give each link of a page that leads nowhere."""
    for target in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        linked = (ROOT / page.parent / name).resolve() if name else ROOT / page
        if not linked.exists():
            yield f"{page}: {target} does not exist"
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            yield f"{page}: {target}: no such heading"


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get: lower case, spaces to hyphens."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        unique = slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced code."""
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())

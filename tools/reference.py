"""Write docs/reference/{operations,errors,cli,settings}.md from the sources they describe.

With --check nothing is written; the exit status is 1 when a page would differ.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Final

import reference_cli
import reference_errors
import reference_operations
import reference_settings
from repository import ROOT

NOTE: Final = (
    "<!-- Written by tools/reference.py from the sources; `make docs` writes it again. -->\n"
)
PAGES: Final = {
    "docs/reference/operations.md": reference_operations.page,
    "docs/reference/errors.md": reference_errors.page,
    "docs/reference/settings.md": reference_settings.page,
    "docs/reference/cli.md": reference_cli.page,
}


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 on a difference"
    )
    check = parser.parse_args().check
    status = 0
    for name, page in PAGES.items():
        path = ROOT / name
        text = NOTE + page()
        if not check:
            path.write_text(text, encoding="utf-8")
            continue
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        difference = difflib.unified_diff(
            there.splitlines(), text.splitlines(), name, "from the sources", n=0, lineterm=""
        )
        for line in list(difference)[:20]:
            print(line)
            status = 1
    if status:
        print("run: make docs")
    return status


if __name__ == "__main__":
    sys.exit(main())

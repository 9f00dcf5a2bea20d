"""Print which requirements have a passing test, from what the last test runs recorded.

With --check nothing is run or printed but mistakes: a test that cites an id which
docs/reference/requirements.md does not list.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from repository import ROOT, files, is_under

PAGE: Final = "docs/reference/requirements.md"
RESULTS: Final = "build/requirements.json"
ROW: Final = re.compile(r"^\| (S\d-\d+) \| (.+) \|$", re.MULTILINE)


def main() -> int:
    """Report, or check the ids that tests cite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only check the ids that tests cite")
    parser.add_argument("--missing", action="store_true", help="list those without a passing test")
    arguments = parser.parse_args()
    return check() if arguments.check else report(missing=arguments.missing)


@functools.cache
def known_ids() -> dict[str, str]:
    """Return every requirement: id and text."""
    return dict(ROW.findall((ROOT / PAGE).read_text(encoding="utf-8")))


def check() -> int:
    """Return 1, and print where, when a test cites an unknown id."""
    known = known_ids()
    status = 0
    for path in files(".py"):
        if is_under(path, "tests/"):
            for name, line in cited_ids(path):
                if name not in known:
                    print(f"{path}:{line}: {name!r} is no id of {PAGE}")
                    status = 1
    return status


def cited_ids(path: Path) -> Iterator[tuple[str, int]]:
    """Give each id that a file's `req` markers cite, with its line."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.req"):
            for argument in node.args:
                yield ast.unparse(argument).strip("'\""), node.lineno


def report(*, missing: bool) -> int:
    """Print met and not yet met, by source document."""
    path = ROOT / RESULTS
    if not path.exists():
        print(f"{RESULTS} is not there yet; run: make test", file=sys.stderr)
        return 1
    outcomes: dict[str, set[str]] = {}
    for entry in json.loads(path.read_text()).values():
        for name in entry["ids"]:
            outcomes.setdefault(name, set()).add(entry["outcome"])
    known = known_ids()
    met = [
        name
        for name in known
        if "passed" in outcomes.get(name, ()) and "failed" not in outcomes[name]
    ]
    for source in sorted({name[:2] for name in known}):
        of_source = [name for name in known if name.startswith(source)]
        done = [name for name in of_source if name in met]
        print(f"{source}: {len(done)} of {len(of_source)} met")
        for name in of_source:
            if (name in done) != missing:
                failing = "  (a test of it fails)" if "failed" in outcomes.get(name, ()) else ""
                print(f"  {name}  {known[name]}{failing}")
    print(
        f"{len(met)} of {len(known)} requirements have a passing test, {len(known) - len(met)} not"
    )
    if not missing:
        print("those without one: python tools/requirements.py --missing")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Print which requirements have a passing test, which are replaced, open or missing.

Passing comes from what the last test runs recorded; replaced and open are listed, with their
reasons, in docs/reference/requirements-status.toml. With --check nothing is run or printed but
mistakes: an unknown id, in a test or in that list, and an id that is in two groups.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from repository import ROOT, files, is_under

PAGE: Final = "docs/reference/requirements.md"
STATUS: Final = "docs/reference/requirements-status.toml"
RESULTS: Final = "build/requirements.json"
ROW: Final = re.compile(r"^\| (S\d-\d+) \| (.+) \|$", re.MULTILINE)
WHY: Final = {"replaced": "by", "open": "reason"}
GROUPS: Final = ("passing", "replaced", "open", "missing")


class Listed(NamedTuple):
    """One row of the list: its id, its group and the reason of the group."""

    name: str
    group: str
    why: str


def main() -> int:
    """Report, or check the ids that tests and the list name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only check the ids")
    for group in GROUPS:
        parser.add_argument(f"--{group}", action="store_true", help=f"list only the {group} rows")
    arguments = parser.parse_args()
    chosen = tuple(group for group in GROUPS if getattr(arguments, group))
    return check() if arguments.check else report(chosen or GROUPS)


@functools.cache
def known_ids() -> dict[str, str]:
    """Return every requirement: id and text."""
    return dict(ROW.findall((ROOT / PAGE).read_text(encoding="utf-8")))


def listed(text: str) -> list[Listed]:
    """Return the rows of the list, in its order; raise ValueError when its form is not right."""
    rows: list[Listed] = []
    for group, blocks in tomllib.loads(text).items():
        if group not in WHY:
            raise ValueError(f"[[{group}]] is no group: use {' or '.join(WHY)}")
        for block in blocks:
            why = block.get(WHY[group], "")
            if set(block) != {"ids", WHY[group]} or not why.strip() or not block["ids"]:
                raise ValueError(f"[[{group}]] takes `ids` and a sentence in `{WHY[group]}`")
            rows += [Listed(name, group, why) for name in block["ids"]]
    return rows


def check() -> int:
    """Return 1, and print where, when an id is unknown or in two groups."""
    rows = listed((ROOT / STATUS).read_text(encoding="utf-8"))
    cited = [
        (name, f"{path}:{line}")
        for path in files(".py")
        if is_under(path, "tests/")
        for name, line in cited_ids((ROOT / path).read_text(encoding="utf-8"))
    ]
    found = list(mistakes(known_ids().keys(), rows, cited))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def mistakes(
    known: AbstractSet[str], rows: list[Listed], cited: list[tuple[str, str]]
) -> Iterator[str]:
    """Say of each wrong id where it is and what is wrong; `cited` has ids with their places."""
    groups: dict[str, str] = {}
    for row in rows:
        if row.name not in known:
            yield f"{STATUS}: {row.name!r} is no id of {PAGE}"
        if row.name in groups:
            yield f"{STATUS}: {row.name} is listed twice ({groups[row.name]}, {row.group})"
        groups[row.name] = row.group
    for name, place in cited:
        if name not in known:
            yield f"{place}: {name!r} is no id of {PAGE}"
        if name in groups:
            yield f"{place}: cites {name}, which {STATUS} has as {groups[name]}"


def cited_ids(source: str) -> Iterator[tuple[str, int]]:
    """Give each id that a file's `req` markers cite, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.req"):
            for argument in node.args:
                yield ast.unparse(argument).strip("'\""), node.lineno


def report(chosen: tuple[str, ...]) -> int:
    """Print the rows of each chosen group, and how many there are of each."""
    path = ROOT / RESULTS
    if not path.exists():
        print(f"{RESULTS} is not there yet; run: make test", file=sys.stderr)
        return 1
    outcomes = outcomes_by_id(json.loads(path.read_text()), source_of)
    known = known_ids()
    rows = listed((ROOT / STATUS).read_text(encoding="utf-8"))
    whys = {row.name: row.why for row in rows}
    grouped = group_all(known, rows, outcomes)
    for group in chosen:
        print(f"{group} ({len(grouped[group])})")
        previous = ""
        for name in grouped[group]:
            why = whys.get(name, "") if group in WHY else ""
            if why != previous:
                print(f"  {why}")
            previous = why
            failing = "  (a test of it fails)" if "failed" in outcomes.get(name, ()) else ""
            print(f"    {name}  {known[name]}{failing}" if why else f"  {name}  {known[name]}")
    for source in sorted({name[:2] for name in known}):
        print(f"{source}: {counts(grouped, source)}")
    print(f"of {len(known)} requirements: {counts(grouped, '')}")
    return 0


def source_of(path: str) -> str:
    """Return the text of a file of tests, "" when there is none any more."""
    return (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""


def outcomes_by_id(
    entries: Mapping[str, Mapping[str, Any]], read: Callable[[str], str]
) -> dict[str, set[str]]:
    """Return how the tests of each id ended; what a test proved before it changed counts no more.

    Args:
        entries: what was recorded: ids and outcome of each test.
        read: gives the source of a file of tests.
    """
    sources: dict[str, tuple[set[str], set[str]]] = {}
    outcomes: dict[str, set[str]] = {}
    for node, entry in entries.items():
        path, _, test = node.partition("::")
        if path not in sources:
            source = read(path)
            names = set(re.findall(r"^ *(?:async )?def (\w+)\(", source, re.MULTILINE))
            sources[path] = names, {name for name, _ in cited_ids(source)}
        names, cited = sources[path]
        if test.rpartition("::")[2].partition("[")[0] in names:
            for name in cited.intersection(entry["ids"]):
                outcomes.setdefault(name, set()).add(entry["outcome"])
    return outcomes


def group_all(
    known: Mapping[str, str], rows: list[Listed], outcomes: Mapping[str, AbstractSet[str]]
) -> dict[str, list[str]]:
    """Put every known id into exactly one group; those with one reason stand together."""
    grouped: dict[str, list[str]] = {group: [] for group in GROUPS}
    for row in rows:
        grouped[row.group].append(row.name)
    of_list = {row.name for row in rows}
    for name in known:
        if name not in of_list:
            seen = outcomes.get(name, set())
            met = "passed" in seen and "failed" not in seen
            grouped["passing" if met else "missing"].append(name)
    return grouped


def counts(grouped: Mapping[str, list[str]], source: str) -> str:
    """Say how many rows of one source (all when "") each group has."""
    return ", ".join(
        f"{sum(name.startswith(source) for name in names)} {group}"
        for group, names in grouped.items()
    )


if __name__ == "__main__":
    sys.exit(main())

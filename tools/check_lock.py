"""Fail when requirements.lock or the page of dependencies does not fit pyproject.toml.

The lock has every requirement in a version that fits, a hash for each entry, and no address; the
page gives a reason for each requirement and for nothing else.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from repository import ROOT

REASONS: Final = "docs/decisions/0001-dependencies.md"
PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def main() -> int:
    """Compare the two files."""
    unlocked = list(find_problems())
    problems = [*unlocked, *unexplained()]
    for problem in problems:
        print(problem)
    if unlocked:
        print("run: make lock")
    return 1 if problems else 0


def find_problems() -> Iterator[str]:
    """Give each difference as a sentence."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", lock.replace("\\\n", ""))
    pins: dict[str, str] = {}
    for entry in entries:
        pin = PIN.match(entry)
        if pin:
            pins[canonicalize_name(pin[1])] = pin[2]
            if "--hash=sha256:" not in entry:
                yield f"{pin[1]} has no hash in requirements.lock"
        elif entry.strip() and not entry.startswith("#"):
            yield f"requirements.lock has a line that pins nothing: {entry.splitlines()[0]}"
    if "://" in lock:
        yield "requirements.lock has an address"
    for wanted in requirements():
        pinned = pins.get(canonicalize_name(wanted.name))
        if pinned is None:
            yield f"{wanted} of pyproject.toml is not in requirements.lock"
        elif not wanted.specifier.contains(Version(pinned), prereleases=True):
            yield f"requirements.lock has {wanted.name} {pinned}; pyproject.toml asks for {wanted}"


def unexplained() -> Iterator[str]:
    """Give each requirement without a reason, and each reason without a requirement."""
    page = (ROOT / REASONS).read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z].*?) \|", page, re.MULTILINE)
    explained = {canonicalize_name(name) for row in rows for name in row.split(", ")} - {"name"}
    wanted = {canonicalize_name(requirement.name) for requirement in requirements()}
    for name in sorted(wanted - explained):
        yield f"{REASONS} gives no reason for {name}"
    for name in sorted(explained - wanted):
        yield f"{REASONS} explains {name}, which pyproject.toml does not ask for"


def requirements() -> Iterator[Requirement]:
    """Give every requirement of pyproject.toml: build, run time, extras, groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"].get("optional-dependencies", {}).values(),
        *project.get("dependency-groups", {}).values(),
    ]
    for item in lists:
        yield from map(Requirement, item)


if __name__ == "__main__":
    sys.exit(main())

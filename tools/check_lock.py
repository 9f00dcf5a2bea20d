"""Fail when requirements.lock lacks a dependency of pyproject.toml, a hash, or names an index."""

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

PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def main() -> int:
    """Compare the two files."""
    problems = list(find_problems())
    for problem in problems:
        print(problem)
    if problems:
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

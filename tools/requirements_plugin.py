"""Pytest plugin: record which tests cite which requirement ids, and how they ended.

Tests say `@pytest.mark.req("S0-72")`. Results go to build/requirements.json, where a later run
replaces only the tests that it ran; `make requirements` reads that file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from requirements import RESULTS, known_ids

PROPERTY: Final = "req"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the ids of each test where its report carries them from a worker to the controller."""
    for item in items:
        ids = cited(item)
        if ids:
            item.user_properties.append((PROPERTY, ids))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that cites an id which docs/reference/requirements.md does not list."""
    unknown = [name for name in cited(item) if name not in known_ids()]
    if unknown:
        pytest.fail(f"{unknown[0]} is not listed in docs/reference/requirements.md", pytrace=False)


def cited(item: pytest.Item) -> list[str]:
    """Return the requirement ids that a test cites, itself or through its class or module."""
    return sorted({str(name) for mark in item.iter_markers("req") for name in mark.args})


class Recorder:
    """Gathers the outcome of every test that cites a requirement, and which tests cite none."""

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, object]] = {}
        self.silent: set[str] = set()
        self.collected: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what there is to run."""
        self.collected.update(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Note what a worker of pytest-xdist has to run."""
        del node
        self.collected.update(ids)

    def whole(self, config: pytest.Config) -> set[str]:
        """Return the tests all of whose parameters are known; a chosen few do not tell."""
        chosen = config.option.keyword or config.option.markexpr or config.option.deselect
        if chosen or any("[" in argument for argument in config.args):
            return set()
        return {name.partition("[")[0] for name in self.collected}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test: it passed only if every phase did."""
        ids = dict(report.user_properties).get(PROPERTY)
        if ids is None:
            self.silent.add(report.nodeid)
            return
        entry = self.outcomes.setdefault(report.nodeid, {"ids": ids, "outcome": "passed"})
        if report.failed or (report.skipped and entry["outcome"] == "passed"):
            entry["outcome"] = report.outcome

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write what is known, earlier runs of tests that still exist included."""
        yield
        if not self.outcomes and not self.silent:
            return
        path = session.config.rootpath / RESULTS
        whole = self.whole(session.config)
        kept = {
            nodeid: entry
            for nodeid, entry in read(path).items()
            if nodeid not in self.silent
            and (nodeid in self.collected or nodeid.partition("[")[0] not in whole)
            and (session.config.rootpath / nodeid.partition("::")[0]).exists()
        }
        path.parent.mkdir(exist_ok=True)
        # Written aside and moved: two test runs at once leave one whole file.
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(kept | self.outcomes, indent=1, sort_keys=True) + "\n")
        aside.replace(path)


def read(path: Path) -> dict[str, dict[str, object]]:
    """Return what earlier runs recorded."""
    return json.loads(path.read_text()) if path.exists() else {}


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that sees every report: the only one, or the controller of workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(), "requirements-recorder")

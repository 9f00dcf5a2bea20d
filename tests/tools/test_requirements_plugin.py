from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["requirements_plugin"]\n')
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {TOOLS}\nmarkers =\n    req(*ids): ids\n"
    )
    return tmp_path


def run(project: Path, test: str) -> subprocess.CompletedProcess[str]:
    (project / "test_it.py").write_text(f"import pytest\n{test}\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        # Only the plugin under test: loading all that are installed takes seconds.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def recorded(project: Path) -> dict[str, object]:
    return json.loads((project / "build/requirements.json").read_text())


def test_a_passing_test_is_recorded_under_each_id_that_it_cites(project: Path) -> None:
    run(project, '@pytest.mark.req("S0-72", "S1-01")\ndef test_a(): pass')
    assert recorded(project) == {
        "test_it.py::test_a": {"ids": ["S0-72", "S1-01"], "outcome": "passed"}
    }


def test_a_test_whose_teardown_fails_is_recorded_as_failed(project: Path) -> None:
    run(
        project,
        "@pytest.fixture\ndef broken():\n    yield\n    raise OSError\n"
        '@pytest.mark.req("S0-72")\ndef test_a(broken): pass',
    )
    assert recorded(project)["test_it.py::test_a"] == {"ids": ["S0-72"], "outcome": "failed"}


def test_a_skipped_test_proves_nothing(project: Path) -> None:
    run(project, '@pytest.mark.req("S0-72")\n@pytest.mark.skip\ndef test_a(): pass')
    assert recorded(project)["test_it.py::test_a"] == {"ids": ["S0-72"], "outcome": "skipped"}


def test_a_later_run_replaces_only_the_tests_that_it_ran(project: Path) -> None:
    (project / "test_other.py").write_text(
        'import pytest\n@pytest.mark.req("S0-73")\ndef test_b(): pass\n'
    )
    run(project, '@pytest.mark.req("S0-72")\ndef test_a(): pass')
    (project / "test_other.py").write_text("")
    run(project, '@pytest.mark.req("S0-72")\ndef test_a(): assert False')
    outcomes = {name: entry["outcome"] for name, entry in recorded(project).items()}
    assert outcomes == {"test_it.py::test_a": "failed", "test_other.py::test_b": "passed"}


def test_a_test_that_cites_nothing_any_more_is_forgotten(project: Path) -> None:
    run(project, '@pytest.mark.req("S0-72")\ndef test_a(): assert False\ndef test_b(): pass')
    run(project, "def test_a(): pass")
    assert recorded(project) == {}


def test_parameters_that_a_test_has_no_more_are_forgotten(project: Path) -> None:
    test = (
        '@pytest.mark.req("S0-72")\n@pytest.mark.parametrize("n", {})\ndef test_a(n): assert n > 1'
    )
    run(project, test.format("[1, 2]"))
    run(project, test.format("[2, 3]"))
    assert recorded(project) == {
        f"test_it.py::test_a[{number}]": {"ids": ["S0-72"], "outcome": "passed"}
        for number in (2, 3)
    }


def test_a_test_that_cites_an_unknown_id_fails(project: Path) -> None:
    done = run(project, '@pytest.mark.req("S9-99")\ndef test_a(): pass')
    assert done.returncode == 1
    assert "S9-99 is not listed" in done.stdout

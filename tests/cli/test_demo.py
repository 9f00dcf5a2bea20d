"""The parts of `autovibe demo` that need no control plane."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from autovibe.cli.errors import DemoFailedError
from autovibe.cli.local.demo import remove, stage_directory
from autovibe.cli.local.demo_programs import check_out, name_author, run_tests
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.testing.demo_repository import make_demo_repository


async def test_demo_repository_fails_its_test_and_leaves_no_trace(tmp_path):
    path = tmp_path / "calc"
    make_demo_repository(path)
    before = await run_tests(path)
    assert not before.passed
    assert "FAIL: test_adds" in before.output
    assert sorted(item.name for item in path.iterdir()) == sorted(
        [".git", ".gitignore", "README.md", "calc.py", "test_calc.py"]
    )
    (path / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    assert (await run_tests(path)).passed


async def test_branch_is_checked_out_beside_the_repository(tmp_path):
    path = tmp_path / "calc"
    make_demo_repository(path)
    await name_author(path)
    await check_out(path, "main~0", tmp_path / "other")
    assert (tmp_path / "other" / "calc.py").is_file()
    with pytest.raises(DemoFailedError, match="worktree"):
        await check_out(path, "no-such-branch", tmp_path / "third")


def test_temporary_directory_is_removed_even_when_it_may_not_be_written():
    with stage_directory(None) as path:
        locked = path / "a" / "b"
        locked.mkdir(parents=True)
        (locked / "file").write_text("x")
        (path / "link").symlink_to("/nowhere")
        locked.chmod(0o500)
        (path / "a").chmod(0)
    assert not path.exists()


def test_kept_directory_is_kept_and_must_be_empty(tmp_path):
    kept = tmp_path / "kept"
    with stage_directory(str(kept)) as path:
        (path / "file").write_text("x")
    assert (kept / "file").exists()
    with pytest.raises(InvalidArgumentError, match="not empty"), stage_directory(str(kept)):
        pass
    with (
        pytest.raises(InvalidArgumentError, match="new directory"),
        stage_directory(str(kept / "file" / "below")),
    ):
        pass


def test_removing_follows_no_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o500)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    remove(tree)
    assert not tree.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_live_demo_needs_a_key(cli, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "AUTOVIBE_UPSTREAM_ANTHROPIC_KEY"):
        monkeypatch.delenv(name, raising=False)
    ended = cli("demo", "--live")
    assert ended.status == 2
    assert "ANTHROPIC_API_KEY" in ended.err


def test_demo_refuses_a_directory_that_is_not_empty(cli, tmp_path):
    (tmp_path / "file").write_text("x")
    ended = cli("demo", "--keep", str(tmp_path))
    assert ended.status == 2
    assert "not empty" in ended.err


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "autovibe.cli.main", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": os.environ["AUTOVIBE_HOME"]},
    )


@pytest.fixture
def temporary(home):
    """Where the demo makes its temporary directory."""
    home.mkdir()
    return home


def test_demo_repairs_the_test_with_the_real_agent_and_removes_its_traces(temporary):
    child = start_demo("--json")
    out, err = child.communicate(timeout=110)
    assert (child.returncode, err) == (0, "")
    document = json.loads(out)
    assert document["ok"] is True
    assert document["test_before"]["passed"] is False
    assert document["test_after"]["passed"] is True
    result = document["result"]
    assert (result["status"], result["verified"]) == ("completed", True)
    changed = {item["path"] for item in result["files_changed"]}
    assert {"calc.py", "build.log"} <= changed, "an ignored file is in the result too"
    assert [item["path"] for item in document["applied"]["files"]] == ["calc.py"]
    kinds = [item["checkpoint_type"] for item in document["checkpoints"]]
    assert kinds[0] == "genesis"
    assert kinds[-1] == "final"
    assert kinds.count("automatic") == result["api_calls"] - 1
    assert "+    return a + b" in document["patch"]
    assert document["usage"]["cost_cad"] == result["cost_cad"] != "0.00"
    assert list(temporary.iterdir()) == []


def test_demo_that_is_interrupted_leaves_nothing(temporary):
    child = start_demo()
    for line in child.stdout:
        if line.startswith("says"):
            break
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=110)
    assert (child.returncode, err) == (130, "")
    assert "blocked (INTERRUPTED)" in out
    assert list(temporary.iterdir()) == []


def test_demo_says_what_it_keeps_and_where(tmp_path, home):
    kept = tmp_path / "kept"
    child = start_demo("--keep", str(kept))
    out, err = child.communicate(timeout=110)
    assert (child.returncode, err) == (0, "")
    headings = [line[:2] for line in out.splitlines() if line[:1].isdigit() and line[1:3] == ". "]
    assert headings == ["1.", "2.", "3.", "4.", "5.", "6.", "7."]
    assert "On the new branch the test passes" in out
    assert sorted(item.name for item in kept.iterdir()) == ["calc", "calc-fixed", "home"]
    assert (kept / "calc" / "calc.py").read_text().count("a - b") == 1
    assert "a + b" in (kept / "calc-fixed" / "calc.py").read_text()
    assert not home.exists()

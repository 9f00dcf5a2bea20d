from __future__ import annotations

from pathlib import Path

import check_links
import check_lock
import check_size
import check_tree
import pytest


def test_a_function_over_the_limit_is_found_with_its_length() -> None:
    body = "    x = 1\n" * check_size.FUNCTION_LIMIT
    assert list(
        check_size.long_functions(f"def short():\n    pass\n\ndef long():\n{body}", "a")
    ) == [("long", 4, check_size.FUNCTION_LIMIT + 1)]


@pytest.mark.parametrize(
    "line",
    [
        "see /home/" + "alice/project",
        "cd /wor" + "k/main",
        "index = https://pypi" + ".org/simple",
        "x = 1  # TO" + "DO later",
    ],
)
def test_a_line_that_may_not_be_in_the_tree_is_found(line: str) -> None:
    assert any(rule.search(line) for rule in check_tree.RULES.values())


@pytest.mark.parametrize("line", ["/home/agent/.claude", "/workspace/a", "a/work/b", "a todo list"])
def test_a_line_that_may_be_in_the_tree_passes(line: str) -> None:
    assert not any(rule.search(line) for rule in check_tree.RULES.values())


def test_a_link_to_a_missing_file_or_heading_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_links, "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# A `b`: c\n")
    (tmp_path / "page.md").write_text(
        "[a](other.md) [b](other.md#a-b-c) [c](missing.md) [d](other.md#x) [e](https://a.example)\n"
        "```\n[f](also-missing.md)\n```\n"
    )
    assert list(check_links.broken_links(Path("page.md"))) == [
        "page.md: missing.md does not exist",
        "page.md: other.md#x: no such heading",
    ]


def test_a_dependency_without_pin_or_hash_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_lock, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["a>=2"]\n[project]\ndependencies = ["b", "c"]\n'
    )
    (tmp_path / "requirements.lock").write_text(
        "a==1 \\\n    --hash=sha256:00\nb==1 ; sys_platform == 'linux'\n"
    )
    assert list(check_lock.find_problems()) == [
        "b has no hash in requirements.lock",
        "requirements.lock has a 1; pyproject.toml asks for a>=2",
        "c of pyproject.toml is not in requirements.lock",
    ]

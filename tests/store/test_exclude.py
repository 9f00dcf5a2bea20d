from __future__ import annotations

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import Exclude


@pytest.mark.parametrize(
    ("pattern", "path", "is_dir", "expected"),
    [
        ("*.log", b"a.log", False, True),
        ("*.log", b"deep/in/a.log", False, True),
        ("*.log", b"a.logs", False, False),
        ("/a.log", b"a.log", False, True),
        ("/a.log", b"x/a.log", False, False),
        ("build/", b"build", True, True),
        ("build/", b"build", False, False),
        ("src/*.py", b"src/a.py", False, True),
        ("src/*.py", b"src/sub/a.py", False, False),
        ("src/**/*.py", b"src/sub/deep/a.py", False, True),
        ("src/**/*.py", b"src/a.py", False, True),
        ("**/x", b"a/b/x", False, True),
        ("a/**", b"a/b/c", False, True),
        ("a/**", b"a", True, False),
        ("[ab].c", b"b.c", False, True),
        ("[!ab].c", b"b.c", False, False),
        ("[!ab].c", b"z.c", False, True),
        ("?.c", b"xy.c", False, False),
        (r"\*.c", b"*.c", False, True),
        (r"\*.c", b"x.c", False, False),
        (".env", b".env", False, True),
        (".env", b"xenv", False, False),
        ("new*", b"new\nline", False, True),
        ("raw*", b"raw\xff", False, True),
    ],
)
def test_pattern_matches_as_in_gitignore(pattern, path, is_dir, expected):
    matcher = Exclude((pattern,)).matcher("w")
    assert matcher is not None
    assert matcher.matches(path, is_dir=is_dir) is expected


def test_patterns_apply_only_to_their_roots():
    exclude = Exclude(("*.log",), frozenset({"workspace"}))
    assert exclude.matcher("home") is None
    assert exclude.matcher("workspace") is not None


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]"])
def test_malformed_pattern_is_refused(pattern):
    with pytest.raises(InvalidArgumentError):
        Exclude((pattern,)).matcher("w")

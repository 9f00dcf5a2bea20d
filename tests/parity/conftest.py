"""What the tests of parity share."""

from __future__ import annotations

import pytest
from plane_fixtures import own_home

__all__ = ["own_home", "same_commits"]


@pytest.fixture(autouse=True)
def same_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the same commit twice where the same files are committed: sizes are compared, too."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-11-23T12:00:00Z")

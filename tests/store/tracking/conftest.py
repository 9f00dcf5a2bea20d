"""A store that waits for no disk: what is tried here is which files it looks at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autovibe.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="autovibe-tracking-", dir=place) as directory:
        yield Store.open(Path(directory, "store"))

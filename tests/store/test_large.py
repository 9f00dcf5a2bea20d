"""Files of many GB: captured, verified and restored by a process that stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_GIB = 1 << 30
_WORK = """
import resource, sys
from pathlib import Path
from autovibe.store import Store
store = Store.open(Path(sys.argv[1]))
taken = store.snapshot({"w": Path(sys.argv[2])})
store.restore(taken.root, Path(sys.argv[3]), path="w")
assert store.verify(taken.root).ok
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_sparse_file_of_eight_gb_with_half_a_gb_of_data_takes_constant_memory(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    at = {0: b"begin", 3 * _GIB + 7: b"middle", 8 * _GIB - 3: b"end"}
    with (tree / "disk.img").open("wb") as file:
        for offset, data in at.items():
            file.seek(offset)
            file.write(data)
        file.seek(5 * _GIB)
        for _ in range(512):
            file.write(os.urandom(1 << 20))
    blocks = (tree / "disk.img").stat().st_blocks
    done = subprocess.run(
        [sys.executable, "-c", _WORK, tmp_path / "store", tree, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150 * 1024
    restored = tmp_path / "out" / "disk.img"
    assert restored.stat().st_size == 8 * _GIB
    assert restored.stat().st_blocks < blocks + 1024  # the file system's own notes differ
    compared = subprocess.run(["cmp", tree / "disk.img", restored], check=False)
    assert compared.returncode == 0

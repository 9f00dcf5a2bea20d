"""Measure `autovibe --help`: the whole process, from start to exit, beside an empty Python."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

RUNS: Final = 20


def main() -> int:
    """Run both in turns and print the row."""
    autovibe = [str(Path(sys.executable).with_name("autovibe")), "--help"]
    python = [sys.executable, "-c", "pass"]
    times = [(timed(autovibe), timed(python)) for _ in range(RUNS)]
    row = {
        "name": "cli_help_ms",
        "unit": "ms",
        "ours": round(statistics.median(ours for ours, _ in times), 1),
        "runs": RUNS,
        "python": platform.python_version(),
        "empty_python": round(statistics.median(empty for _, empty in times), 1),
    }
    print(json.dumps(row))
    return 0


def timed(command: list[str]) -> float:
    """Return the milliseconds that a command takes."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    sys.exit(main())

"""Run the benchmarks, print a table, and write benchmarks/results.json.

Each other file benchmarks/*.py is a program that prints one JSON object per line on standard
output: name, unit, ours, runs, and where there is a peer, peer and peer_value. What it prints on
standard error is shown. docs/benchmarks.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results.json"
# Units of which more is better; of every other one (ms, s, bytes) less is.
RATES: Final = frozenset({"per_s", "calls/s", "rows/s", "MB/s"})
Row = dict[str, Any]


def main() -> int:
    """Run the programs named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="benchmarks to run, as in: gateway_latency")
    names = parser.parse_args().names
    programs = {
        path.stem: path
        for path in sorted(HERE.glob("*.py"))
        if path != Path(__file__).resolve() and not path.stem.startswith("_")
    }
    unknown = [name for name in names if name not in programs]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]}; there are: {', '.join(programs)}")
    rows: list[Row] = []
    failed: list[str] = []
    for name in names or programs:
        print(f"running {name}", file=sys.stderr)
        try:
            rows += run(programs[name])
        except (subprocess.CalledProcessError, ValueError, KeyError) as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            failed.append(name)
    write(rows)
    print_table(rows)
    return 1 if failed else 0


def run(program: Path) -> list[Row]:
    """Run one program and return its rows, each stamped with what it was measured on.

    Raises:
        CalledProcessError: the program failed.
        ValueError: it printed something else than JSON objects.
        KeyError: a row lacks name, unit, ours or runs.
    """
    load = os.getloadavg()[0]
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    stamp = {"commit": commit(), "date": date, "load": round(load, 2), "cores": os.cpu_count()}
    return [shaped(json.loads(line)) | stamp for line in done.stdout.splitlines() if line.strip()]


def shaped(row: Row) -> Row:
    """Return a row with all columns; the ratio is how many times better we are."""
    ours, peer_value = row["ours"], row.get("peer_value")
    ratio = row.get("ratio")
    if ratio is None and ours and peer_value:
        ratio = ours / peer_value if row["unit"] in RATES else peer_value / ours
    known = {
        "name": row["name"],
        "unit": row["unit"],
        "ours": ours,
        "peer": row.get("peer"),
        "peer_value": peer_value,
        "ratio": ratio and round(ratio, 3),
        "runs": row["runs"],
    }
    return known | {key: value for key, value in row.items() if key not in known}


def commit() -> str:
    """Return the commit measured, with a + when the tree differs from it."""
    git = ["git", "-c", f"safe.directory={HERE.parent}", "-C", str(HERE.parent)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "src", "benchmarks/*.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def write(rows: list[Row]) -> None:
    """Replace the rows of the same names; those of benchmarks that did not run stay."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    names = {row["name"] for row in rows}
    merged = [row for row in kept if row["name"] not in names] + rows
    merged.sort(key=lambda row: row["name"])
    RESULTS.write_text(json.dumps(merged, indent=1) + "\n")


def print_table(rows: list[Row]) -> None:
    """Print one line per row."""
    heads = ("name", "unit", "ours", "peer", "peer_value", "ratio", "runs")
    table = [heads, *(tuple(cell(row[head]) for head in heads) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(heads))]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def cell(value: object) -> str:
    """Return a value as the table shows it."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())

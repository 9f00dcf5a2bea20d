"""Runs many commands in one process, as a person would run each: imports are paid for once.

Reads a JSON list of argument lists from standard input; prints for each what it printed and how it
ended, and whether this process holds the server's code.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from autovibe.cli.main import main


def run(arguments: list[str]) -> dict[str, object]:
    """Run one command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    ended = [run(arguments) for arguments in json.load(sys.stdin)]
    json.dump({"ended": ended, "is_server": "sqlalchemy" in sys.modules}, sys.stdout)

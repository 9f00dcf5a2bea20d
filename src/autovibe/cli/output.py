"""What a command prints: one JSON document, or text for people; errors in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.text import printable


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for JSON, even one that cannot be parsed."""
    own = list(arguments)
    if "--" in own:
        own = own[: own.index("--")]
    return "--json" in own


def print_json(document: object) -> None:
    """Print one JSON document; everything that is not ASCII is escaped, so no terminal obeys it."""
    print(json.dumps(document, indent=2))


def print_json_line(document: object) -> None:
    """Print one JSON document on one line, at once."""
    print(json.dumps(document, separators=(",", ":")), flush=True)


def print_lines(lines: Sequence[str], file: IO[str] | None = None) -> None:
    """Print lines of text for people; control characters are escaped (decision C13)."""
    for line in lines:
        print(printable(line), file=file or sys.stdout)


def note(message: str) -> None:
    """Tell the person something that is no result."""
    print(f"autovibe: {printable(message, one_line=True)}", file=sys.stderr, flush=True)


def error_document(error: AutovibeError) -> Mapping[str, object]:
    """Return an error as it is printed in JSON."""
    return {
        "error": {
            "code": str(error.code),
            "reason": error.reason,
            "message": error.message,
            "params": dict(error.params),
        }
    }


def print_error(error: AutovibeError, *, as_json: bool) -> int:
    """Print an error, on stdout in JSON and else on stderr, and return the exit status."""
    if as_json:
        print_json(error_document(error))
    else:
        text = printable(error.message, one_line=True)
        print(f"autovibe: error: {text}", file=sys.stderr)
    return error.exit_status

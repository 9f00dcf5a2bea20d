"""What a command prints: one JSON document, or text for people; errors in one sentence."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import IO, TextIO

from autovibe.cli.options import is_quiet
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
    write(json.dumps(document, indent=2), sys.stdout)


def print_json_line(document: object) -> None:
    """Print one JSON document on one line."""
    write(json.dumps(document, separators=(",", ":")), sys.stdout)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of text for people; control characters are escaped (decision C13)."""
    if lines:
        write("\n".join(one_line(line) for line in lines), sys.stdout)


def print_notes(lines: Sequence[str]) -> None:
    """Print advice and confirmations, which `--quiet` leaves out."""
    if not is_quiet():
        print_lines(lines)


def write(text: str, stream: IO[str]) -> bool:
    """Write a text and a line end at once, and return whether somebody could read it.

    A reader that has gone (a closed pipe or terminal) changes no exit status.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EIO}:
            raise
        discard(stream)
        return False
    return True


def write_bytes(data: bytes, stream: TextIO) -> None:
    """Write bytes as they are; a reader that has gone changes no exit status."""
    try:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EIO}:
            raise
        discard(stream)


def discard(stream: IO[str]) -> None:
    """Send what is still written to a stream nowhere, so that its last flush raises nothing."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


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
    """Print an error on stderr, and in JSON on stdout too; return the exit status."""
    if as_json:
        print_json(error_document(error))
    write(f"autovibe: error: {printable(error.message, one_line=True)}", sys.stderr)
    return error.exit_status


def one_line(text: str) -> str:
    """Return a text with everything escaped but tabs, which are part of what people read."""
    return "\t".join(printable(part, one_line=True) for part in text.split("\t"))

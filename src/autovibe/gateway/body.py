"""Request bodies: bounded, decoded, parsed without ambiguity, changed in single members at most."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final, cast

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')
_EMPTY: Final = re.compile(rb"\{\s*\}")
_MOST_OUTPUT: Final = 10_000_000


class BadBodyError(Exception):
    """A request body that cannot be taken; `status` is 400 or 413."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Keep the sentence and the HTTP status."""
        super().__init__(message)
        self.message = message
        self.status = status


def decoded(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before its content coding.

    Raises:
        BadBodyError: the coding is unknown or broken, or the content too large.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadBodyError(f"Content-Encoding {encoding} is not taken; send the body as it is.")
    wbits = zlib.MAX_WBITS if encoding == "deflate" else zlib.MAX_WBITS | 16
    inflate = zlib.decompressobj(wbits)
    try:
        content = inflate.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise BadBodyError(f"The body is not valid {encoding}.") from None
    if len(content) > MAX_BODY_BYTES:
        raise too_large()
    if not inflate.eof or inflate.unused_data:
        raise BadBodyError(f"The body is not valid {encoding}.")
    return content


def too_large() -> BadBodyError:
    """Return the error for a body over the limit."""
    return BadBodyError(
        f"The request is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB; send less.", 413
    )


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Text that two parsers could read in two ways is refused: another encoding than UTF-8, a name
    that occurs twice in an object, NaN. What was checked must be what the provider reads.

    Raises:
        BadBodyError: the body is no such object.
    """
    try:
        value: object = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise BadBodyError("The request body must be JSON in UTF-8.") from None
    except BadBodyError:
        raise
    except (ValueError, RecursionError):
        raise BadBodyError("The request body must be one JSON object.") from None
    if not isinstance(value, dict):
        raise BadBodyError("The request body must be one JSON object.")
    return cast("dict[str, Any]", value)


def whole_number(value: object, name: str) -> int:
    """Return a limit of output tokens.

    Raises:
        BadBodyError: it is no whole number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST_OUTPUT:
        raise BadBodyError(f"{name}: give the most tokens to answer with, a whole number above 0.")
    return value


def with_max_tokens(body: bytes, max_tokens: int) -> bytes:
    """Return the same bytes with another number as the top-level `max_tokens`.

    Args:
        body: one that `parse` has taken.
        max_tokens: the new value.
    """
    return with_member(body, ("max_tokens",), str(max_tokens).encode())


def with_member(body: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """Return the same bytes with one member replaced, or added when it is not there.

    Args:
        body: one that `parse` has taken.
        path: the names that lead to the member; what is no object on the way is replaced.
        value: its new value as JSON.
    """
    at = body.index(b"{")
    for depth, name in enumerate(path):
        span = _span(body, at, name)
        if span is None:
            return _with_new(body, at, path[depth:], value)
        at, end = span
        if depth == len(path) - 1 or not body.startswith(b"{", at):
            return body[:at] + _nested(path[depth + 1 :], value) + body[end:]
    raise ValueError("path must name a member")


def _with_new(body: bytes, at: int, path: tuple[str, ...], value: bytes) -> bytes:
    """Add a member at the beginning of the object that opens at `at`."""
    empty = _EMPTY.match(body, at) is not None
    member = json.dumps(path[0]).encode() + b":" + _nested(path[1:], value)
    return body[: at + 1] + member + (b"" if empty else b",") + body[at + 1 :]


def _nested(path: tuple[str, ...], value: bytes) -> bytes:
    for name in reversed(path):
        value = b"{" + json.dumps(name).encode() + b":" + value + b"}"
    return value


def _span(body: bytes, at: int, name: str) -> tuple[int, int] | None:
    """Return where a member's value is in the object that opens at `at`."""
    depth, key, begin = 0, "", -1
    for token in _TOKEN.finditer(body, at):
        text = token[0]
        if text in b"{[":
            depth += 1
            continue
        closes = text in b"}]"
        if depth == 1 and begin >= 0 and (closes or text == b","):
            value = body[begin : token.start()]
            stripped = value.strip()
            start = begin + value.index(stripped)
            return start, start + len(stripped)
        if closes:
            depth -= 1
            if depth == 0:
                return None
        elif depth == 1 and text == b":":
            begin = token.end() if key == name else -1
        elif depth == 1 and text != b",":
            key = json.loads(text)
    return None


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadBodyError(f"The name {twice!r} occurs twice in one object of the request body.")
    return value


def _no_constant(name: str) -> object:
    raise BadBodyError(f"{name} is not JSON.")

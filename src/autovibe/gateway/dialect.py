"""Answers of the gateway itself, in the dialect of the caller.

A refusal is HTTP 400 with `billing_error` and `x-should-retry: false`: that alone stops every
agent program at once; 402, 403 and 429 make some of them retry for minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=Headers)


def failure(
    status: int,
    kind: str,
    message: str,
    request_id: str,
    *,
    retry: bool | None = None,
    retry_after_s: int | None = None,
) -> Answer:
    """Return an error in the Messages dialect.

    Args:
        status: HTTP status.
        kind: error type of the dialect.
        message: a sentence that says what to do.
        request_id: the call's.
        retry: what `x-should-retry` tells the provider's SDKs; `None` leaves it to them.
        retry_after_s: seconds until a repeat makes sense.
    """
    body = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id,
    }
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"request-id", request_id.encode()),
    ]
    if retry is not None:
        headers.append((b"x-should-retry", b"true" if retry else b"false"))
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    return Answer(status, json.dumps(body).encode(), headers)


def refusal(reason: str, message: str, request_id: str) -> Answer:
    """Return the answer to a call that the ledger did not admit (decision B12)."""
    if reason == "BUDGET_HELD":
        return failure(429, "rate_limit_error", message, request_id, retry_after_s=30)
    return failure(400, "billing_error", message, request_id, retry=False)


def plain_not_found() -> Answer:
    """Return the answer to programs that only look whether anybody is there."""
    return Answer(404, b"Not found\n", [(b"content-type", b"text/plain; charset=utf-8")])

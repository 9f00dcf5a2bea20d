"""When a quota resets: every way in which providers write it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ledger_desk import NOON

from autovibe.gateway.quota import is_spent, pause_s

MIDDAY = NOON.timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "37"}, 37),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:20 GMT"}, 20),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "999999999"}, 24 * 3600),
        ({}, None),
        # Anthropic: the limit that is used up counts, not the one that resets first.
        (
            {
                "anthropic-ratelimit-requests-remaining": "12",
                "anthropic-ratelimit-requests-reset": "2026-11-23T12:00:01Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-23T12:00:42Z",
            },
            42,
        ),
        ({"anthropic-ratelimit-tokens-reset": "2026-11-23T12:01:00Z"}, 60),
        # OpenAI
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "10",
                "x-ratelimit-reset-tokens": "120ms",
            },
            360,
        ),
        ({"x-ratelimit-reset-requests": "1h1m1.5s"}, 3661.5),
        # OpenRouter: milliseconds since 1970; others: seconds
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int((MIDDAY + 9) * 1000))}, 9),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(MIDDAY + 8))}, 8),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, 7),
    ],
)
def test_headers_tell_when_the_quota_resets(headers: dict[str, str], seconds: float | None) -> None:
    assert pause_s(headers, b"", NOON) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "…QuotaFailure"}, {"retryDelay": "37s"}]}}, 37),
        ([{"error": {"details": [{"retryDelay": "0.5s"}]}}], 0.5),
        ({"error": {"details": [{"retryDelay": 5}, 3, None]}}, None),
        ({"error": "no"}, None),
        ([], None),
        ("text", None),
    ],
)
def test_gemini_tells_it_in_the_body(body: Any, seconds: float | None) -> None:
    assert pause_s({}, json.dumps(body).encode(), NOON) == seconds


def test_a_body_that_is_no_json_tells_nothing() -> None:
    assert pause_s({}, b"<html>", NOON) is None
    assert pause_s({}, b"[" * 60_000, NOON) is None


@pytest.mark.parametrize(
    ("body", "spent"),
    [
        (b'{"error":{"code":"insufficient_quota"}}', True),
        (b'{"error":{"error_code":"enforced_spend_limit_reached"}}', True),
        (b'{"error":{"code":"rate_limit_exceeded"}}', False),
    ],
)
def test_money_that_is_gone_is_told_from_a_quota(body: bytes, spent: bool) -> None:  # noqa: FBT001 - parametrised
    assert is_spent(body) is spent

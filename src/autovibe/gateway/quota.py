"""When a provider's quota resets: what the headers and the body of a 429 tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, cast

from autovibe.gateway.policy import as_json, objects

_LONGEST_S: Final = 24 * 3600.0
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_WHOLE_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LIMIT: Final = re.compile(r"(?:anthropic-ratelimit|x-ratelimit)-(.+)")
# Spent, not too fast: no waiting brings these back, and the agent should hear so at once.
_SPENT: Final = (
    b"insufficient_quota",
    b"enforced_spend_limit_reached",
    b"contract_spend_limit_reached",
    b"billing_hard_limit_reached",
)
_EPOCH_MS: Final = 1e11
_EPOCH_S: Final = 1e8


def is_spent(body: bytes) -> bool:
    """Return whether a 429 says that the account's money is gone, which no waiting mends."""
    return any(code in body[:65_536] for code in _SPENT)


def pause_s(headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Return in how many seconds a quota resets, at most a day; `None` when nobody says.

    Args:
        headers: of the 429, found by names of any case.
        body: of the 429; Gemini tells it there.
        now: the time, for headers that name a moment.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    told = [
        _milliseconds(named.get("retry-after-ms")),
        _seconds(named.get("retry-after"), now),
        _limits(named, now),
        _in_body(body),
    ]
    first = next((pause for pause in told if pause is not None), None)
    return None if first is None else min(max(first, 0.0), _LONGEST_S)


def _limits(named: Mapping[str, str], now: datetime) -> float | None:
    """Return when the limits that are used up reset; when none says so, the first that does."""
    resets: dict[str, float] = {}
    used_up: list[float] = []
    for name, value in named.items():
        found = _LIMIT.fullmatch(name)
        if found is None:
            continue
        what, kind = _what_and_kind(found[1])
        if kind == "reset" and (pause := _until(value, now)) is not None:
            resets[what] = pause
    for name, value in named.items():
        found = _LIMIT.fullmatch(name)
        if found is not None and value == "0":
            what, kind = _what_and_kind(found[1])
            if kind == "remaining" and what in resets:
                used_up.append(resets[what])
    if used_up:
        return max(used_up)
    return min(resets.values(), default=None)


def _what_and_kind(rest: str) -> tuple[str, str]:
    """Return of which limit and what: Anthropic names the limit first, OpenAI last."""
    for kind in ("reset", "remaining"):
        if rest == kind:
            return "", kind
        if rest.startswith(f"{kind}-"):
            return rest.removeprefix(f"{kind}-"), kind
        if rest.endswith(f"-{kind}"):
            return rest.removesuffix(f"-{kind}"), kind
    return rest, ""


def _milliseconds(text: str | None) -> float | None:
    number = _number(text or "")
    return None if number is None else number / 1000


def _seconds(text: str | None, now: datetime) -> float | None:
    """Return the seconds until a moment, written in any of the ways that providers have."""
    if not text:
        return None
    number = _number(text)
    if number is not None:
        return number
    if _WHOLE_DURATION.fullmatch(text):
        return sum(float(value) * _SECONDS[unit] for value, unit in _DURATION.findall(text))
    moment = _moment(text)
    return None if moment is None else (moment - now).total_seconds()


def _until(text: str, now: datetime) -> float | None:
    """Return the seconds until a limit resets; some write them since 1970, or thousandths."""
    seconds = _seconds(text, now)
    if seconds is None or seconds < _EPOCH_S or not _number(text):
        return seconds
    return (seconds / 1000 if seconds >= _EPOCH_MS else seconds) - now.timestamp()


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", text) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _in_body(body: bytes) -> float | None:
    """Return the `retryDelay` of Google's RetryInfo."""
    try:
        answer: object = json.loads(body[:65_536])
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, list):
        # A stream without `alt=sse` is a list, its error the only item.
        answer = next(iter(cast("list[object]", answer)), None)
    for detail in objects(as_json(as_json(answer).get("error")).get("details")):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and _WHOLE_DURATION.fullmatch(delay):
            return sum(float(value) * _SECONDS[unit] for value, unit in _DURATION.findall(delay))
    return None

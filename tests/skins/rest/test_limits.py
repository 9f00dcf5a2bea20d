"""Rate limits, foreign origins and etags of REST."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from served import Served
from starlette.datastructures import Headers

from autovibe.skins.errors import OriginNotAllowedError
from autovibe.skins.rest.limits import RateLimit, RateLimitedError
from autovibe.skins.rest.origins import foreign_origin


@dataclass
class Clock:
    """Stands still until it is moved."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_caller_waits_once_the_bucket_is_empty_and_others_do_not() -> None:
    clock = Clock()
    limit = RateLimit(60, clock)  # type: ignore[arg-type]  # all that it asks of a clock
    for _ in range(10):
        limit.take("ada")
    with pytest.raises(RateLimitedError) as caught:
        limit.take("ada")
    assert caught.value.params == {"retry_after_s": 1}
    limit.take("eve")
    clock.seconds += 1
    limit.take("ada")


def test_only_named_sites_may_call() -> None:
    def origin(value: str) -> str | None:
        return foreign_origin(Headers({"origin": value}), "here:1", {"https://friend.example"})

    assert origin("http://here:1") is None
    assert origin("https://friend.example") == "https://friend.example"
    with pytest.raises(OriginNotAllowedError):
        origin("https://foe.example")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_update_with_an_old_etag_is_refused(server: Served) -> None:
    made = await server.request("POST", "/api/v1/projects", json={"name": "etags"})
    etag = made.headers["etag"]
    path = "/api/v1/projects/etags"
    same = await server.request("GET", path, headers={"if-none-match": etag})
    assert same.status == 304
    change = {"json": {"description": "x"}, "headers": {"if-match": etag}}
    assert (await server.request("PATCH", path, **change)).status == 200
    late = await server.request("PATCH", path, **change)
    assert (late.status, (await late.json())["reason"]) == (412, "ETAG_MISMATCH")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_creation_with_a_key_happens_once(server: Served) -> None:
    key = {"headers": {"idempotency-key": "k1"}}
    first = await server.request("POST", "/api/v1/projects", json={"name": "once"}, **key)
    again = await server.request("POST", "/api/v1/projects", json={"name": "once"}, **key)
    assert await again.json() == await first.json()
    other = await server.request("POST", "/api/v1/projects", json={"name": "twice"}, **key)
    assert (other.status, (await other.json())["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")

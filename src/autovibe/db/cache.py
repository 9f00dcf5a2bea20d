"""The query cache: answers of chosen read operations, kept until something they show has changed.

A read operation opts in with `@cached`. Its answer is looked up before any transaction is opened,
so a hit costs no connection. What makes an answer stale is found by the session itself (every
write of a mapped table) or named by `WriteTx.stale`, and takes effect after the commit.

No stale fill: every key that an answer depends on has a random stamp. A reader takes the stamps
before its transaction begins and keeps its answer with them; a commit replaces stamps. An answer
that was read before a commit is thus kept under a stamp that nobody asks for again.

Other processes: the keys are written to the outbox in the transaction of the change. Each process
looks there once a second at most, when it is about to answer, so what another one changed is seen
after a second, and nothing runs while nobody asks. That serves a cache in memory, and finds what a
process that died between its commit and its call to the server left.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from google.protobuf.message import Message
from prometheus_client import Counter

F = TypeVar("F", bound=Callable[..., Any])

PREFIX: Final = "autovibe:query_cache:"
TOPIC: Final = "query_cache.stale"
"""Topic of outbox rows that name what became stale; no relay needs them."""
DEFAULT_TTL_S: Final = 300
STAMP_TTL_S: Final = 7_200
"""Longer than any answer lives, so that no answer outlives its stamp."""
FOLLOW_S: Final = 1.0
_MOST_TOLD: Final = 200
_MARK: Final = "_autovibe_cached"


@dataclass(frozen=True)
class Region:
    """A kind of answer: how long it lives, and what it depends on."""

    name: str
    ttl_s: int = DEFAULT_TTL_S
    tables: tuple[str, ...] = ()
    """Any change of these makes the answer stale."""
    row_table: str = ""
    row_id: Callable[[Any], str] = lambda _request: ""
    """From the request to the full id of the one row of `row_table`; "" is not answered here."""
    keep: Callable[[Any], bool] = lambda _response: True
    """Whether an answer may be kept."""
    shared_only: bool = False
    """Only in a cache that all processes share: its changes are not written to the outbox."""

    def keys(self, request: Message) -> Sequence[str] | None:
        """Return the keys that an answer depends on; None if it is not to be kept."""
        keys = [table_key(table) for table in self.tables]
        if self.row_table:
            row_id = _canonical(self.row_id(request))
            if not row_id:
                return None
            keys += row_keys(self.row_table, row_id)
        return keys


@dataclass
class _Watched:
    """Tables whose changes make answers stale; filled while the services are imported."""

    tables: set[str] = field(default_factory=set[str])
    rows: set[str] = field(default_factory=set[str])
    told: set[str] = field(default_factory=set[str])


WATCHED: Final = _Watched()


def cached(region: Region) -> Callable[[F], F]:
    """Mark a read operation's method: its answers may come from the query cache."""
    WATCHED.tables.update(region.tables)
    if not region.shared_only:
        WATCHED.told.update(region.tables)
    if region.row_table:
        WATCHED.rows.add(region.row_table)
        WATCHED.told.add(region.row_table)

    def mark(method: F) -> F:
        setattr(method, _MARK, region)
        return method

    return mark


def region_of(method: object) -> Region | None:
    """Return the region that a method is marked with."""
    return getattr(method, _MARK, None)


def table_key(table: str) -> str:
    """Return the key of anything in a table."""
    return f"{table}/*"


def row_keys(table: str, row_id: object) -> tuple[str, str]:
    """Return the keys of one row: its own, and that of statements that name no row."""
    return f"{table}/{row_id}", f"{table}/!"


def changed_keys(table: str, row_id: object = None, *, is_new: bool = False) -> Iterator[str]:
    """Yield the keys that a change makes stale.

    Args:
        table: what was changed.
        row_id: which row; None for a statement that may have changed any.
        is_new: the row was not there before, so no answer tells of it by its id.
    """
    if table in WATCHED.tables:
        yield table_key(table)
    if table in WATCHED.rows and not is_new:
        yield row_keys(table, row_id)[row_id is None]


def told_keys(keys: Collection[str]) -> list[str]:
    """Return the keys that other processes must be told of, many rows of a table as all of them."""
    told = {key for key in keys if key.partition("/")[0] in WATCHED.told}
    if len(told) > _MOST_TOLD:
        tables = {key.partition("/")[0] for key in told}
        told = {key for table in tables for key in (table_key(table), row_keys(table, 0)[1])}
    return sorted(told)


def _canonical(row_id: str) -> str:
    try:
        return str(uuid.UUID(row_id))
    except ValueError:
        return ""


class Backend(Protocol):
    """Where stamps and answers are kept. A backend in trouble gives None and never an error."""

    shared: bool
    """Whether other processes see the same."""

    async def stamps(self, keys: Sequence[str]) -> Sequence[str] | None:
        """Return the stamp of each key, made where there was none; None if that is impossible."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        ...

    async def put(self, name: str, value: bytes, ttl_s: int) -> None:
        """Keep a value for a time."""
        ...

    async def replace_stamps(self, keys: Collection[str]) -> None:
        """Give keys new stamps."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


Follow = Callable[[], Awaitable[Collection[str]]]


class QueryCache:
    """Answers of reads; one load at a time per answer, however many wait for it."""

    def __init__(
        self, backend: Backend, requests: Counter, follow: Follow, monotonic: Callable[[], float]
    ) -> None:
        """Args: where to keep, what counts, what tells of other processes' changes, the clock."""
        self._backend = backend
        self._requests = requests
        self._follow = follow
        self._monotonic = monotonic
        self._followed: float | None = None
        self._following = asyncio.Lock()
        self._loads: dict[str, asyncio.Future[Message | None]] = {}

    async def answer(
        self,
        region: Region,
        request: Message,
        viewer: str,
        load: Callable[[], Awaitable[Message]],
        response_type: Callable[[], Message],
    ) -> Message:
        """Return a kept answer, or load one and keep it.

        Args:
            region: of the operation.
            request: what is asked.
            viewer: who asks; what one person may see is not shown to another.
            load: opens its transaction itself, after this has taken the stamps.
            response_type: what makes an empty answer.

        Raises:
            AutovibeError: what `load` raised; it is not kept.
        """
        if region.shared_only and not self._backend.shared:
            return await load()
        await self._follow_others()
        keys = region.keys(request)
        stamps = None if keys is None else await self._backend.stamps(keys)
        if stamps is None:
            self._requests.labels(region.name, "miss").inc()
            return await load()
        name = _name(region, request, viewer, stamps)
        kept = await self._backend.get(name)
        if kept is not None:
            self._requests.labels(region.name, "hit").inc()
            answer = response_type()
            answer.ParseFromString(kept)
            return answer
        return await self._load_once(region, name, load)

    async def replace(self, keys: Collection[str]) -> None:
        """Make what depends on keys stale; to be called after the commit."""
        if keys:
            await self._backend.replace_stamps(keys)

    async def close(self) -> None:
        """Let go of the backend."""
        await self._backend.close()

    async def _load_once(
        self, region: Region, name: str, load: Callable[[], Awaitable[Message]]
    ) -> Message:
        """Load, or wait for one that loads the same under the same stamps."""
        while name in self._loads:
            self._requests.labels(region.name, "joined").inc()
            # None: it failed or was cancelled, which is its own affair.
            loaded = await asyncio.shield(self._loads[name])
            if loaded is not None:
                own = type(loaded)()
                own.CopyFrom(loaded)
                return own
        self._requests.labels(region.name, "miss").inc()
        mine = self._loads[name] = asyncio.get_running_loop().create_future()
        answer: Message | None = None
        try:
            answer = await load()
            if region.keep(answer):
                await self._backend.put(
                    name, answer.SerializeToString(deterministic=True), region.ttl_s
                )
            return answer
        finally:
            del self._loads[name]
            mine.set_result(answer)

    async def _follow_others(self) -> None:
        now = self._monotonic()
        if self._followed is not None and now - self._followed < FOLLOW_S:
            return
        async with self._following:
            if self._followed is not None and now - self._followed < FOLLOW_S:
                return
            await self.replace(await self._follow())
            self._followed = now


def _name(region: Region, request: Message, viewer: str, stamps: Sequence[str]) -> str:
    """Return the name of an answer: equal questions under equal stamps have one."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (type(request).__name__, viewer, *stamps):
        digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    digest.update(request.SerializeToString(deterministic=True))
    return f"{PREFIX}{region.name}:{digest.hexdigest()}"


def stamp_name(key: str) -> str:
    """Return the name under which the stamp of a key is kept."""
    return f"{PREFIX}stamp:{key}"


def new_stamp() -> str:
    """Return a stamp that never was; numbers would begin again when one is evicted."""
    return secrets.token_hex(12)

"""The shapes of a service method, as `operations.invoke()` calls it.

Read and write operations are methods `(tx, ctx, request) -> response` of a service, named as the
rpc in snake_case. A long operation is an attribute of that name holding a `LongOperation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from autovibe.db import ReadTx, WriteTx
from autovibe.kernel.context import CallContext

RequestT_contra = TypeVar("RequestT_contra", bound=Message, contravariant=True)
PlanT = TypeVar("PlanT")
OutcomeT = TypeVar("OutcomeT")
ResponseT_co = TypeVar("ResponseT_co", bound=Message, covariant=True)


class LongOperation(Protocol[RequestT_contra, PlanT, OutcomeT, ResponseT_co]):
    """Work that may not happen inside a transaction: prepare, act, record.

    `prepare` decides from a consistent view what is to be done, `act` does it outside any
    transaction, `record` writes what came of it. Each may be followed by a crash: `act` leaves
    either nothing, or something that a repeat or a sweep finds.
    """

    async def prepare(self, tx: ReadTx, ctx: CallContext, request: RequestT_contra) -> PlanT:
        """Check the request and gather all that `act` needs."""
        ...

    async def act(self, ctx: CallContext, plan: PlanT) -> OutcomeT:
        """Do the work; no transaction is open."""
        ...

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: PlanT, outcome: OutcomeT
    ) -> ResponseT_co:
        """Write the outcome and return the response."""
        ...


class LongRead(Protocol[RequestT_contra, PlanT, ResponseT_co]):
    """A long operation that records nothing: the result of `act` is the response."""

    async def prepare(self, tx: ReadTx, ctx: CallContext, request: RequestT_contra) -> PlanT:
        """Check the request and gather all that `act` needs."""
        ...

    async def act(self, ctx: CallContext, plan: PlanT) -> ResponseT_co:
        """Do the work and return the response; no transaction is open."""
        ...


@dataclass(frozen=True)
class Slice:
    """What one step of a scheduled job came to."""

    rows: int
    more: bool = False
    """Another step is needed."""


class Step(Protocol):
    """One slice of a scheduled job, in one transaction that SQLite can afford (50 ms)."""

    async def __call__(self, tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
        """Do the next slice; in a dry run count all that is to be done, and change nothing."""
        ...


@dataclass(frozen=True)
class StreamPage:
    """The next part of a stream: a response with `next_cursor` and `ended`."""

    message: Message
    topic: str
    """The bell that rings when there may be more (see `db.bells`)."""
    count: int
    """How many things the response holds; one with none is sent now and then, as a heartbeat."""
    more: bool
    """There is more already."""
    encoded: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """The response as skins have written it: streams that share a page share that."""


class StreamOperation(Protocol):
    """Work of a streaming rpc: one page at a time, each in a read transaction of its own.

    Between two pages nothing is open and nothing is kept but the cursor.
    """

    async def page(self, tx: ReadTx, ctx: CallContext, request: Message) -> StreamPage:
        """Return what comes behind the cursor of the request, possibly nothing."""
        ...

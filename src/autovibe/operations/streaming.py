"""Streams: pages that are read one by one, each as soon as there is something and it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from dataclasses import replace
from typing import Any, Final

from google.protobuf.message import Message

from autovibe.db.bells import Bells
from autovibe.domains.contract import StreamPage
from autovibe.kernel.context import Actor, CallContext
from autovibe.operations.registry import Operation

BEAT_S: Final = 15.0
"""A stream that has nothing to say sends a page without anything in it so often."""
POLL_S: Final = 3.0
"""Bells are hints: whoever waits looks so often by itself."""
RENEW_S: Final = 30.0
"""Who calls is asked again so often: a token that was revoked ends its streams."""

Renew = Callable[[], Awaitable[Actor]]
ReadPage = Callable[[Message, CallContext], Awaitable[StreamPage]]


class Streams:
    """The streams of one process.

    Those that stand at the same place share one read, so that 500 followers of one log cost about
    as much as one. Only a read that began after a bell counts for who heard that bell: it sees what
    the bell rang for.
    """

    def __init__(self, bells: Bells) -> None:
        """Wait for the bells of this process."""
        self._bells = bells
        self._reads: dict[Hashable, asyncio.Task[StreamPage]] = {}
        self._ending = False

    def end(self) -> None:
        """Let every stream end after the page that it reads now."""
        self._ending = True
        self._bells.hear_all()

    async def pages(
        self,
        operation: Operation,
        request: Message,
        ctx: CallContext,
        read: ReadPage,
        renew: Renew | None,
    ) -> AsyncGenerator[StreamPage]:
        """Give page after page, until one says that there is an end.

        Raises:
            AutovibeError: what reading a page raises, or `renew`.
        """
        clock = ctx.clock
        place = _behind(request, getattr(request, "cursor"))  # noqa: B009 - a field of any message
        topic, first = "", True
        sent_at = renewed_at = clock.monotonic()
        while not self._ending:
            if renew is not None and clock.monotonic() - renewed_at >= RENEW_S:
                ctx, renewed_at = replace(ctx, actor=await renew()), clock.monotonic()
            rung = self._bells.count((topic,))
            page = await self._read(operation, place, ctx, read, (topic, rung))
            message: Any = page.message
            place = _behind(request, message.next_cursor)
            if first or page.count or message.ended or clock.monotonic() - sent_at >= BEAT_S:
                yield page
                first, sent_at = False, clock.monotonic()
            if message.ended:
                return
            if page.more or topic != page.topic:  # at first nobody listened yet: look again
                topic = page.topic
                continue
            # All look at the same moments, and so in one read.
            await self._bells.wait((topic,), rung, POLL_S - clock.monotonic() % POLL_S)

    async def _read(
        self,
        operation: Operation,
        place: Message,
        ctx: CallContext,
        read: ReadPage,
        heard: tuple[str, int],
    ) -> StreamPage:
        if not heard[0]:
            return await read(place, ctx)
        viewer = "" if ctx.actor.sees_all else f"{ctx.actor.type}/{ctx.actor.id}"
        asked = place.SerializeToString(deterministic=True)
        key = (operation.method.name, asked, viewer, heard)
        task = self._reads.get(key)
        if task is None:
            task = asyncio.ensure_future(read(place, ctx))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        # One that goes away takes the page from nobody else.
        return await asyncio.shield(task)


def _behind(request: Message, cursor: str) -> Message:
    place = type(request)()
    place.CopyFrom(request)
    setattr(place, "cursor", cursor)  # noqa: B010 - as above
    return place

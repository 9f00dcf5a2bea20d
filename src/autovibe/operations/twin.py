"""The local twin: the services of this process, without a hop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from google.protobuf.message import Message

from autovibe.kernel.context import CallContext
from autovibe.operations.invoke import Operations
from autovibe.sdk.contract import Method
from autovibe.sdk.services import Call, Services, Stream, build_services


def local_twin(operations: Operations, ctx_factory: Callable[[], CallContext]) -> Services:
    """Return services whose every method is `invoke()` with a fresh context.

    Args:
        operations: what runs the calls.
        ctx_factory: gives the context of one call; a new request id each time.
    """

    def call_of(method: Method) -> Call:
        name = method.name

        async def call(request: Message, /) -> Message:
            return await operations.invoke(name, request, ctx_factory())

        return call

    def stream_of(method: Method) -> Stream:
        name = method.name

        async def stream(request: Message, /) -> AsyncGenerator[Message]:
            async for page in operations.stream(name, request, ctx_factory()):
                yield page.message

        return stream

    return build_services(call_of, stream_of)

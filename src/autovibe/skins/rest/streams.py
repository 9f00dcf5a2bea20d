"""Streaming operations as server-sent events: one event for each page, its id the cursor behind it.

Source: the HTML standard, section 9.2 (Server-sent events).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI, Request
from google.protobuf.message import Message
from starlette.responses import StreamingResponse

from autovibe.domains.contract import StreamPage
from autovibe.kernel.context import Actor
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protojson import from_json, to_json_bytes
from autovibe.operations import Operations
from autovibe.sdk.contract import HttpRule, Method
from autovibe.skins.rest.comments import comment
from autovibe.skins.rest.guard import ACTOR, RENEW, address_of
from autovibe.skins.rest.problems import problem_of, request_id_of
from autovibe.skins.rest.routes import (
    check_query,
    error_responses,
    fill_from_path,
    path_of,
    path_parameter,
    query_parameter,
    request_parameter,
)

MEDIA_TYPE: Final = "text/event-stream"
_LAST_ID: Final = "last-event-id"
_RETRY_MS: Final = 1_000
_SHARED: Final = "sse"

Endpoint = Callable[..., Awaitable[StreamingResponse]]


def add_streams(app: FastAPI, operations: Operations) -> None:
    """Add a route for every streaming operation that this process serves."""
    for operation in operations.registry.streams:
        method, http = operation.method, operation.method.http
        if http is None:
            msg = f"{method.name} has no google.api.http option"
            raise ValueError(msg)
        text = comment(method.descriptor.full_name)
        app.add_api_route(
            path_of(method, http),
            _endpoint(operations, method, http),
            methods=[http.verb],
            response_class=StreamingResponse,
            response_model=None,
            operation_id=method.descriptor.name,
            name=method.attribute,
            summary=text.partition(":")[0].partition(".")[0],
            description=f"{text}\n\nNeeds the permission `{method.operation.permission}`.",
            tags=[method.service.rsplit(".", 1)[1].removesuffix("Service").lower()],
            responses={
                200: {
                    "description": "Server-sent events; the data of each is "
                    f"`{method.descriptor.output_type.name}` as JSON, its id the cursor behind it. "
                    "The last one is named `end`, one that tells of an error `error`.",
                    "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
                },
                **error_responses(method, http),
            },
        )


def _endpoint(operations: Operations, method: Method, http: HttpRule) -> Endpoint:
    fields = [f for f in method.descriptor.input_type.fields if f.name not in http.variables]
    single = frozenset(f.name for f in fields if not f.is_repeated)
    known = frozenset(f.name for f in fields)

    async def endpoint(request: Request, **given: Any) -> StreamingResponse:
        check_query(request, known, single)
        message = method.request_type()
        data = {name: given[name] for name in known if given.get(name) is not None}
        from_json(data, message)
        fill_from_path(message, request, http)
        last: Any = message
        last.cursor = request.headers.get(_LAST_ID) or last.cursor
        pages = _pages(operations, method, message, request)
        # What is refused is so with its status: the answer begins after the first page.
        first = await anext(pages, None)
        return StreamingResponse(_events(request, first, pages), media_type=MEDIA_TYPE)

    parameters = [request_parameter()]
    parameters += [path_parameter(method, name) for name in http.variables]
    parameters += [query_parameter(field) for field in fields]
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # any function may have one
    return endpoint


def _pages(
    operations: Operations, method: Method, message: Message, request: Request
) -> AsyncGenerator[StreamPage]:
    renew: Callable[[], Awaitable[Actor]] | None = request.scope.get(RENEW)
    ctx = replace(
        operations.context(request.scope[ACTOR]),
        request_id=request_id_of(request),
        address=address_of(request.scope),
    )
    return operations.stream(method.name, message, ctx, renew)


async def _events(
    request: Request, first: StreamPage | None, pages: AsyncGenerator[StreamPage]
) -> AsyncGenerator[bytes]:
    yield f"retry: {_RETRY_MS}\n\n".encode()
    try:
        if first is not None:
            yield event_of(first)
            async for page in pages:
                yield event_of(page)
    except AutovibeError as error:
        problem = json.dumps(problem_of(error, request_id_of(request)).model_dump())
        yield f"event: error\ndata: {problem}\n\n".encode()
    finally:
        await pages.aclose()


def event_of(page: StreamPage) -> bytes:
    """Return a page as an event; those who share the page share its bytes."""
    found = page.encoded.get(_SHARED)
    if found is None:
        message: Any = page.message
        name = b"event: end\n" if message.ended else b""
        # JSON is written on one line, so that one field holds it.
        found = b"id: %s\n%sdata: %s\n\n" % (
            message.next_cursor.encode(),
            name,
            to_json_bytes(page.message),
        )
        page.encoded[_SHARED] = found
    return found

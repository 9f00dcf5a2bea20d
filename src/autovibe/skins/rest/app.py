"""The REST skin as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from autovibe.kernel.errors import AutovibeError
from autovibe.operations import Authenticate, Operations
from autovibe.skins.rest.browser import add_browser_routes
from autovibe.skins.rest.examples import add_examples
from autovibe.skins.rest.guard import Guard
from autovibe.skins.rest.limits import RateLimit
from autovibe.skins.rest.page import docs_page
from autovibe.skins.rest.problems import (
    Problem,
    on_error,
    on_http_exception,
    on_invalid_request,
)
from autovibe.skins.rest.routes import add_routes, performed_by
from autovibe.skins.rest.streams import add_streams
from autovibe.v1 import options_pb2

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def build_app(
    operations: Operations,
    authenticate: Authenticate,
    *,
    allowed_hosts: Collection[str],
    allowed_origins: Collection[str] = (),
    rate_limit: RateLimit | None = None,
    metrics: Callable[[], bytes] | None = None,
) -> FastAPI:
    """Return the application that serves the operations for people under /api/v1.

    Args:
        operations: what runs the calls.
        authenticate: from a token to an actor.
        allowed_hosts: Host headers that are answered, with port (see `guard.local_hosts`).
        allowed_origins: sites whose pages may call.
        rate_limit: how often one token may call.
        metrics: what `/metrics` answers with, in the text format of Prometheus.
    """
    app = FastAPI(
        title="autovibe",
        version=version("autovibe"),
        description="A self-hosted control plane for fleets of coding agents.",
        docs_url=None,  # its page loads scripts from another site; ours needs none
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app)
    app.add_middleware(
        Guard,
        authenticate=authenticate,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        anonymous=_anonymous(operations),
        rate_limit=rate_limit,
    )
    add_routes(
        app,
        [
            operation.method
            for operation in operations.registry
            if operation.method.operation.audience == options_pb2.AUDIENCE_PEOPLE
        ],
        performed_by(operations),
    )
    add_streams(app, operations)
    add_browser_routes(app, operations)
    _add_pages(app, metrics)
    return app


def _add_pages(app: FastAPI, metrics: Callable[[], bytes] | None) -> None:
    # Made when first asked for: a server need not wait for its own description to start.
    @cache
    def document() -> dict[str, Any]:
        return openapi_document(app)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document())

    async def docs(_request: Request) -> Response:
        return HTMLResponse(
            docs_page(document()),
            headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def metrics_page(_request: Request) -> Response:
        return Response(metrics() if metrics else b"", media_type=_METRICS_TYPE)

    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route("/metrics", metrics_page, include_in_schema=False)
    app.add_route("/healthz", healthz, include_in_schema=False)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error be answered as a problem document."""
    app.add_exception_handler(AutovibeError, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_error)


def _anonymous(operations: Operations) -> set[tuple[str, str]]:
    """Return verbs and paths of what is called without a token; none of them has a variable."""
    return {
        (operation.method.http.verb, operation.method.http.template)
        for operation in operations.registry
        if operation.is_anonymous and operation.method.http is not None
    }


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the routes, with the problem schema and the bearer token."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(mode="serialization")
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for verbs in document["paths"].values():
        for operation in verbs.values():
            if "requestBody" in operation:
                # An empty body with the right content type passes for {}; the type is needed.
                operation["requestBody"]["required"] = True
    add_examples(document)
    return document

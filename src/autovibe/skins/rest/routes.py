"""One route per operation, made from its descriptor."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import unquote

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.routing import APIRoute
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.kernel.protojson import from_json, to_json_bytes
from autovibe.operations import Operations, error_classes
from autovibe.sdk.contract import HttpRule, Method, rule_of
from autovibe.skins.errors import NotJsonError
from autovibe.skins.rest.comments import comment
from autovibe.skins.rest.conditions import idempotency_key_of, take_if_match, with_etag
from autovibe.skins.rest.downloads import download, is_download, shown
from autovibe.skins.rest.guard import ACTOR, address_of
from autovibe.skins.rest.models import Models, query_annotation, query_schema, rule_schema
from autovibe.skins.rest.problems import MEDIA_TYPE, request_id_of, status_of

COMMON_REASONS: Final = (
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "HOST_NOT_ALLOWED",
    "ORIGIN_NOT_ALLOWED",
    "INTERNAL",
    "DATABASE_UNAVAILABLE",
    "RATE_LIMITED",
)
_OF_CHANGES: Final = (
    "CONTENT_TYPE_NOT_JSON",
    "REQUEST_TOO_LARGE",
    "IDEMPOTENCY_KEY_REUSED",
    "CSRF_TOKEN_MISSING",
)
_UNEXPECTED: Final = "Something unexpected happened; the log has it under the request id."
_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

_BODILESS: Final = frozenset({"GET", "DELETE"})
"""Verbs without a body. A page of another site must ask first before it sends DELETE."""

Endpoint = Callable[..., Awaitable[Response]]


class _NoVerb(Convertor[str]):
    """A segment that holds no colon: what stands behind one is the verb of another route."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("noverb", _NoVerb())


class JsonRoute(APIRoute):
    """A route that takes changes as JSON only, and says so before it reads a byte of them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method not in _BODILESS:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "application/json":
                    raise NotJsonError("Set the header content-type to application/json.")
            return await handle(request)

        return checked


Perform = Callable[[Method, Message, Request], Awaitable[Message]]
"""Runs what a request asks for, in the name of who sent it."""


def performed_by(operations: Operations) -> Perform:
    """Return what runs the calls of people."""

    async def perform(method: Method, message: Message, request: Request) -> Message:
        ctx = replace(
            operations.context(request.scope[ACTOR]),
            request_id=request_id_of(request),
            address=address_of(request.scope),
            idempotency_key=idempotency_key_of(request),
        )
        return await operations.invoke(method.name, message, ctx)

    return perform


def add_routes(app: FastAPI, offered: Iterable[Method], perform: Perform) -> None:
    """Add a route for every method that is offered."""
    app.router.route_class = JsonRoute
    offered = list(offered)
    models = Models([method.descriptor.input_type for method in offered])
    for method in offered:
        http = method.http
        if http is None:
            msg = f"{method.name} has no google.api.http option"
            raise ValueError(msg)
        text = comment(method.descriptor.full_name)
        app.add_api_route(
            path_of(method, http),
            _endpoint(perform, method, http, models),
            methods=[http.verb],
            response_model=models.model(method.descriptor.output_type),
            response_description="Done.",
            operation_id=method.descriptor.name,
            name=method.attribute,
            summary=text.partition(":")[0].partition(".")[0].partition(";")[0],
            description=f"{text}\n\n{_needs(method)}",
            tags=[method.service.rsplit(".", 1)[1].removesuffix("Service").lower()],
            responses=error_responses(method, http),
            openapi_extra={"security": []} if method.operation.anonymous else None,
        )


def _needs(method: Method) -> str:
    if method.operation.anonymous:
        return "Needs no token."
    return f"Needs the permission `{method.operation.permission}`."


def path_of(method: Method, http: HttpRule) -> str:
    """Return the path of a route: an id and a verb behind it are never taken for one id."""
    path = http.template
    for name in http.variables:
        rule = rule_of(method.descriptor.input_type.fields_by_name[name])
        if rule.format or rule.pattern:  # neither allows a colon; names of projects may hold one
            path = path.replace(f"{{{name}}}", f"{{{name}:noverb}}")
    return path


def _endpoint(perform: Perform, method: Method, http: HttpRule, models: Models) -> Endpoint:
    fields = [f for f in method.descriptor.input_type.fields if f.name not in http.variables]
    single = frozenset(f.name for f in fields if not http.has_body and not f.is_repeated)
    known = frozenset(() if http.has_body else (f.name for f in fields))

    async def endpoint(request: Request, **given: Any) -> Response:
        check_query(request, known, single)
        message = method.request_type()
        from_json(_data(given, known), message)
        fill_from_path(message, request, http)
        take_if_match(request, message)
        response = await perform(method, message, request)
        file = download(request, response)
        return file or with_etag(request, response, to_json_bytes(response))

    parameters = [request_parameter()]
    parameters += [path_parameter(method, name) for name in http.variables]
    if http.has_body:
        body = models.model(method.descriptor.input_type, http.variables)
        parameters.append(_body_parameter(body, fields))
    else:
        parameters += [query_parameter(field) for field in fields]
    # FastAPI reads a function's signature; this one is known only now.
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # any function may have one
    return endpoint


def _data(given: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    body = given.get("body")
    if isinstance(body, BaseModel):
        return body.model_dump(exclude_unset=True)
    return {name: given[name] for name in known if given.get(name) is not None}


def fill_from_path(message: Message, request: Request, http: HttpRule) -> None:
    """Put the variables of the path into a request.

    Raises:
        InvalidArgumentError: one of them is not valid UTF-8.
    """
    for name in http.variables:
        try:
            value = unquote(request.path_params[name], errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgumentError(f"{name} is not valid UTF-8.", field=name) from None
        setattr(message, name, value)


def check_query(request: Request, known: frozenset[str], single: frozenset[str]) -> None:
    """Refuse a query that holds something else than a request does.

    Raises:
        InvalidArgumentError: it does.
    """
    for name in request.query_params:
        if name not in known:
            raise InvalidArgumentError(f"{name[:100]} is not known; leave it out.", field=name)
        if name in single and len(request.query_params.getlist(name)) > 1:
            raise InvalidArgumentError(f"{name} may be given once only.", field=name)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> Any:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def request_parameter() -> Any:
    """Return the parameter that takes the request itself."""
    return _parameter("request", Request)


def path_parameter(method: Method, name: str) -> Any:
    """Return the parameter of a variable in the path."""
    field = method.descriptor.input_type.fields_by_name[name]
    shown = Path(description=_described(field), json_schema_extra=rule_schema(field))
    return _parameter(name, Annotated[str, shown])


def query_parameter(field: FieldDescriptor) -> Any:
    """Return the parameter of a field in the query."""
    shown = Query(description=_described(field), json_schema_extra=query_schema(field))
    annotation = Annotated[query_annotation(field), shown]
    default: Any = [] if field.is_repeated else None
    if rule_of(field).required:
        default = inspect.Parameter.empty
    return _parameter(field.name, annotation, default)


def _body_parameter(body: type[BaseModel], fields: list[FieldDescriptor]) -> Any:
    required = any(rule_of(field).required for field in fields)
    return _parameter(
        "body", Annotated[body, Body()], inspect.Parameter.empty if required else None
    )


def _described(field: FieldDescriptor) -> str | None:
    return comment(field.full_name) or None


def error_responses(method: Method, http: HttpRule) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an operation by status, with the reasons of each."""
    classes = error_classes()
    by_status: dict[int, list[str]] = {}
    changes = _OF_CHANGES if http.verb != "GET" else ()
    for reason in dict.fromkeys((*method.operation.errors, *COMMON_REASONS, *changes)):
        kind = classes.get(reason)
        if kind is not None:
            meaning = _UNEXPECTED if kind is AutovibeError else _first_line(kind.__doc__)
            by_status.setdefault(status_of(kind, kind.code), []).append(f"- `{reason}`: {meaning}")
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": _reasons(status, lines), "content": _PROBLEM}
        for status, lines in sorted(by_status.items())
    }
    if is_download(method.response_type):
        answers[HTTPStatus.OK.value] = {"content": shown()}
    return answers | {"default": {"description": "Another error.", "content": _PROBLEM}}


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def _reasons(status: int, lines: list[str]) -> str:
    return "\n".join([f"{HTTPStatus(status).phrase}:", "", *lines])

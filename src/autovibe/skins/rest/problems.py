"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from autovibe.domains.etags import EtagMismatchError
from autovibe.kernel.errors import (
    HTTP_STATUS,
    AutovibeError,
    Code,
    InvalidArgumentError,
    NotFoundError,
)
from autovibe.skins.errors import MethodNotAllowedError, NotJsonError, RequestTooLargeError

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "autovibe.request_id"
"""Key of the request id in the ASGI scope."""

_SENTENCES: Final = {
    "missing": "must be given",
    "extra_forbidden": "is not known",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
# Errors of HTTP itself have statuses of their own.
_OWN_STATUS: Final[dict[type[AutovibeError], int]] = {
    MethodNotAllowedError: 405,
    EtagMismatchError: 412,
    RequestTooLargeError: 413,
    NotJsonError: 415,
}
_MISPLACED: Final = {"body", "query", "path"}
_SHOWN: Final = 20


class Problem(BaseModel):
    """What went wrong, for programs (`reason`, `params`) and for people (`detail`)."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str = Field(
        default="about:blank", description="Always about:blank: the reason says the kind."
    )
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One sentence that says what to do next.")
    code: str = Field(description="The canonical code, such as NOT_FOUND.")
    reason: str = Field(description="The kind of error, permanent, such as PROJECT_NOT_FOUND.")
    params: dict[str, str | int | bool | None] = Field(
        default_factory=dict, description="The values that the sentence speaks of."
    )
    request_id: str = Field(description="The id under which the server's log has this request.")


def status_of(kind: type[AutovibeError], code: Code) -> int:
    """Return the HTTP status of an error: that of its code, or its own if HTTP has a better one."""
    return _OWN_STATUS.get(kind, HTTP_STATUS[code])


def problem_of(error: AutovibeError, request_id: str) -> Problem:
    """Return what is told of an error."""
    status = status_of(type(error), error.code)
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        reason=error.reason,
        params=error.params,
        request_id=request_id,
    )


def problem_response(error: AutovibeError, request_id: str) -> Response:
    """Return an error as a response."""
    problem = problem_of(error, request_id)
    status = problem.status
    headers = {"x-request-id": request_id}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    retry_after_s = error.params.get("retry_after_s")
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    return Response(
        json.dumps(problem.model_dump(), ensure_ascii=True).encode(),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours, or of anything unexpected outside of `invoke()`."""
    request_id = request_id_of(request)
    if not isinstance(error, AutovibeError):
        error = AutovibeError(
            f"Something went wrong inside autovibe; its log tells more under request {request_id}.",
            request_id=request_id,
        )
    return problem_response(error, request_id)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found wrong with the shape of a request."""
    assert isinstance(error, RequestValidationError)
    return problem_response(_invalid(error.errors()), request_id_of(request))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    ours: AutovibeError
    if error.status_code == HTTPStatus.NOT_FOUND:
        ours = NotFoundError(f"There is nothing at {path}; see /docs.", path=path)
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        ours = MethodNotAllowedError(
            f"{path} does not take {request.method}; see /docs.", path=path, method=request.method
        )
    elif error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        ours = RequestTooLargeError(str(error.detail))
    else:
        ours = InvalidArgumentError(f"The request cannot be read: {error.detail}.")
    response = problem_response(ours, request_id_of(request))
    response.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["allow"] = ", ".join(_methods_of(request))
    return response


def _methods_of(request: Request) -> list[str]:
    """Return the methods that a path takes; the framework names those of its first route only."""
    routes = [route for route in request.app.routes if isinstance(route, Route | APIRoute)]
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods or ()})


def request_id_of(request: Request) -> str:
    """Return the id that the guard gave to a request."""
    return str(request.scope.get(REQUEST_ID, ""))


def _invalid(errors: Iterable[Any]) -> InvalidArgumentError:
    found: dict[str, str] = {}
    for error in errors:
        if error["type"] == "json_invalid":
            return InvalidArgumentError("The body is not valid JSON; correct it.", field="body")
        found.setdefault(_path(error["loc"]), _predicate(error))
    parts = [f"{path} {predicate}" for path, predicate in list(found.items())[:_SHOWN]]
    left = len(found) - len(parts)
    sentence = "; ".join([*parts, *([f"and {left} more"] if left > 0 else [])])
    return InvalidArgumentError(f"{sentence}.", field=next(iter(found)))


def _predicate(error: Any) -> str:
    if error["type"] == "value_error":  # raised by our own checks: already a predicate
        return str(error["ctx"]["error"])
    sentence = _SENTENCES.get(error["type"])
    if sentence is not None:
        return sentence
    message = str(error["msg"])
    return f"is not valid ({message[:1].lower()}{message[1:]})"


def _path(location: tuple[str | int, ...]) -> str:
    """Return `context.agent_args[0]` for ("body", "context", "agent_args", 0)."""
    parts = location[1:] if location and location[0] in _MISPLACED else location
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or str(location[0])

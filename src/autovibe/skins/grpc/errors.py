"""Errors as gRPC statuses."""

from __future__ import annotations

import json
import logging
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from autovibe.kernel.errors import AutovibeError, Code

_logger = logging.getLogger(__name__)

DOMAIN: Final = "autovibe"
# A client refuses an answer whose metadata is above 8 KiB, unless it was told otherwise; message
# and parameters are in it twice.
_LONGEST_PARAMS: Final = 1024
_LONGEST_MESSAGE: Final = 2048
_PERCENT: Final = 0x25


def status_code(code: Code) -> grpc.StatusCode:
    """Return the status of a code: they have the same names."""
    return grpc.StatusCode[code.value]


async def abort(
    context: grpc.aio.ServicerContext[Any, Any], error: AutovibeError, request_id: str
) -> NoReturn:
    """End a call with an error."""
    await context.abort(
        status_code(error.code), shortened(error.message), trailing_metadata(error, request_id)
    )
    raise AssertionError("unreachable: abort raises")


def unexpected(what: str, request_id: str, cause: Exception) -> AutovibeError:
    """Log what nobody expected; return what a caller may know of it."""
    _logger.error("request %s: %s failed", request_id, what, exc_info=cause)
    return AutovibeError(
        f"Something went wrong inside autovibe; its log tells more under request {request_id}.",
        request_id=request_id,
    )


def trailing_metadata(error: AutovibeError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Return what a client needs to raise the same error again.

    `autovibe-params` is JSON; parameters too long for metadata are left out. The same stands in
    `grpc-status-details-bin` as `google.rpc.ErrorInfo`, for clients that know no autovibe.
    """
    params = json.dumps(error.params)
    if len(params) > _LONGEST_PARAMS:
        params = "{}"
    details = any_pb2.Any()
    details.Pack(
        error_details_pb2.ErrorInfo(
            reason=error.reason,
            domain=DOMAIN,
            metadata={name: _unicode(str(value)) for name, value in json.loads(params).items()},
        )
    )
    status = status_pb2.Status(
        code=status_code(error.code).value[0], message=shortened(error.message), details=[details]
    )
    return (
        ("autovibe-reason", error.reason),
        ("autovibe-params", params),
        ("autovibe-request-id", request_id),
        ("grpc-status-details-bin", status.SerializeToString()),
    )


def shortened(message: str) -> str:
    """Return a message that fits into a trailer, in which most bytes that are not ASCII take 3."""
    message = _unicode(message)
    length = 0
    for at, char in enumerate(message):
        length += sum(
            1 if 0x20 <= byte <= 0x7E and byte != _PERCENT else 3 for byte in char.encode()
        )
        if length > _LONGEST_MESSAGE:
            return f"{message[:at]}…"
    return message


def _unicode(text: str) -> str:
    """Return text in which bytes of file names that are no UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()

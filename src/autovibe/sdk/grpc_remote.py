"""The remote twin over gRPC, for our own processes: every operation, internal ones too."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.contract import Method
from autovibe.sdk.failures import remote_error, unreachable
from autovibe.sdk.services import Call, Services, build_services

TLS_NAME: Final = "autovibe"
"""The name in the certificates of servers, which are known by their fingerprint."""
_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.enable_http_proxy", 0),  # a token is not shown to whoever http_proxy names
)


@contextlib.asynccontextmanager
async def connect_grpc(
    target: str,
    token: str,
    *,
    timeout_s: float | None = None,
    certificate: bytes | None = None,
) -> AsyncGenerator[Services]:
    """Open the services of a server. Nothing is sent before the first call.

    Args:
        target: such as `127.0.0.1:8421`.
        token: sent with every call.
        timeout_s: deadline of each call; the server ends the call when it passes.
        certificate: the one certificate (PEM) that the server may show; without it nothing is
            encrypted.
    """
    async with _channel(target, certificate) as channel:
        metadata = (("authorization", f"Bearer {token}"),)

        def call_of(method: Method) -> Call:
            stub = channel.unary_unary(
                f"/{method.name}",
                request_serializer=_serialized,
                response_deserializer=method.response_type.FromString,
            )

            async def call(request: Message, /) -> Message:
                try:
                    return await stub(request, metadata=metadata, timeout=timeout_s)
                except grpc.aio.AioRpcError as error:
                    raise _error(target, error) from error

            return call

        yield build_services(call_of)


def _channel(target: str, certificate: bytes | None) -> grpc.aio.Channel:
    if certificate is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    # Whatever address it is reached by: the certificate itself says which server it is.
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", TLS_NAME))
    return grpc.aio.secure_channel(
        target, grpc.ssl_channel_credentials(certificate), options=options
    )


def _serialized(request: Message) -> bytes:
    return request.SerializeToString()


def _error(target: str, error: grpc.aio.AioRpcError) -> AutovibeError:
    trailers: dict[str, str | bytes] = dict(error.trailing_metadata() or ())
    reason = trailers.get("autovibe-reason")
    if reason is None and error.code() == grpc.StatusCode.UNAVAILABLE:
        return unreachable(target, error.details() or "no connection")
    return remote_error(error.code().name, reason, error.details(), _params(trailers))


def _params(trailers: dict[str, str | bytes]) -> dict[str, Any]:
    try:
        params: object = json.loads(trailers.get("autovibe-params", "{}"))
    except ValueError:
        return {}
    return cast("dict[str, Any]", params) if isinstance(params, dict) else {}

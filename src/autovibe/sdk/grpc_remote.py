"""The remote twin over gRPC, for our own processes: every operation, internal ones too."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from autovibe.kernel.errors import AutovibeError, Code, InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.sdk.contract import Method
from autovibe.sdk.failures import remote_error, unreachable
from autovibe.sdk.services import Call, Services, Stream, build_services
from autovibe.v1 import options_pb2

TLS_NAME: Final = "autovibe"
"""The name in the certificates of servers, which are known by their fingerprint."""
_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.enable_http_proxy", 0),  # a token is not shown to whoever http_proxy names
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


@dataclass(frozen=True)
class Patience:
    """How calls outlast a server that is away for a while, as when it is started again.

    A call whose repeat changes nothing is made again; any other that is recorded has an idempotency
    key, so that it is done once, whatever became of its first answer. Claims are left to their
    caller.
    """

    wait_s: float
    """How long a call goes on, in seconds."""
    fresh_token: Callable[[], str] = lambda: ""
    """The token that serves now, after the first one was refused; "" when there is no other."""


@contextlib.asynccontextmanager
async def connect_grpc(
    target: str,
    token: str,
    *,
    timeout_s: float | None = None,
    certificate: bytes | None = None,
    patience: Patience | None = None,
) -> AsyncGenerator[Services]:
    """Open the services of a server. Nothing is sent before the first call.

    Args:
        target: such as `127.0.0.1:8421`.
        token: sent with every call.
        timeout_s: deadline of each call; the server ends the call when it passes.
        certificate: the one certificate (PEM) that the server may show; without it nothing is
            encrypted.
        patience: with a server that is away; without it such a call fails at once.

    Raises:
        InvalidArgumentError: there is no certificate, and the server is not on this host.
    """
    async with _channel(target, certificate) as channel:
        caller = _Caller(target, token, timeout_s, patience)

        def call_of(method: Method) -> Call:
            stub = channel.unary_unary(
                f"/{method.name}",
                request_serializer=_serialized,
                response_deserializer=method.response_type.FromString,
            )

            async def call(request: Message, /) -> Message:
                return await caller.call(method, stub, request)

            return call

        def stream_of(method: Method) -> Stream:
            stub = channel.unary_stream(
                f"/{method.name}",
                request_serializer=_serialized,
                response_deserializer=method.response_type.FromString,
            )

            async def stream(request: Message, /) -> AsyncGenerator[Message]:
                metadata = (("authorization", f"Bearer {caller.token}"),)
                pages = stub(request, metadata=metadata)
                try:
                    async for page in pages:
                        yield page
                except grpc.aio.AioRpcError as error:
                    raise _error(target, error) from error
                finally:
                    pages.cancel()

            return stream

        yield build_services(call_of, stream_of)


@dataclass
class _Caller:
    """Makes the calls of one connection."""

    target: str
    token: str
    timeout_s: float | None
    patience: Patience | None

    async def call(self, method: Method, stub: Any, request: Message) -> Message:
        """Make a call, and again as long as there is patience and it does no harm."""
        may_repeat, key = _repeats(method) if self.patience is not None else (False, "")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.patience.wait_s if self.patience is not None else 0.0)
        pause_s = _FIRST_PAUSE_S
        while True:
            token = self.token
            try:
                return await self._once(stub, request, token, key)
            except AutovibeError as error:
                refused = error.code is Code.UNAUTHENTICATED and self._renewed(token)
                if not refused:
                    away = error.code is Code.UNAVAILABLE and may_repeat
                    if not away or loop.time() + pause_s > deadline:
                        raise
                    # Those that lost the same server do not all come back at once.
                    await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - spreads calls
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _once(self, stub: Any, request: Message, token: str, key: str) -> Message:
        metadata = (("authorization", f"Bearer {token}"),)
        if key:
            metadata += (("idempotency-key", key),)
        try:
            return await stub(request, metadata=metadata, timeout=self.timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _error(self.target, error) from error

    def _renewed(self, refused: str) -> bool:
        """Return whether there is another token than the one that was refused."""
        if self.token == refused and self.patience is not None:
            self.token = self.patience.fresh_token() or refused
        return self.token != refused


def _repeats(method: Method) -> tuple[bool, str]:
    """Return whether a call may be made again, and the key that it needs for it."""
    told = method.operation
    if told.idempotent or told.kind == options_pb2.OPERATION_KIND_READ:
        return True, ""
    if told.unaudited or told.answers_once:
        return False, ""
    return True, str(new_id())


def _channel(target: str, certificate: bytes | None) -> grpc.aio.Channel:
    if certificate is None:
        if not _is_loopback(target):
            raise InvalidArgumentError(
                f"What is sent to {target} would not be encrypted; give the server's certificate.",
                field="server",
            )
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    # Whatever address it is reached by: the certificate itself says which server it is.
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", TLS_NAME))
    return grpc.aio.secure_channel(
        target, grpc.ssl_channel_credentials(certificate), options=options
    )


def _is_loopback(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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

"""The scripted model server: providers' APIs on the loopback that answer from a script.

It speaks Anthropic Messages, OpenAI Chat Completions and Responses, and Gemini.

It stands in for a real provider in tests, benchmarks and the demo, where a real agent program
talks to it through the gateway. It keeps its own bill, to compare a ledger against.

    python -m autovibe.testing.model_server --script demo --port 0 --print-url
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web
from multidict import CIMultiDict

from autovibe.agents.json_shape import as_object
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.testing import messages_wire as wire
from autovibe.testing.conversation import (
    ModelRequest,
    conversation_key,
    position,
    turn_for,
    validate,
    validate_count,
)
from autovibe.testing.gemini_wire import PATH as GEMINI_PATH
from autovibe.testing.gemini_wire import GeminiWire
from autovibe.testing.openai_wire import ChatWire, ResponsesWire
from autovibe.testing.scripts import Fault, Script, Turn, find_script
from autovibe.testing.wires import MessagesWire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime
    from types import TracebackType

    from autovibe.testing.wires import Wire

HOST: Final = "127.0.0.1"
DEFAULT_API_KEY: Final = "scripted-model-key"
"""Opens nothing but this server, which listens on the loopback only."""
MODELS: Final = ("claude-sonnet-5-5", "claude-sonnet-4-5", "claude-opus-5-5", "claude-haiku-4-5")
_MESSAGES: Final = MessagesWire()
_WIRES: Final[dict[str, Wire]] = {
    "/v1/messages": _MESSAGES,
    "/v1/chat/completions": ChatWire(),
    "/v1/responses": ResponsesWire(),
}
_GEMINI: Final = GeminiWire()
_MAX_BODY: Final = 32 * 1024 * 1024


@dataclass
class RecordedRequest:
    """A request as it arrived, refused ones included.

    `path` has no query. `body` is `None` when there was none or it was no JSON. `turn` is the
    index of the turn that answered it.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any
    size_bytes: int
    time: datetime
    request_id: str
    turn: int | None = None


class ModelServer:
    """The server, running inside `async with`; one instance may serve many agents at once.

    `script` may also be a function that chooses one by the request, for several kinds of agents or
    for sub-agents. `chunk_bytes` re-cuts streamed answers into writes of this size, which then end
    in the middle of events, lines and characters. `strict` refuses what the real provider refuses.
    """

    def __init__(
        self,
        script: Script | Callable[[ModelRequest], Script],
        *,
        api_key: str = DEFAULT_API_KEY,
        port: int = 0,
        default_cwd: str = "/workspace",
        chunk_bytes: int | None = None,
        strict: bool = True,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Configure a server; port 0 takes any free one, `sleep` makes the delays of faults."""
        self.requests: list[RecordedRequest] = []
        self.billed: list[wire.Bill] = []
        self.api_key = api_key
        self.script = script
        self._port = port
        self._default_cwd = default_cwd
        self._chunk_bytes = chunk_bytes
        self._strict = strict
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._started = ""
        self._faults: Counter[str] = Counter()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without `/v1` and without a trailing slash."""
        return f"http://{HOST}:{self._port}"

    def calls(self) -> list[RecordedRequest]:
        """Return the recorded requests that call a model, in order."""
        return [request for request in self.requests if _calls_model(request.path)]

    async def __aenter__(self) -> Self:
        """Start to listen on the loopback."""
        app = web.Application(client_max_size=_MAX_BODY)
        for path in _WIRES:
            app.router.add_post(path, self._call)
        model = "/v1beta/models/{model:[^/:]+}"
        app.router.add_post(f"{model}:generateContent", self._call)
        app.router.add_post(f"{model}:streamGenerateContent", self._call)
        app.router.add_post(f"{model}:countTokens", self._gemini_count)
        app.router.add_get("/v1beta/models", self._gemini_models)
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/", self._hello)
        app.router.add_get("/api/hello", self._hello)
        app.router.add_route("*", "/{rest:.*}", self._unknown)
        # Cancelled handlers: an answer that hangs must not outlive the client that waited for it.
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            shutdown_timeout=1,
            access_log=None,
            handle_signals=False,
        )
        await runner.setup()
        site = web.TCPSite(runner, HOST, self._port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._port = site.port
        self._runner = runner
        self._started = f"{self._clock.now().timestamp():.6f}:{self._port}"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop every connection and stop to listen."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Recording and refusing

    async def _record(self, request: web.Request) -> tuple[RecordedRequest, web.Response | None]:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except (ValueError, RecursionError):
            body = None
        digest = hashlib.sha256(f"{self._started}:{len(self.requests)}".encode()).hexdigest()
        recorded = RecordedRequest(
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=CIMultiDict(request.headers),
            body=body,
            size_bytes=len(raw),
            time=self._clock.now(),
            request_id=f"req_{digest[:24]}",
        )
        self.requests.append(recorded)
        return recorded, self._refusal(request, recorded)

    def _refusal(self, request: web.Request, recorded: RecordedRequest) -> web.Response | None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("x-api-key") or bearer
        given = request.headers.get("x-goog-api-key") or given
        if not hmac.compare_digest(given.encode(), self.api_key.encode()):
            return _failure(recorded, 401, "authentication_error", "invalid x-api-key")
        # The list of models is OpenAI's too, whose clients send a bearer token.
        shared = recorded.path == "/v1/models" and bearer == self.api_key
        needs_version = self._strict and _wire(recorded.path) is _MESSAGES and not shared
        if needs_version and not request.headers.get("anthropic-version"):
            message = "anthropic-version: header is required"
            return _failure(recorded, 400, "invalid_request_error", message)
        if request.method == "POST" and not as_object(recorded.body):
            message = "The request body is not valid JSON"
            return _failure(recorded, 400, "invalid_request_error", message)
        return None

    def _model_request(self, recorded: RecordedRequest) -> ModelRequest:
        body = _wire(recorded.path).request(as_object(recorded.body), recorded.path)
        return ModelRequest(body, recorded.headers, recorded.size_bytes, self._default_cwd)

    # Endpoints beside the main one

    async def _hello(self, request: web.Request) -> web.Response:
        recorded, _ = await self._record(request)
        return web.json_response({"message": "hello"}, headers=_headers(recorded))

    async def _unknown(self, request: web.Request) -> web.Response:
        recorded, refusal = await self._record(request)
        return refusal or _failure(recorded, 404, "not_found_error", "Not found")

    async def _models(self, request: web.Request) -> web.Response:
        recorded, refusal = await self._record(request)
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
            }
            for name in MODELS
        ]
        page = {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
        return refusal or web.json_response(page, headers=_headers(recorded))

    async def _count_tokens(self, request: web.Request) -> web.Response:
        recorded, refusal = await self._record(request)
        model_request = self._model_request(recorded)
        wrong = validate_count(model_request) if self._strict else None
        if refusal is None and wrong is not None:
            return _failure(recorded, 400, "invalid_request_error", wrong)
        count = {"input_tokens": model_request.estimated_tokens}
        return refusal or web.json_response(count, headers=_headers(recorded))

    async def _gemini_models(self, request: web.Request) -> web.Response:
        recorded, refusal = await self._record(request)
        models = [{"name": "models/gemini-2.5-flash", "version": "001"}]
        return refusal or web.json_response({"models": models}, headers=_headers(recorded))

    async def _gemini_count(self, request: web.Request) -> web.Response:
        recorded, refusal = await self._record(request)
        count = {"totalTokens": self._model_request(recorded).estimated_tokens}
        return refusal or web.json_response(count, headers=_headers(recorded))

    # The main ones

    async def _call(self, request: web.Request) -> web.StreamResponse:
        recorded, refusal = await self._record(request)
        shape = _wire(recorded.path)
        model_request = self._model_request(recorded)
        wrong = validate(model_request) if self._strict else None
        if refusal is not None:
            return refusal
        if wrong is not None:
            return _failure(recorded, 400, "invalid_request_error", wrong)
        script = self.script if isinstance(self.script, Script) else self.script(model_request)
        index = position(script, model_request)
        turn = turn_for(script, index, model_request)
        recorded.turn = index
        fault = self._fault(turn, index, model_request)
        turn = Turn(turn.blocks, turn.usage, fault, turn.stop_reason)
        if fault.first_byte_delay_s:
            await self._sleep(fault.first_byte_delay_s)
        if fault.status is not None:
            body = fault.body or shape.error(
                fault.status, fault.error_type, fault.message, recorded.request_id
            )
            return web.json_response(body, status=fault.status, headers=_headers(recorded, fault))
        owed = wire.bill(turn, index, model_request, recorded.request_id)
        composed = wire.answer(turn, owed, model_request, recorded.request_id.removeprefix("req_"))
        self.billed.append(owed)
        if fault.hang_after_events == 0:
            await self._closing.wait()
            _abort(request)
        if model_request.stream:
            events = shape.events(composed, owed, as_object(recorded.body))
            return await self._stream(request, recorded, events, fault)
        if fault.cut_after_events is not None:
            _abort(request)
        return web.json_response(shape.whole(composed, owed), headers=_headers(recorded, fault))

    def _fault(self, turn: Turn, index: int, request: ModelRequest) -> Fault:
        """Return the fault of this answer; one without effect when its times are used up."""
        if turn.fault is None or turn.fault.times is None:
            return turn.fault or Fault()
        key = conversation_key(request, index)
        self._faults[key] += 1
        return turn.fault if self._faults[key] <= turn.fault.times else Fault()

    async def _stream(
        self,
        request: web.Request,
        recorded: RecordedRequest,
        events: Iterable[bytes],
        fault: Fault,
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers | _headers(recorded, fault))
        await response.prepare(request)
        for number, event in enumerate(events):
            if number == fault.cut_after_events:
                _abort(request)
                return response
            if number == fault.hang_after_events:
                await self._closing.wait()
                _abort(request)
                return response
            if number and fault.event_delay_s:
                await self._sleep(fault.event_delay_s)
            await _write(response.write, event, self._chunk_bytes)
        await response.write_eof()
        return response


def _wire(path: str) -> Wire:
    return _GEMINI if path.startswith("/v1beta/") else _WIRES.get(path, _MESSAGES)


def _calls_model(path: str) -> bool:
    found = GEMINI_PATH.fullmatch(path)
    return path in _WIRES or (found is not None and found[2] != "countTokens")


async def _write(
    write: Callable[[bytes], Awaitable[None]], event: bytes, chunk_bytes: int | None
) -> None:
    size = chunk_bytes or len(event)
    for start in range(0, len(event), size):
        await write(event[start : start + size])


def _abort(request: web.Request) -> None:
    """Reset the connection, as a provider that crashes does."""
    if request.transport is not None:
        request.transport.abort()


def _headers(recorded: RecordedRequest, fault: Fault | None = None) -> dict[str, str]:
    extra = fault.headers if fault else {}
    return {"request-id": recorded.request_id, "x-request-id": recorded.request_id, **extra}


def _failure(recorded: RecordedRequest, status: int, kind: str, message: str) -> web.Response:
    body = _wire(recorded.path).error(status, kind, message, recorded.request_id)
    return web.json_response(body, status=status, headers=_headers(recorded))


async def serve(script: Script, *, port: int, api_key: str, print_url: bool) -> None:
    """Serve a script until SIGTERM or SIGINT.

    Raises:
        OSError: the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ModelServer(script, api_key=api_key, port=port) as server:
        if print_url:
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the server from a command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autovibe.testing.model_server",
        description="Answer model calls on the loopback from a script.",
        epilog="Example: python -m autovibe.testing.model_server --script steps:20 --print-url",
    )
    parser.add_argument("--script", default="demo", help="demo, plain_text, steps:N or FILE.json")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--host", choices=[HOST], default=HOST, help="the loopback only")
    parser.add_argument(
        "--print-url", action="store_true", help="print the base URL once it serves"
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("AUTOVIBE_MODEL_SERVER_KEY", DEFAULT_API_KEY),
        help="the key that callers must send (also AUTOVIBE_MODEL_SERVER_KEY)",
    )
    chosen = parser.parse_args(arguments)
    try:
        script = find_script(chosen.script)
    except AutovibeError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return exc.exit_status
    try:
        asyncio.run(
            serve(script, port=chosen.port, api_key=chosen.api_key, print_url=chosen.print_url)
        )
    except (OSError, OverflowError) as exc:
        sys.stderr.write(f"Port {chosen.port} cannot be used ({exc}); choose another or 0.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

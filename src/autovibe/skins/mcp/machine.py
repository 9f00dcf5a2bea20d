"""What an agent asks of us over MCP, on its machine's own listener: leave, and people.

Streamable HTTP without sessions, written out by hand: four methods are all that agents use, and a
call may last for days. Its answer is a stream that says every few seconds that it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from autovibe.domains.machines.asking import Asking, Verdict
from autovibe.kernel.errors import AutovibeError

PATH: Final = "/agent/mcp"
APPROVE: Final = "approve"
ASK: Final = "ask"
SAY: Final = "say"
READ: Final = "read_messages"
_ALIVE_S: Final = 15.0
_LONGEST_BODY: Final = 32 * 1024 * 1024
_VERSION: Final = "2025-06-18"
_PARSE_ERROR: Final = -32700
_NO_METHOD: Final = -32601
_BAD_PARAMS: Final = -32602

_TOOLS: Final[list[dict[str, Any]]] = [
    {
        "name": APPROVE,
        "description": "Decides whether a tool may be used. Called by the agent program itself.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "tool_name": {"type": "string"},
                "input": {"type": "object"},
                "tool_use_id": {"type": "string"},
            },
            "required": ["tool_name", "input"],
        },
    },
    {
        "name": ASK,
        "description": (
            "Asks the person who gave you the task, and waits for the answer, which may take long. "
            "Use it when you cannot decide something yourself."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "question": {"type": "string", "description": "All that they need to know."},
                "options": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Answers to choose from; another one may come all the same.",
                },
                "default": {
                    "type": "string",
                    "description": "What counts when nobody answers in time.",
                },
            },
            "required": ["question"],
        },
    },
    {
        "name": SAY,
        "description": (
            "Tells the people who follow your task something, in its conversation. Nobody is "
            "waited for; to ask something, use ask."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {"message": {"type": "string"}},
            "required": ["message"],
        },
    },
    {
        "name": READ,
        "description": "Gives what people have said about your task since you last looked.",
        "inputSchema": {"type": "object", "properties": {}},
    },
]

JsonObject = dict[str, Any]


def machine_door(asking: Asking, accepts: Callable[[str], bool]) -> ASGIApp:
    """Return the application that serves `PATH` to one machine.

    Args:
        asking: answers.
        accepts: whether a bearer token is the machine's.
    """
    return _Door(asking, accepts)


class _BadParamsError(Exception):
    """A tool was called with what it does not take."""


class _Door:
    def __init__(self, asking: Asking, accepts: Callable[[str], bool]) -> None:
        self._asking = asking
        self._accepts = accepts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        kind, _, token = _header(scope, b"authorization").partition(" ")
        if kind.lower() != "bearer" or not self._accepts(token.strip()):
            await _send_json(send, 401, {"error": "Only the machine's own key opens this."})
        elif scope["method"] == "DELETE":
            await _send_json(send, 200, {})
        elif scope["method"] != "POST":
            await _send_json(send, 405, {"error": "POST one JSON-RPC message."})
        else:
            await self._post(receive, send)

    async def _post(self, receive: Receive, send: Send) -> None:
        try:
            message = json.loads(await _body(receive))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            await _send_json(send, 400, _failed(None, _PARSE_ERROR, "Send one JSON-RPC message."))
            return
        request = cast("JsonObject", message)
        number = request.get("id")
        if number is None:
            await _send_json(send, 202, None)  # a notification, or an answer to what nobody asked
            return
        given = request.get("params")
        params = cast("JsonObject", given) if isinstance(given, dict) else {}
        method = str(request.get("method"))
        if method == "tools/call":
            await self._tool(receive, send, number, params)
        else:
            await _send_json(send, 200, _plain(method, number, params))

    async def _tool(self, receive: Receive, send: Send, number: object, params: JsonObject) -> None:
        try:
            work = self._called(params)
        except _BadParamsError as error:
            await _send_json(send, 200, _failed(number, _BAD_PARAMS, str(error)))
            return
        meta = params.get("_meta")
        token = cast("JsonObject", meta).get("progressToken") if isinstance(meta, dict) else None
        await _stream(receive, send, work, number, token)

    def _called(self, params: JsonObject) -> Awaitable[JsonObject]:
        given = params.get("arguments")
        arguments = cast("JsonObject", given) if isinstance(given, dict) else {}
        if params.get("name") == APPROVE:
            tool, value = arguments.get("tool_name"), arguments.get("input")
            if not isinstance(tool, str) or not isinstance(value, dict):
                raise _BadParamsError("approve takes tool_name and input.")
            use = arguments.get("tool_use_id")
            return self._approve(
                tool, cast("JsonObject", value), use if isinstance(use, str) else ""
            )
        if params.get("name") == ASK:
            question = arguments.get("question")
            if not isinstance(question, str) or not question.strip():
                raise _BadParamsError("ask takes a question.")
            options = arguments.get("options")
            texts = [str(one) for one in cast("list[object]", options or [])][:20]
            return self._ask(question, texts, str(arguments.get("default") or ""))
        if params.get("name") == SAY:
            message = arguments.get("message")
            if not isinstance(message, str) or not message.strip():
                raise _BadParamsError("say takes a message.")
            return _told(self._asking.say(message))
        if params.get("name") == READ:
            return _told(self._asking.messages())
        raise _BadParamsError(f"There is no tool {params.get('name')!r}.")

    async def _approve(self, tool: str, value: JsonObject, tool_use_id: str) -> JsonObject:
        verdict = await _answered(self._asking.may_use(tool, value, tool_use_id))
        if verdict.allowed:
            told: Mapping[str, Any] = {"behavior": "allow", "updatedInput": value}
        else:
            told = {"behavior": "deny", "message": verdict.message or "Not allowed."}
        return _text(json.dumps(told))

    async def _ask(self, question: str, options: list[str], default: str) -> JsonObject:
        return await _told(self._asking.question(question, options, default))


async def _told(question: Awaitable[Verdict]) -> JsonObject:
    verdict = await _answered(question)
    return _text(verdict.message) | {"isError": not verdict.allowed}


async def _answered(question: Awaitable[Verdict]) -> Verdict:
    """Return the verdict; whatever goes wrong is a no."""
    try:
        return await question
    except AutovibeError as error:
        return Verdict(allowed=False, message=error.message)
    except (ValueError, TypeError) as error:
        return Verdict(allowed=False, message=f"The question cannot be understood: {error}.")


def _plain(method: str, number: object, params: JsonObject) -> JsonObject:
    """Answer what needs no waiting."""
    if method == "initialize":
        version = params.get("protocolVersion")
        return _done(
            number,
            {
                "protocolVersion": version if isinstance(version, str) else _VERSION,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "autovibe", "version": "1"},
            },
        )
    if method == "ping":
        return _done(number, {})
    if method == "tools/list":
        return _done(number, {"tools": _TOOLS})
    return _failed(number, _NO_METHOD, f"There is no method {method}.")


async def _stream(
    receive: Receive,
    send: Send,
    work: Awaitable[JsonObject],
    number: object,
    progress_token: object,
) -> None:
    """Send a result when it is there, and until then that it is being waited for."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_gone(receive))
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    beats = 0
    try:
        while not answering.done():
            await asyncio.wait(
                {answering, leaving}, timeout=_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if leaving.done():
                return
            if not answering.done():
                beats += 1
                await _send_part(send, _alive(progress_token, beats))
        result = _done(number, answering.result())
        await _send_part(send, _event(result))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


def _alive(progress_token: object, beats: int) -> bytes:
    """Return what keeps the agent waiting: it gives up on a call that is silent for minutes."""
    if progress_token is None:
        return b": waiting for a person\n\n"
    params = {
        "progressToken": progress_token,
        "progress": beats,
        "message": "waiting for a person",
    }
    return _event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if message["type"] == "http.disconnect" or size > _LONGEST_BODY:
            return b""
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in scope["headers"] if n.lower() == name), "")


def _text(text: str) -> JsonObject:
    return {"content": [{"type": "text", "text": text}]}


def _done(number: object, result: object) -> JsonObject:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _failed(number: object, code: int, message: str) -> JsonObject:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _event(message: object) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


async def _send_part(send: Send, chunk: bytes) -> None:
    with contextlib.suppress(OSError):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _send_json(send: Send, status: int, document: object) -> None:
    body = b"" if document is None else json.dumps(document).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

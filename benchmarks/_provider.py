"""A provider that costs next to nothing: streamed answers of the Messages API, from a script.

A program of its own: `python benchmarks/_provider.py` prints its URL. How many events an answer has
and how long it waits between them stands in the body, as in `plan 20 0.1`. Every event of text says
when it was sent, by the monotonic clock of the machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, cast

_LENGTH: Final = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_PLAN: Final = re.compile(rb"plan ([0-9]+) ([0-9.]+)")
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"request-id: req_benchmark\r\n\r\n"
)
_START: Final = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,'
    b'"stop_sequence":null,"usage":{"input_tokens":1200,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":1}}}\n\n'
)
_OPEN: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"sent=%d and some words more "}}\n\n'
)
_CLOSE: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
_STOPS: Final = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
    b'"stop_sequence":null},"usage":{"output_tokens":300}}\n\n'
)
_END: Final = (_STOPS, b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
_AROUND: Final = 5


class _Connection(asyncio.Protocol):
    """One connection, one answer after the other."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._needed:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._read, 0, end)
            self._needed = end + 4 + (int(length[1]) if length else 0)
        if len(self._read) >= self._needed:
            plan = _PLAN.search(self._read)
            events, pause = (int(plan[1]), float(plan[2])) if plan else (20, 0.0)
            del plan  # it keeps the buffer from being emptied
            self._read.clear()
            self._needed = 0
            self._answer(max(0, events - _AROUND), pause)

    def _answer(self, deltas: int, pause: float) -> None:
        write = self._transport.write
        write(_HEAD + _chunk(_START))
        write(_chunk(_OPEN))
        if pause:
            self._pace(deltas, pause)
            return
        for _ in range(deltas):
            write(_chunk(_DELTA % time.monotonic_ns()))
        self._end()

    def _pace(self, left: int, pause: float) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._end()
            return
        self._transport.write(_chunk(_DELTA % time.monotonic_ns()))
        asyncio.get_running_loop().call_later(pause, self._pace, left - 1, pause)

    def _end(self) -> None:
        write = self._transport.write
        write(_chunk(_CLOSE))
        for event in _END:
            write(_chunk(event))
        write(b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())

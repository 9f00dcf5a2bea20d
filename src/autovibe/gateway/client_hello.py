"""The name that a TLS client asks for, read from its first message (RFC 8446 4.1.2, RFC 6066 3)."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 16 * 1024
_MOST_RECORDS: Final = 16
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_FIXED: Final = 34  # version and random


class NotTlsError(Exception):
    """The bytes do not begin a TLS connection."""


def server_name(data: bytes) -> str | None:
    """Return the name that the first message asks for, "" when it asks for none.

    `None` when the message is not complete yet.

    Raises:
        NotTlsError: it is no such message, or a broken or absurdly long one.
    """
    message = _handshake(data)
    if message is None:
        if len(data) > LONGEST:
            raise NotTlsError
        return None
    try:
        return _name_in(_Reader(message))
    except (IndexError, UnicodeDecodeError):
        raise NotTlsError from None


def _handshake(data: bytes) -> bytes | None:
    """Return the client's first message, put together from its records; `None`: more is to come."""
    message = b""
    place = 0
    # A bound on the work, as a client may send byte by byte and this begins anew each time.
    for _ in range(_MOST_RECORDS):
        header = data[place : place + 5]
        # A part of a header may tell already that this is something else.
        if header[:1] not in {b"", bytes([_HANDSHAKE])} or header[1:2] not in {b"", b"\x03"}:
            raise NotTlsError
        if len(header) < 5:
            return None
        size = int.from_bytes(header[3:5], "big")
        message += data[place + 5 : place + 5 + size]
        place += 5 + size
        if message and message[0] != _CLIENT_HELLO:
            raise NotTlsError
        if len(message) >= 4:
            whole = 4 + int.from_bytes(message[1:4], "big")
            if whole > LONGEST:
                raise NotTlsError
            if len(message) >= whole:
                return message[4:whole]
        if place >= len(data):
            return None
    raise NotTlsError


class _Reader:
    """Takes fields of a message one after the other; too short is an IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._place : self._place + size]
        if len(taken) < size:
            raise IndexError
        self._place += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    @property
    def more(self) -> bool:
        return self._place < len(self._data)


def _name_in(hello: _Reader) -> str:
    hello.take(_FIXED)
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    extensions = _Reader(hello.vector(2) if hello.more else b"")
    while extensions.more:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind != _SERVER_NAME:
            continue
        names = _Reader(_Reader(content).vector(2))
        while names.more:
            name_kind, name = names.number(1), names.vector(2)
            if name_kind == _HOST_NAME:
                return name.decode("ascii").lower()
    return ""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovibe.gateway.client_hello import NotTlsError, server_name


def hello(name: str | None) -> bytes:
    """Return the first bytes of a real TLS client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


HELLO = hello("Packages.Example.Test")


def in_records(message: bytes, size: int) -> bytes:
    """Return a handshake message in records of so many bytes each."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_the_name_is_read_in_lower_case():
    assert server_name(HELLO) == "packages.example.test"
    assert server_name(HELLO + b"more follows") == "packages.example.test"


def test_a_client_may_ask_for_no_name():
    assert server_name(hello(None)) == ""


def test_a_message_that_is_not_complete_is_waited_for():
    assert {server_name(HELLO[:size]) for size in range(len(HELLO))} == {None}


@pytest.mark.parametrize("size", [100, 251])
def test_a_message_may_stand_in_many_records(size: int):
    assert server_name(in_records(HELLO[5:], size)) == "packages.example.test"


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02\x00\x00\x01\x01",  # SSL 2
        b"\x17\x03\x03\x00\x05hello",  # data before any handshake
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a server's message
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # longer than any
        in_records(b"\x01\x00\x00\x02\x03\x03", 100),  # ends too early
        b"\x16\x03\x01\x00\x00" * 17,  # records of nothing
        in_records(HELLO[5:], 7),  # in more pieces than any client makes
    ],
)
def test_what_is_no_first_message_of_tls_is_refused(data: bytes):
    with pytest.raises(NotTlsError):
        server_name(data)


@given(st.data())
def test_broken_messages_are_refused_or_read_but_nothing_else_happens(data: st.DataObject):
    at = data.draw(st.integers(0, len(HELLO) - 1))
    broken = HELLO[:at] + data.draw(st.binary(max_size=40)) + HELLO[at + 1 :]
    try:
        name = server_name(broken)
    except NotTlsError:
        return
    assert name is None or isinstance(name, str)

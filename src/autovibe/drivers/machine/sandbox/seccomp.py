"""A small system call filter for what namespaces do not cover.

Sockets of other families than unix, internet and netlink reach past the network namespace (a
virtual machine's AF_VSOCK talks to its host); key rings belong to the user, not to a namespace;
io_uring makes sockets without the socket call; the rest is attack surface no agent needs.
"""

from __future__ import annotations

import os
import platform
import struct
from dataclasses import dataclass
from typing import Final

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_ENOSYS, _EAFNOSUPPORT = 38, 97
_X32_BIT: Final = 0x40000000
_FAMILIES: Final = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_IO_URING: Final = (425, 426, 427)


@dataclass(frozen=True)
class _Architecture:
    """Numbers of one processor architecture; `refused` are answered as if they did not exist."""

    audit: int
    socket: int
    refused: tuple[int, ...]


# add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd
_ARCHITECTURES: Final = {
    "x86_64": _Architecture(0xC000003E, 41, (248, 249, 250, 321, 298, 323, *_IO_URING)),
    "aarch64": _Architecture(0xC00000B7, 198, (217, 218, 219, 280, 241, 282, *_IO_URING)),
}


def _instruction(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, value)


def _refuse_if(number: int) -> bytes:
    return _instruction(_EQUAL, number, 0, 1) + _instruction(_RETURN, _ERRNO | _ENOSYS)


def filter_program(machine: str) -> bytes | None:
    """Return the filter for a processor architecture, `None` when we know none for it.

    Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    known = _ARCHITECTURES.get(machine)
    if known is None:
        return None
    program = _instruction(_LOAD, _ARCHITECTURE)
    # Calls in another mode (32 bit) have other numbers; refusing them keeps the list complete.
    program += _instruction(_EQUAL, known.audit, 1, 0) + _instruction(_RETURN, _ERRNO | _ENOSYS)
    program += _instruction(_LOAD, _NUMBER)
    program += _instruction(_AT_LEAST, _X32_BIT, 0, 1) + _instruction(_RETURN, _ERRNO | _ENOSYS)
    for number in known.refused:
        program += _refuse_if(number)
    # Past the family check (load, one test each, refuse) unless the call is socket.
    program += _instruction(_EQUAL, known.socket, 0, len(_FAMILIES) + 2)
    program += _instruction(_LOAD, _FIRST_ARGUMENT)
    for index, family in enumerate(_FAMILIES):
        program += _instruction(_EQUAL, family, len(_FAMILIES) - index, 0)
    program += _instruction(_RETURN, _ERRNO | _EAFNOSUPPORT)
    return program + _instruction(_RETURN, _ALLOW)


def open_filter() -> int | None:
    """Return a descriptor to read this host's filter from, `None` when we know none for it."""
    program = filter_program(platform.machine())
    if program is None:
        return None
    descriptor = os.memfd_create("autovibe-seccomp", os.MFD_CLOEXEC)
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

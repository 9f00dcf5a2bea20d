"""The filter, run through a small interpreter of its instructions for each architecture."""

from __future__ import annotations

import struct

import pytest

from autovibe.drivers.machine.sandbox.seccomp import filter_program

ALLOW = 0x7FFF0000
ENOSYS = 0x00050000 | 38
EAFNOSUPPORT = 0x00050000 | 97
ARCHITECTURES = {
    "x86_64": {"audit": 0xC000003E, "socket": 41, "keyctl": 250, "read": 0, "execve": 59},
    "aarch64": {"audit": 0xC00000B7, "socket": 198, "keyctl": 219, "read": 63, "execve": 221},
}


def verdict(program, audit, number, argument=0):
    data = struct.pack("<IIQ6Q", number, audit, 0, argument, 0, 0, 0, 0, 0)
    lines = list(struct.iter_unpack("<HBBI", program))
    accumulator = position = 0
    while True:
        code, when_true, when_false, value = lines[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code in {0x15, 0x35}:
            holds = accumulator == value if code == 0x15 else accumulator >= value
            position += when_true if holds else when_false
        else:
            assert code == 0x06
            return value


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_filter_refuses_what_it_should_and_nothing_else(machine):
    known = ARCHITECTURES[machine]
    program = filter_program(machine)
    audit = known["audit"]
    for number in (known["read"], known["execve"], known["socket"] - 1, known["socket"] + 1, 449):
        assert verdict(program, audit, number, 40) == ALLOW
    for number in (known["keyctl"], 425, 426, 427, 0x40000000, 0x40000001):
        assert verdict(program, audit, number) == ENOSYS
    allowed = [
        family for family in range(64) if verdict(program, audit, known["socket"], family) == ALLOW
    ]
    assert allowed == [1, 2, 10, 16]
    assert verdict(program, audit, known["socket"], 40) == EAFNOSUPPORT


def test_calls_in_another_mode_are_refused():
    assert verdict(filter_program("x86_64"), 0x40000003, 3) == ENOSYS


def test_unknown_architecture_has_no_filter():
    assert filter_program("riscv64") is None

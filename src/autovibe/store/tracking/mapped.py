"""Files that processes can change through a shared mapping, unseen by any watch or time stamp."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def shared_writable_inodes(pids: Iterable[int]) -> frozenset[int]:
    """Return the inodes that these processes map shared and writable, or may make so.

    Inodes without their device: what /proc calls the device is not what stat calls it on btrfs and
    overlay. One too many is read in vain, and nothing more. A process that ends meanwhile maps
    nothing any more.
    """
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as maps:  # noqa: PTH123 - for every process at every checkpoint
            lines = maps.read().splitlines()
            shared = [line.split(None, 5) for line in lines if b"s " in line[:48]]
            files = [fields for fields in shared if len(fields) > 5 and fields[4] != b"0"]
            found |= {int(fields[4]) for fields in files if b"w" in fields[1]}
            if any(b"w" not in fields[1] for fields in files):
                found |= _may_become_writable(pid)
    return frozenset(found)


def _may_become_writable(pid: int) -> set[int]:
    """Find mappings that are read-only now but were made from a file open for writing."""
    found: set[int] = set()
    inode = 0
    with open(f"/proc/{pid}/smaps", "rb") as smaps:  # noqa: PTH123 - as above
        for line in smaps:
            fields = line.split(None, 5)
            if line.startswith(b"VmFlags:"):
                if (inode and b"sh" in fields[1:]) or (inode and line.find(b" sh ") >= 0):
                    found.add(inode)
            elif not fields[0].endswith(b":"):
                inode = int(fields[4]) if fields[1].endswith(b"s") else 0
    return found

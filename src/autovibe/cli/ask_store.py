"""Ask the process that serves a tree for a snapshot: `python -m autovibe.cli.ask_store`.

    python -S -m autovibe.cli.ask_store STORE REF NAME=DIRECTORY...

It is a program of its own that imports next to nothing, so that it ends within a few hundredths of
a second. `autovibe store serve` is the other end. Prints the answer, one line of JSON; the exit
status is 0 for a snapshot, 1 for an error and 2 when nobody serves the tree.
"""

from __future__ import annotations

import json
import os
import sys
from binascii import crc32
from socket import AF_UNIX, socket

_NOBODY = 2


def main(arguments: list[str]) -> int:
    """Ask once; return the exit status."""
    if len(arguments) < 3:
        sys.stderr.write("usage: ask_store STORE REF NAME=DIRECTORY...\n")
        return _NOBODY
    store, ref, *named = arguments
    pairs = [root.partition("=") for root in named]
    roots = {name: os.path.realpath(path) for name, _, path in pairs}
    lines = "\n".join(f"{name}={path}" for name, path in sorted(roots.items()))
    try:
        directory = os.open(f"{store}/resident", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with socket(AF_UNIX) as connection:
            name = f"{crc32(os.fsencode(lines)):08x}.sock"
            connection.connect(f"/proc/self/fd/{directory}/{name}")
            connection.sendall(json.dumps({"ref": ref, "roots": roots}).encode() + b"\n")
            answer = b""
            while more := connection.recv(1 << 16):
                answer += more
    except OSError as error:
        sys.stderr.write(f"Nobody serves this tree ({error}): start `autovibe store serve`.\n")
        return _NOBODY
    sys.stdout.write(answer.decode())
    return 0 if answer.startswith(b'{"event": "result"') else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Passwords: bcrypt, in threads of their own, with the same work whether there is a user or not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import bcrypt

from autovibe.kernel.errors import InvalidArgumentError

UNUSABLE: Final = "!"
"""What stands for a password where there is none: no password has this hash."""
MOST_BYTES: Final = 72
"""bcrypt reads no more; what is longer is refused, so that no part of a password is ignored."""
LEAST_CHARACTERS: Final = 10

# Many logins at once wait for each other here, and not in the threads that read and write files.
_THREADS: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="bcrypt")
_NOBODYS_DIGEST: Final = "." * 53


def check_new_password(password: str) -> None:
    """Refuse what cannot be a password.

    Raises:
        InvalidArgumentError: it is too short or too long, or has a NUL in it.
    """
    length = len(password.encode())
    if length > MOST_BYTES:
        raise InvalidArgumentError(
            f"The password has {length} bytes; give one of {MOST_BYTES} at most.", field="password"
        )
    if len(password) < LEAST_CHARACTERS or "\0" in password:
        raise InvalidArgumentError(
            f"The password is too short; give one of {LEAST_CHARACTERS} characters or more.",
            field="password",
        )


async def hash_password(password: str, cost: int) -> str:
    """Return the bcrypt hash of a password that was checked."""
    loop = asyncio.get_running_loop()
    made = await loop.run_in_executor(
        _THREADS, lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost))
    )
    return made.decode()


async def is_password(password: str, hashed: str | None, cost: int) -> bool:
    """Return whether a password has a hash; without one it takes as long, and is not."""
    is_usable = hashed is not None and hashed != UNUSABLE
    known = hashed if is_usable and hashed else f"$2b${cost:02}${_NOBODYS_DIGEST}"
    given = password.encode()
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(
        _THREADS, lambda: bcrypt.checkpw(given[:MOST_BYTES], known.encode())
    )
    return fits and is_usable and len(given) <= MOST_BYTES


def cost_of(hashed: str) -> int:
    """Return the cost that a hash was made with."""
    return int(hashed.split("$")[2])

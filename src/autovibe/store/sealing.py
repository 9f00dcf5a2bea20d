"""Encryption at rest: what a store with a key does to ids, frames, refs and pins.

Everything above the packs works with the SHA-256 of plain bytes; on disk stand only addresses
(keyed hashes of these) and sealed bytes (docs/formats/store.md, Encryption).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

from autovibe.store.errors import StoreKeyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CIPHER: Final = "aes-256-gcm"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def _cipher(key: bytes) -> AESGCM:
    # Only an encrypted store needs it, and to load it takes as long as a small snapshot.
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - as said above
        AESGCM,
    )

    return AESGCM(key)


def _decrypt(cipher: AESGCM, nonce: bytes, sealed: bytes, context: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

    try:
        return cipher.decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError):
        return None


def parse_key(data: bytes) -> bytes:
    """Return the key that a key file holds: 32 bytes as they are, or as 64 hexadecimal digits.

    Raises:
        StoreKeyError: it is neither.
    """
    if len(data) == KEY_BYTES:
        return data
    text = data.strip()
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            pass
    msg = "A store key is 32 bytes or 64 hexadecimal digits: make one with `openssl rand -hex 32`."
    raise StoreKeyError(msg)


class Seal:
    """The keys of one store, all derived from the caller's key and the id of the store."""

    def __init__(self, key: bytes, store_id: str) -> None:
        """Derive the keys.

        Raises:
            StoreKeyError: the key has not 32 bytes.
        """
        key = parse_key(key)

        def derive(purpose: str) -> bytes:
            return _keyed(key, f"autovibe-store {store_id} {purpose}".encode())

        self._addresses = derive("addresses")
        self._packs = derive("packs")
        self._small = _cipher(derive("refs and pins"))
        self.check = derive("check").hex()

    def matches(self, check: str) -> bool:
        """Say whether this is the key with which the store was created."""
        return hmac.compare_digest(self.check, check)

    def address(self, digest: bytes) -> bytes:
        """Return the id under which an object lies on disk."""
        return hashlib.blake2b(digest, key=self._addresses, digest_size=32).digest()

    def pack(self, pack: str) -> PackSeal:
        """Return the cipher of one pack: a key of its own, so that offsets serve as nonces."""
        return PackSeal(_keyed(self._packs, pack.encode("ascii")))

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypt a few bytes; they only open again in the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._small.encrypt(nonce, data, context)

    def open(self, sealed: bytes, context: bytes) -> bytes | None:
        """Decrypt; None when something was changed or belongs elsewhere."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(body) < TAG_BYTES:
            return None
        return _decrypt(self._small, nonce, body, context)


class PackSeal:
    """Encrypts the frames of one pack, each under its offset, bound to its address."""

    def __init__(self, key: bytes) -> None:
        """Take the key of the pack."""
        self._cipher = _cipher(key)

    def seal(self, offset: int, address: bytes, frame: bytes) -> bytes:
        """Encrypt the frame that will lie at an offset; nothing else is ever written there."""
        return self._cipher.encrypt(offset.to_bytes(_NONCE_BYTES, "little"), frame, address)

    def open(self, offset: int, address: bytes, sealed: bytes) -> bytes | None:
        """Decrypt a frame; None when it is not what was written there."""
        nonce = offset.to_bytes(_NONCE_BYTES, "little")
        return _decrypt(self._cipher, nonce, sealed, address)


def _keyed(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, key=key, digest_size=KEY_BYTES).digest()

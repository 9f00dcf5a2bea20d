"""Secret columns: AES-256-GCM under a ring of keys, so that keys can be replaced (decision E9).

A value is `av1:<key id>:<base64 of nonce and ciphertext>`. Its place, `table.column`, is
authenticated with it: a ciphertext that is copied to another column does not open.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from autovibe.db.dialects.base import json_text
from autovibe.db.errors import InvalidValueError, KeyRingError, SecretUnreadableError

_FORMAT: Final = "av1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_ID: Final = re.compile(r"[0-9a-z]{1,16}")
_ATTRIBUTE: Final = "autovibe_key_ring"


@dataclass(frozen=True)
class KeyRing:
    """Keys by id; the primary one encrypts, all of them decrypt."""

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        """Check the keys.

        Raises:
            KeyRingError: an id or a key is malformed, or the primary one is missing.
        """
        for name, key in self.keys.items():
            if not _ID.fullmatch(name) or len(key) != _KEY_BYTES:
                raise KeyRingError(
                    "A key ring needs ids of 1 to 16 small letters and digits, and keys of 32 "
                    "bytes; restore the right key ring."
                )
        if self.primary not in self.keys:
            raise KeyRingError("The key ring has no primary key; restore the right key ring.")

    @classmethod
    def new(cls) -> KeyRing:
        """Return a ring with one random key."""
        name = secrets.token_hex(4)
        return cls(name, {name: secrets.token_bytes(_KEY_BYTES)})

    def with_new_primary(self) -> KeyRing:
        """Return a ring that encrypts with a new key and still decrypts with the old ones."""
        fresh = KeyRing.new()
        return KeyRing(fresh.primary, {**fresh.keys, **self.keys})

    def primary_only(self) -> KeyRing:
        """Return a ring of the primary key alone, for when nothing is left under the others."""
        return KeyRing(self.primary, {self.primary: self.keys[self.primary]})

    def encrypt(self, plain: str, place: str) -> str:
        """Return the ciphertext of a text for a place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.primary]).encrypt(
            nonce, plain.encode("utf-8", "surrogatepass"), place.encode()
        )
        return f"{_FORMAT}:{self.primary}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, stored: str, place: str) -> str:
        """Return the text of a ciphertext.

        Raises:
            SecretUnreadableError: the key is not in the ring, or the value was changed or moved.
        """
        name, data = _parts(stored, place)
        key = self.keys.get(name)
        if key is None:
            raise SecretUnreadableError(
                f"A secret in {place} is under the key {name}, which the key ring lacks; restore "
                "the key ring that belongs to this database.",
                place=place,
                key=name,
            )
        try:
            plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise SecretUnreadableError(
                f"A secret in {place} does not open with the key {name}: it was changed, or the "
                "key ring is another one's; restore database and key ring that belong together.",
                place=place,
                key=name,
            ) from None
        return plain.decode("utf-8", "surrogatepass")

    def dump(self) -> str:
        """Return the ring as text for `keys.json` or `AUTOVIBE_KEYS`."""
        keys = {name: base64.b64encode(key).decode() for name, key in self.keys.items()}
        return json.dumps({"primary": self.primary, "keys": keys})

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read what `dump` wrote.

        Raises:
            KeyRingError: it is malformed.
        """
        try:
            document = json.loads(text)
            keys = {
                str(name): base64.b64decode(key, validate=True)
                for name, key in document["keys"].items()
            }
            primary = str(document["primary"])
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise KeyRingError(
                "The key ring cannot be read; restore keys.json from its own backup, or correct "
                "AUTOVIBE_KEYS."
            ) from None
        return cls(primary, keys)


def key_of(stored: str, place: str) -> str:
    """Return the id of the key that a value is under.

    Raises:
        SecretUnreadableError: it is no ciphertext.
    """
    return _parts(stored, place)[0]


def _parts(stored: str, place: str) -> tuple[str, bytes]:
    try:
        form, name, data = stored.split(":")
        raw = base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        form, name, raw = "", "", b""
    if form != _FORMAT or len(raw) <= _NONCE_BYTES:
        raise SecretUnreadableError(
            f"A secret in {place} is no ciphertext; restore a backup of the database.", place=place
        )
    return name, raw


@dataclass
class KeyRingSource:
    """The ring of one database, read or made when the first secret is used."""

    file: Path | None
    text: str | None = field(default=None, repr=False)
    _ring: KeyRing | None = field(default=None, repr=False)
    _seen: tuple[int, int] = (0, 0)

    def ring(self) -> KeyRing:
        """Return the ring; makes the file, readable by its owner only, when there is none.

        A file that another process replaced is read again, so that a rotation reaches everybody.

        Raises:
            KeyRingError: it cannot be read or made.
        """
        if self.text:
            if self._ring is None:
                self._ring = KeyRing.parse(self.text)
            return self._ring
        if self.file is None:
            raise KeyRingError("This database was opened without a key ring; name one.")
        seen = _identity(self.file)
        if self._ring is None or seen != self._seen:
            self._ring = _read_or_make(self.file)
            self._seen = _identity(self.file)
        return self._ring

    def replace(self, ring: KeyRing) -> None:
        """Use another ring, and keep it in the file.

        Raises:
            KeyRingError: the ring comes from the environment, or the file cannot be written.
        """
        if self.text or self.file is None:
            raise KeyRingError(
                "The key ring comes from AUTOVIBE_KEYS, which autovibe cannot change; put the new "
                "ring there."
            )
        temporary = self.file.with_suffix(f".{os.getpid()}.tmp")
        try:
            _write(temporary, ring)
            temporary.replace(self.file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _unusable(self.file, error) from error
        self._ring, self._seen = ring, _identity(self.file)


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)


def _read_or_make(file: Path) -> KeyRing:
    for _ in range(2):
        try:
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
            return KeyRing.parse(file.read_text(encoding="ascii"))
        except FileNotFoundError:
            _make(file)
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(file, error) from error
    raise KeyRingError(f"{file} vanished while it was read; try again.")


def _make(file: Path) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(temporary, KeyRing.new())
        try:
            # Unlike a rename, a link fails when another process was first: its keys stay.
            os.link(temporary, file)
        except FileExistsError:
            return
        finally:
            temporary.unlink()
    except OSError as error:
        raise _unusable(file, error) from error


def _write(path: Path, ring: KeyRing) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(ring.dump())
        file.flush()
        os.fsync(file.fileno())


def _unusable(file: Path, error: Exception) -> KeyRingError:
    return KeyRingError(f"{file} cannot be used ({error}); make it readable and writable for you.")


def attach_key_ring(dialect: Dialect, source: KeyRingSource) -> None:
    """Give an engine the ring of its database; column types find it at their dialect."""
    setattr(dialect, _ATTRIBUTE, source)


def attached_key_ring(dialect: Dialect) -> KeyRingSource | None:
    """Return what `attach_key_ring` gave an engine."""
    return getattr(dialect, _ATTRIBUTE, None)


class EncryptedText(TypeDecorator[str]):
    """Text that the database holds as ciphertext only. It cannot be searched or compared in SQL."""

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        """Args: `table.column`, which is authenticated with the value and may never change."""
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encrypt.

        Raises:
            KeyRingError: there is no usable key ring.
            InvalidValueError: the value is of another type.
        """
        return None if value is None else ring_of(dialect).encrypt(self.to_text(value), self.place)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decrypt.

        Raises:
            KeyRingError: there is no usable key ring.
            SecretUnreadableError: the value is not under a key of the ring, or was changed.
        """
        if value is None:
            return None
        return self.from_text(ring_of(dialect).decrypt(value, self.place))

    def to_text(self, value: Any) -> str:
        """Return what is encrypted.

        Raises:
            InvalidValueError: the value is of another type.
        """
        if not isinstance(value, str):
            raise InvalidValueError(f"{self.place} takes text.")
        return value

    def from_text(self, text: str) -> Any:
        """Return the value of what was encrypted."""
        return text


class EncryptedJson(EncryptedText):
    """JSON that the database holds as ciphertext only."""

    cache_ok = True

    def to_text(self, value: Any) -> str:
        """Return the value as JSON."""
        return json_text(value)

    def from_text(self, text: str) -> Any:
        """Return the value of a JSON text."""
        return json.loads(text)


def ring_of(dialect: Dialect) -> KeyRing:
    """Return the ring that an engine was given.

    Raises:
        KeyRingError: it was given none, or the ring cannot be read or made.
    """
    source = attached_key_ring(dialect)
    if source is None:
        raise KeyRingError("This database was opened without a key ring; name one.")
    return source.ring()

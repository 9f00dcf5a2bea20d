"""JSON columns with secrets in them: those are stored as ciphertext, all else as it is.

What is named like a secret is one, at any depth: `token`, `api_key`, `password`, `credentials`, …
The place of its ciphertext is `table.column/name/name`, so that it opens under no other name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, cast

from sqlalchemy import Dialect

from autovibe.db.dialects.base import json_text
from autovibe.db.encryption import KeyRing, key_of, ring_of
from autovibe.db.types import JsonValue

_SECRET: Final = re.compile(
    r"secret|passw(or)?d|passphrase|token|api[-_]?key|access[-_]?key|private[-_]?key|credential",
    re.IGNORECASE,
)
_SEALED: Final = "av1:"

Change = Callable[[str, Any], Any]


class JsonWithSecrets(JsonValue):
    """A JSON object whose secrets the database holds as ciphertext only.

    They cannot be searched or compared in SQL; the rest can. What SQL has written in the clear is
    read as it is, and becomes ciphertext with the next write or rotation.
    """

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Check the value, and encrypt its secrets.

        Raises:
            InvalidValueError: it is not what the column holds.
            KeyRingError: it has secrets and there is no usable key ring.
        """
        checked = super().process_bind_param(value, dialect)
        return changed(checked, self.field, lambda place, one: _seal(ring_of(dialect), place, one))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Decrypt the secrets.

        Raises:
            KeyRingError: there is no usable key ring.
            SecretUnreadableError: one is not under a key of the ring, or was changed or moved.
        """
        return changed(value, self.field, lambda place, one: _open(dialect, place, one))


def changed(value: Any, place: str, change: Change) -> Any:
    """Return a JSON value with each secret replaced by what `change(place, secret)` gives."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {
            name: change(f"{place}/{name}", one)
            if _SECRET.search(name)
            else changed(one, f"{place}/{name}", change)
            for name, one in items
        }
    if isinstance(value, list):
        return [changed(one, place, change) for one in cast("list[Any]", value)]
    return value


def has_secrets(value: Any) -> bool:
    """Return whether there is anything in a JSON value that is to be encrypted."""
    found: list[str] = []
    changed(value, "", lambda place, _: found.append(place))
    return bool(found)


def opened(stored: Any, place: str, ring: KeyRing) -> tuple[Any, int]:
    """Return a stored value in the clear, and how many secrets of it the primary key does not hide.

    Raises:
        SecretUnreadableError: one does not open.
    """
    exposed = 0

    def change(at: str, one: Any) -> Any:
        nonlocal exposed
        if not _is_sealed(one):
            exposed += 1
            return one
        if key_of(one, at) != ring.primary:
            exposed += 1
        return json.loads(ring.decrypt(one, at))

    return changed(stored, place, change), exposed


def _seal(ring: KeyRing, place: str, value: Any) -> str:
    return ring.encrypt(json_text(value), place)


def _open(dialect: Dialect, place: str, value: Any) -> Any:
    return json.loads(ring_of(dialect).decrypt(value, place)) if _is_sealed(value) else value


def _is_sealed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_SEALED)

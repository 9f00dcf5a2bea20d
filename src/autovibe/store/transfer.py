"""Handing snapshots to another store, object by object: only what it does not have yet.

Every object is named by the hash of its bytes, so whatever arrives is checked, and what arrived
before a connection broke need not be sent again. Between two stores objects travel in the clear;
each encrypts what it keeps under a key of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autovibe.store.core import StoreCore
from autovibe.store.errors import ObjectCorruptError
from autovibe.store.packfile import sha256
from autovibe.store.reach import Reach
from autovibe.store.refs import parse_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TransferringStore(StoreCore):
    """What a store does for another one."""

    def missing_objects(self, objects: Iterable[str]) -> list[str]:
        """Return those of these objects that are not here, or are damaged; each once, in order.

        Raises:
            ObjectMissingError: one of them is no id.
        """
        self._objects.scan()
        wanted = dict.fromkeys(objects)
        return [one for one in wanted if not self._objects.has(parse_root(one))]

    def read_objects(self, objects: Iterable[str], most_bytes: int) -> dict[str, bytes]:
        """Return the bytes of the first of these objects, so many that they fit; one at least.

        Args:
            objects: ids.
            most_bytes: of all of them together.

        Raises:
            ObjectMissingError: one is not here.
            ObjectCorruptError: one is damaged.
        """
        found: dict[str, bytes] = {}
        size = 0
        for one in objects:
            data = self._objects.get(parse_root(one))
            size += len(data)
            if found and size > most_bytes:
                break
            found[one] = data
        return found

    def add_objects(self, objects: Mapping[str, bytes]) -> None:
        """Keep objects, durably; nothing is kept when one of them is not what its id says.

        Raises:
            ObjectCorruptError: one has other bytes.
            ObjectMissingError: an id is none.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        for one, data in objects.items():
            if sha256(data) != parse_root(one):
                msg = f"Object {one} arrived damaged, so nothing of its batch was kept."
                raise ObjectCorruptError(msg, object=one, store=str(self.path))
        with self._guard.adding():
            self._objects.scan()
            with self._objects.writer() as writer:
                for one, data in objects.items():
                    writer.put(parse_root(one), data)
                writer.commit()


class Sent:
    """Knows what another store has been given, so that the next snapshot is compared with that."""

    def __init__(self, store: TransferringStore) -> None:
        """Nothing was given yet."""
        self._get = store.objects.get
        self._had = Reach(self._get)

    def needs(self, root: str) -> tuple[list[str], Reach]:
        """Return what a snapshot needs that was not given, and what is known then.

        Raises:
            ObjectMissingError: a directory of it is not in the own store.
            ObjectCorruptError: one is damaged.
        """
        had = self._had
        now = replace(
            had,
            trees=set(had.trees),
            parts=set(had.parts),
            lists=set(had.lists),
            blobs=set(had.blobs),
        )
        now.add(parse_root(root))
        for digest in now.unusable:
            self._get(digest)  # says what is wrong with it
        fresh = {
            digest
            for mine, theirs in (
                (now.trees, had.trees),
                (now.parts, had.parts),
                (now.lists, had.lists),
                (now.blobs, had.blobs),
            )
            for digest in mine - theirs
        }
        return sorted(digest.hex() for digest in fresh), now

    def note(self, known: Reach) -> None:
        """Note that the other store has all this."""
        self._had = known

    def forget(self) -> None:
        """Know nothing any more: the other store has lost something."""
        self._had = Reach(self._get)


def objects_of(store: TransferringStore, root: str) -> list[str]:
    """Return the ids of all that a snapshot needs, sorted.

    Raises:
        ObjectMissingError: the store does not have all directories of it.
        ObjectCorruptError: one is damaged.
    """
    return Sent(store).needs(root)[0]

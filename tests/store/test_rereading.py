from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from autovibe.store import Progress, Store, rereading
from autovibe.store.partner import Partner


@pytest.fixture
def partners(monkeypatch: pytest.MonkeyPatch) -> list[Partner]:
    """The second processes that a test has started."""
    seen: list[Partner] = []

    class Seen(Partner):
        def __init__(self, top: int) -> None:
            super().__init__(top)
            seen.append(self)

    monkeypatch.setattr(rereading, "Partner", Seen)
    monkeypatch.setattr(rereading, "is_worthwhile", lambda: True)
    monkeypatch.setattr(rereading, "_BATCH_CONTENTS", 100)
    return seen


@pytest.fixture
def taken(store: Store, tmp_path: Path) -> str:
    """A snapshot of so many files that a second process helps to read them."""
    tree = tmp_path / "tree"
    for number in range(800):
        path = tree / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number % 750).randbytes(2_000))
    (tree / "large").write_bytes(bytes(range(256)) * 12_000)
    root = store.snapshot({"w": tree}).root
    store.write_ref("a/b", root)
    return root


def test_two_processes_find_everything_whole(store: Store, taken: str, partners: list[Partner]):
    seen: list[Progress] = []
    found = store.verify(taken, progress=seen.append)
    objects = store.stats().objects
    assert found.ok
    assert found.objects == objects
    assert found.bytes == sum(at.raw for at in store.objects.locations())
    assert seen
    assert len(partners) == 1
    assert store.verify().objects == store.check().objects == objects
    assert len(partners) == 3


def test_an_audit_keeps_to_one_process(store: Store, taken: str, partners: list[Partner]):
    assert store.audit().ok
    assert store.verify(alone=True).ok
    assert store.verify(taken, alone=True).ok
    assert partners == []


def test_damage_that_the_second_process_meets_is_named(
    store: Store, taken: str, partners: list[Partner]
):
    store.objects.scan()
    packs = store.path / "packs"
    for name in {f"{at.pack}.pack" for at in store.objects.locations()}:
        data = bytearray((packs / name).read_bytes())
        for at in (len(data) // 4, len(data) // 2, len(data) * 3 // 4):
            data[at] ^= 0xFF
        (packs / name).write_bytes(data)
    places = {
        digest: at for known in store.objects.known_packs().values() for digest, at in known.items()
    }
    damaged = {d.hex() for d, at in places.items() if store.objects.fetch(d, at) is None}
    assert damaged
    for found in (store.verify(taken), store.verify(), store.check()):
        assert {damage.object for damage in found.corrupt} == damaged
    assert partners


def test_verification_goes_on_alone_when_the_second_process_dies(
    store: Store, taken: str, partners: list[Partner]
):
    killed: list[int] = []

    def kill(_: Progress) -> None:
        if partners and not killed:
            killed.append(partners[0]._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    found = store.verify(taken, progress=kill)
    assert killed
    assert found.ok
    assert found.objects == store.stats().objects

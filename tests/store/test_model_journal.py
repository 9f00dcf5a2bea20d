"""The store with a journal, as a resident process keeps it, against the plain-Python model."""

from __future__ import annotations

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from autovibe.store import KeepRules, Store


def _load() -> ModuleType:
    # Test modules are no package; the name keeps its machine from being collected twice.
    spec = importlib.util.spec_from_file_location(
        "store_model", Path(__file__).with_name("test_model.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


model = _load()


class JournalMachine(model.StoreMachine):
    """Whoever has the store open here has a journal; prunes and crashes come from others."""

    @property
    def store(self) -> Store:
        return self._store

    @store.setter
    def store(self, opened: Store) -> None:
        before = self.__dict__.get("_store")
        if before is not None:
            before.close()
        self._store = Store.open(opened.path, create=False, journal=True)

    def teardown(self) -> None:
        if "_store" in self.__dict__:
            self._store.close()
        super().teardown()

    @rule(nth=st.integers(1, 40))
    def crash_with_a_journal(self, nth: int) -> None:
        def work() -> None:
            store = Store.open(self.store.path, journal=True)
            store.write_ref("x/y", store.snapshot({"w": self.tree}).root)
            store.close()

        model.in_child(work, nth)
        self.store = Store.open(self.store.path, create=False)
        assert self.store.check().ok
        assert self.store.audit().ok
        crashed = self.store.read_ref("x/y")
        if crashed is not None:
            known = self.kept.setdefault(crashed, dict(self.model))
            assert self._model_of(crashed) == known
            self.store.delete_ref("x/y")

    @rule()
    def another_audits(self) -> None:
        found = Store.open(self.store.path).audit()
        assert found.ok
        assert found.refs == len(list(self.store.refs()))

    @rule(last=st.integers(1, 3))
    def prune_by_itself(self, last: int) -> None:
        self.store.prune(KeepRules(last=last, prefix="checkpoints/"), grace=timedelta(0))
        assert self.store.verify().ok


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(model._SETTINGS, max_examples=3, stateful_step_count=25)


@pytest.mark.long
class TestJournalMachineLong(JournalMachine.TestCase):
    settings = settings(
        model._SETTINGS, max_examples=200, stateful_step_count=50, derandomize=False
    )

"""Adapters are found by name."""

from __future__ import annotations

import pytest

from autovibe.agents import adapters, find_adapter
from autovibe.domains.machines.errors import UnknownAgentError


def test_every_adapter_is_found_under_its_own_name():
    assert list(adapters()) == ["claude_code", "shell"]
    for name, adapter in adapters().items():
        assert find_adapter(name) is adapter
        assert adapter.name == name


def test_registry_cannot_be_changed_through_its_result():
    adapters().clear()
    assert find_adapter("shell").name == "shell"


def test_unknown_agent_is_refused_with_the_known_names():
    with pytest.raises(UnknownAgentError) as caught:
        find_adapter("claude")
    assert "claude_code, shell" in caught.value.message
    assert caught.value.exit_status == 2

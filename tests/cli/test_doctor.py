"""`autovibe doctor`: what it prints, what it removes, and its exit status."""

from __future__ import annotations

import json
from functools import partial

import pytest

from autovibe.cli.local import doctor

STALE = json.dumps(
    {
        "url": "http://127.0.0.1:1",
        "instance_id": "0d4b4c4e-0000-4000-8000-000000000001",
        "pid": 1,
    }
)


@pytest.fixture
def stale(home):
    """A home in which a server that has ended says where it was."""
    home.mkdir(mode=0o700)
    (home / "server.json").write_text(STALE)
    return home / "server.json"


@pytest.fixture
def no_sandbox(monkeypatch):
    """No bubblewrap on this host."""
    driver = partial(doctor.SandboxDriver, candidates=())
    monkeypatch.setattr(doctor, "SandboxDriver", driver)


def test_doctor_says_that_a_sandbox_works_and_makes_nothing(cli, home, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    ended = cli("doctor", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert "very-secret" not in ended.out
    document = ended.document()
    assert document["ok"] is True
    levels = {item["name"]: item["level"] for item in document["findings"]}
    assert levels["sandbox"] == levels["git"] == levels["key anthropic"] == "ok"
    limits = next(item for item in document["findings"] if item["name"] == "limits")
    assert {"memory", "processes"} <= limits["details"]["enforced"].keys()
    assert not home.exists()


@pytest.mark.usefixtures("no_sandbox")
def test_doctor_without_a_sandbox_says_how_to_get_one_and_exits_1(cli):
    ended = cli("doctor")
    assert ended.status == 1
    assert "bad   sandbox" in ended.out
    assert "install it (`sudo apt install bubblewrap`)" in ended.out
    assert ended.out.splitlines()[-1].endswith("before this is mended: sandbox.")
    document = cli("doctor", "--json").document()
    assert (document["ok"], document["missing"]) == (False, ["sandbox"])


@pytest.mark.usefixtures("no_sandbox")
def test_quiet_doctor_shows_only_what_is_to_be_mended(cli):
    ended = cli("doctor", "--quiet")
    assert ended.status == 1
    assert "python" not in ended.out
    assert "bad   sandbox" in ended.out


def test_doctor_removes_leftovers_only_when_told_to(cli, stale):
    shown = cli("doctor").out
    assert f"{stale} names a server that has ended." in shown
    assert "`autovibe doctor --fix` removes it." in shown
    assert stale.exists()
    fixed = cli("doctor", "--fix", "--json").document()
    assert [item["kind"] for item in fixed["removed"]] == ["server"]
    assert fixed["leftovers"] == []
    assert not stale.exists()


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_doctor_asks_on_a_terminal_before_it_removes(answer, stays, terminal, stale):
    one = terminal("completes", "doctor", "--fix")
    one.read_until("Remove 1 leftover? [y/N]")
    one.type(answer)
    seen = one.read_to_end()
    assert one.child.returncode == 0, seen
    assert stale.exists() == stays
    assert ("Removed:" in seen) != stays


def test_doctor_proposes_tool_chains_that_no_machine_sees(cli, home, monkeypatch, tmp_path):
    person = tmp_path / "person"
    (person / ".cargo" / "bin").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(person))
    assert str(person / ".cargo/bin") in cli("doctor", "--json").document()["tool_chains"]
    assert f'ro = ["{person / ".cargo/bin"}"' in cli("doctor").out
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'[sandbox]\nro = ["{person / ".cargo"}"]\n')
    assert str(person / ".cargo/bin") not in cli("doctor", "--json").document()["tool_chains"]

"""Commands on rates, models, kept calls and parked ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autovibe.v1 import (
    approvals_pb2,
    checkpoints_pb2,
    metering_pb2,
    model_calls_pb2,
    projects_pb2,
)

CSV = "currency,rate_to_cad,valid_from,source\nUSD,1.4012,2026-11-01,bank\nEUR, 1.5 ,2026-11-02,\n"


@pytest.fixture
def asked(plane: Any) -> list[Any]:
    """Answer what these commands ask, and remember it."""
    requests: list[Any] = []

    def answers(name: str, answer: Any) -> None:
        async def method(request: Any) -> Any:
            requests.append(request)
            return answer

        setattr(plane, name, method)

    rate = metering_pb2.ExchangeRate(currency="USD", rate_to_cad="1.40", source="bank", stale=True)
    rate.valid_from.FromJsonString("2026-10-01T00:00:00Z")
    parked = metering_pb2.ParkedProviderKey(
        upstream="anthropic",
        oldest_wait_s=12,
        projects=[metering_pb2.ParkedProject(project_id="p", calls=3)],
    )
    parked.opens_at.FromJsonString("2026-10-01T00:01:00Z")
    answers("import_exchange_rates", metering_pb2.ImportExchangeRatesResponse(added=1, unchanged=1))
    answers("list_exchange_rates", metering_pb2.ListExchangeRatesResponse(rates=[rate]))
    answers("get_parked_calls", metering_pb2.ParkedCalls(keys=[parked]))
    answers("list_running_machines", checkpoints_pb2.ListRunningMachinesResponse())
    answers(
        "get_model_policy",
        projects_pb2.ModelPolicy(
            allowed=["a-*"],
            aliases=[projects_pb2.ModelAlias(name="x", model="a-1")],
            routes=[projects_pb2.ModelRoute(api="openai", upstream="our-vllm")],
        ),
    )
    answers("set_model_policy", projects_pb2.ModelPolicy(allowed=["b"], keep_bodies=True))
    answers(
        "get_model_call",
        model_calls_pb2.ModelCall(
            request_id="r",
            model="a-1",
            status="completed",
            upstream_status=200,
            request="ask\x1b[31m",
            response="answer",
            cost_cad="0.5",
        ),
    )
    return requests


def test_rates_come_from_csv_and_json_alike(cli, asked, tmp_path):
    table, listed = tmp_path / "rates.csv", tmp_path / "rates.json"
    table.write_text(CSV)
    listed.write_text(
        '[{"currency": "USD", "rate_to_cad": 1.4012, "valid_from": "2026-11-01", "source": "bank"},'
        ' {"currency": "EUR", "rate_to_cad": "1.5", "valid_from": "2026-11-02"}]'
    )

    out = cli("rates", "import", str(table)).out
    cli("rates", "import", str(listed), "--json")

    assert out == "1 rates added, 1 there already.\n"
    assert asked[0] == asked[1]
    first, second = asked[0].rates
    assert (first.currency, first.rate_to_cad, first.source) == ("USD", "1.4012", "bank")
    assert (second.rate_to_cad, second.valid_from) == ("1.5", "2026-11-02")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must name the columns"),
        ("currency,rate_to_cad\nUSD,1\n", "must name the columns"),
        ("currency,rate_to_cad,valid_from,x\nUSD,1,2026-11-01,2\n", "must name the columns"),
        ("currency,rate_to_cad,valid_from\n", "no rates"),
        ("currency,rate_to_cad,valid_from\nUSD,1.4,2026-11-01\nusd,1,2026-11-01\n", "line 3"),
        ("currency,rate_to_cad,valid_from\nUSD,0,2026-11-01\n", "above 0"),
        ("currency,rate_to_cad,valid_from\nUSD,NaN,2026-11-01\n", "above 0"),
        ("currency,rate_to_cad,valid_from\nUSD,1.123456789,2026-11-01\n", "8 places"),
        ("currency,rate_to_cad,valid_from\nUSD,1,01/11/2026\n", "must be a day"),
        ("currency,rate_to_cad,valid_from\nUSD,1,2026-11-01,more,still\n", "too many"),
        ('currency,rate_to_cad,valid_from\n"USD,1,2026-11-01\n', "line"),
        ("[1]", "item 1"),
        ("[", "no JSON"),
        ("{}", "must be a list"),
        ('[{"currency": "USD", "rate": 1, "valid_from": "2026-11-01"}]', "rate is not known"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_line(cli, asked, tmp_path, text, says):
    path = tmp_path / "rates"
    path.write_text(text)

    ended = cli("rates", "import", str(path))

    assert (ended.status, asked) == (2, [])
    assert says in ended.err
    assert cli("rates", "import", str(tmp_path / "none")).status == 2


def test_rates_are_listed_with_their_age(cli, asked):
    lines = cli("rates", "list", "--currency", "USD").out.splitlines()
    assert lines[1].split() == ["USD", "1.40", "2026-10-01", "bank", "older", "than", "30", "days"]
    assert cli("rates", "list", "--json").document()["rates"][0]["currency"] == "USD"
    assert asked[0].currency == "USD"


def test_models_are_shown_and_stated_list_by_list(cli, asked):
    shown = cli("project", "models", "show", "calc").out
    assert "a-*" in shown
    assert "x = a-1" in shown
    assert "openai to our-vllm" in shown

    cli("project", "models", "set", "calc", "--allow", "b", "--allow", "c", "--keep-bodies")
    cli("project", "models", "set", "calc", "--allow-all", "--alias", "", "--route", "openai=o")

    first, second = (one.policy for one in asked if hasattr(one, "policy"))
    assert list(first.allowed) == ["b", "c"]
    assert first.keep_bodies
    assert [one.name for one in first.aliases] == ["x"]
    assert not second.allowed
    assert not second.aliases
    assert [(one.api, one.upstream) for one in second.routes] == [("openai", "o")]


def test_models_come_from_a_file_in_place_of_what_was_stated(cli, asked, tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(
        'allowed = ["m-*"]\nprovider_features = ["web_search"]\nkeep_bodies = true\n'
        '[aliases]\nfast = "m-1"\n[routes]\nopenai = "our-vllm"\n'
    )
    cli("project", "models", "set", "calc", "--file", str(path), "--json")

    (request,) = asked
    assert list(request.policy.allowed) == ["m-*"]
    assert (request.policy.aliases[0].name, request.policy.aliases[0].model) == ("fast", "m-1")
    assert request.policy.routes[0].upstream == "our-vllm"
    assert request.policy.keep_bodies


@pytest.mark.parametrize(
    "text",
    ["allow = []", "aliases = 7", "allowed = 7", "keep_bodies = 'no'", "[", "routes = {a=1}"],
)
def test_a_file_of_models_that_makes_no_sense_is_refused(cli, asked, tmp_path, text):
    path = tmp_path / "models.toml"
    path.write_text(text)
    assert cli("project", "models", "set", "calc", "--file", str(path)).status == 2
    assert asked == []


def test_pairs_need_both_sides_and_lists_one_option(cli, asked):
    for arguments in (["--alias", "x"], ["--route", "=y"], ["--allow", "a", "--allow-all"]):
        assert cli("project", "models", "set", "calc", *arguments).status == 2
    assert asked == []


def test_a_kept_call_is_shown_escaped(cli, asked):
    ended = cli("call", "019AE0C0-1111-7000-8000-000000000001")
    assert asked[0].request_id == "019ae0c0-1111-7000-8000-000000000001"
    assert "\x1b" not in ended.out
    assert "answer" in ended.out
    assert (
        cli("call", "019ae0c0-1111-7000-8000-000000000001", "--json").document()["model"] == "a-1"
    )
    assert cli("call", "019ae0c0").status == 2


def test_status_tells_of_parked_calls(cli, asked):
    ended = cli("status")
    assert "The quota of the key for anthropic is used up until 2026-10-01 00:01:00 UTC" in (
        ended.out + ended.err
    )
    assert "3 calls wait, the oldest for 12 s" in ended.out + ended.err
    parked = json.loads(cli("status", "--json").out)["parked"]
    assert parked[0]["projects"][0]["calls"] == 3


def test_status_tells_which_machines_wait_for_a_person(cli, plane):
    machine = checkpoints_pb2.RunningMachine(
        machine_id="7" * 36, project_name="calc", machine_type="claude-code", status="working"
    )
    plane.machines.append(machine)
    assert "working" in cli("status").out
    plane.approvals.append(
        approvals_pb2.Approval(id="8" * 36, machine_id=machine.machine_id, kind="tool_use")
    )
    ended = cli("status")
    assert "waits for a person" in ended.out
    assert "1 request waits for a person; see `autovibe inbox`." in ended.out + ended.err
    assert json.loads(cli("status", "--json").out)["waiting"][0]["kind"] == "tool_use"

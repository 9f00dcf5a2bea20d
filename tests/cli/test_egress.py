"""Hosts that a project's machines may reach, and budgets that are nearly used up."""

from __future__ import annotations

import pytest

from autovibe.v1 import projects_pb2


def stated(plane) -> list[projects_pb2.SetEgressRequest]:
    return [one for one in plane.requests if isinstance(one, projects_pb2.SetEgressRequest)]


def test_egress_is_shown_and_nothing_is_changed(cli, plane):
    shown = cli("project", "egress", "website")
    assert "reach no host" in shown.out
    assert "config.toml" in shown.out
    assert stated(plane) == []
    assert cli("project", "egress", "website", "--json").document() == {
        "allow": [],
        "inherited": True,
    }


def test_hosts_are_added_and_removed(cli, plane):
    cli(
        "project",
        "egress",
        "website",
        "--allow",
        "Packages.Example.net",
        "--allow",
        "*.example.org:8443",
    )
    added = cli(
        "project",
        "egress",
        "website",
        "--allow",
        "packages.example.net",
        "--allow",
        "npm.example.net",
    )
    assert added.out.split() == ["packages.example.net", "*.example.org:8443", "npm.example.net"]
    assert cli("project", "egress", "website", "--remove", "npm.example.net").out.split() == [
        "packages.example.net",
        "*.example.org:8443",
    ]
    assert (
        cli("project", "egress", "website", "--none", "--allow", "a.example").out == "a.example\n"
    )
    assert cli("project", "egress", "website", "--inherit").status == 0
    assert stated(plane)[-1].egress == projects_pb2.Egress(inherited=True)
    assert [one.project for one in stated(plane)] == ["website"] * 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--allow", "*"), "names no host"),
        (("--allow", "https://packages.example.net"), "without a scheme"),
        (("--remove", "packages.example.net"), "not on the list"),
        (("--inherit", "--allow", "packages.example.net"), "leave out --allow"),
    ],
)
def test_what_makes_no_sense_is_refused(options, says, cli, plane):
    refused = cli("project", "egress", "website", *options)
    assert refused.status == 2
    assert says in refused.err
    assert stated(plane) == []


def test_status_and_usage_tell_of_budgets_that_are_nearly_used_up(cli, plane):
    cli("project", "create", "calc")
    for command in ("status", "usage"):
        quiet = cli(command)
        assert "nearly used up" not in quiet.out + quiet.err
    plane.budget_used = "4"
    said = "The total money budget of project calc is nearly used up: 4.00 of 5.00 CAD."
    assert said in cli("status").out
    assert said in cli("usage").out
    for command in ("status", "usage"):
        (low,) = cli(command, "--json").document()["low_budgets"]
        assert low["used_amount"] == "4"
    plane.budget_used = "5"
    assert "is used up: 5.00 of 5.00 CAD." in cli("status").out

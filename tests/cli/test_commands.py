"""The commands that read and change what is there."""

from __future__ import annotations

import pytest

from autovibe.v1 import checkpoints_pb2


def of(plane, kind):
    return [request for request in plane.requests if type(request).__name__ == kind]


@pytest.fixture
def task(cli, plane, repo):
    """A task that was run, alone in the plane's list of requests."""
    cli("run", "Mend it", "--repo", str(repo), "--quiet")
    plane.requests.clear()
    (found,) = plane.tasks.values()
    return found


def test_project_is_created_listed_and_shown(cli, plane):
    assert "Created project site" in cli("project", "create", "site", "--description", "Ours").out
    assert "site" in cli("project", "list").out
    shown = cli("project", "show", "site").out
    assert "description" in shown
    assert "Ours" in shown
    assert cli("project", "show", "site", "--json").document()["name"] == "site"
    (created,) = of(plane, "CreateProjectRequest")
    assert created.name == "site"


def test_project_errors_have_their_exit_status(cli):
    assert cli("project", "show", "nothing").status == 2
    assert cli("project", "create", "  ").status == 2
    cli("project", "create", "site")
    assert cli("project", "create", "site").status == 1


def test_lists_are_cut_at_their_limit_and_say_so(cli):
    for number in range(7):
        cli("project", "create", f"p{number}")
    out = cli("project", "list", "--limit", "5").out
    assert [line.split()[0] for line in out.splitlines()[1:6]] == [f"p{n}" for n in range(5)]
    assert "--limit" in out.splitlines()[6]
    document = cli("project", "list", "--limit", "5", "--json").document()
    assert len(document["projects"]) == 5
    assert document["next_page_token"] == "5"
    assert cli("project", "list", "--limit", "7", "--json").document()["next_page_token"] == ""


def test_long_list_is_read_page_by_page(cli, plane, monkeypatch):
    monkeypatch.setattr("autovibe.cli.client.paging.PAGE", 2)
    for number in range(5):
        cli("project", "create", f"p{number}")
    plane.requests.clear()
    assert len(cli("project", "list", "--json").document()["projects"]) == 5
    assert [r.page_size for r in of(plane, "ListProjectsRequest")] == [2, 2, 2]


def test_empty_lists_say_what_to_do(cli):
    assert "autovibe run" in cli("project", "list").out
    assert "autovibe run" in cli("task", "list").out
    assert cli("checkpoint", "list").out == "No checkpoints.\n"


def test_tasks_are_listed_by_status_and_shown_by_short_id(cli, task):
    assert task.id[:8] in cli("task", "list").out
    assert task.id[:8] not in cli("task", "list", "--status", "failed").out
    shown = cli("task", "show", task.id[:8]).out
    assert task.id in shown
    assert "completed after" in shown
    document = cli("task", "show", task.id[:8], "--json").document()
    assert document["id"] == task.id
    assert document["result"]["cost_cad"] == "0.012345"
    assert cli("task", "show", "ffffffff0").status == 2


def test_logs_show_every_line_escaped_with_its_time(cli, task):
    out = cli("logs", task.id[:8]).out
    lines = out.splitlines()
    assert len(lines) == 6
    assert lines[1].split()[1] == "says"
    assert all(line[2] == ":" for line in lines)
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    entries = cli("logs", task.id, "--json").document()["entries"]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[2]["event"]["kind"] == "call"


def test_logs_show_long_messages_whole_where_the_live_view_cuts_them(cli, plane, repo):
    async def talks(plane, task):
        plane.log(task, "agent", "\n".join(f"line {n}\tx" for n in range(40)), event="message")
        plane.end(task, "completed")

    plane.agent = talks
    live = cli("run", "x", "--repo", str(repo)).out
    assert "line 11\tx" in live
    assert "line 12\tx" not in live
    assert "… 28 more lines" in live
    (task_id,) = plane.tasks
    assert "line 39\tx" in cli("logs", task_id).out


def test_followed_logs_end_with_the_task_and_survive_a_lost_connection(cli, plane, task):
    plane.embedded = False
    plane.unavailable = 2
    ended = cli("logs", task.id[:8], "-f")
    assert ended.status == 0
    assert len(ended.out.splitlines()) == 6


def test_followed_logs_in_json_are_one_document_a_line(cli, task):
    lines = cli("logs", task.id, "-f", "--json").out.splitlines()
    assert len(lines) == 6
    assert all(line.startswith('{"execution_id"') for line in lines)


@pytest.mark.usefixtures("task")
def test_checkpoints_are_listed_and_shown_with_their_files(cli):
    out = cli("checkpoint", "list").out
    assert "genesis" in out
    assert "1.0 TiB" in out
    (found,) = cli("checkpoint", "list", "--json").document()["checkpoints"]
    assert found["size_bytes"] == 2**40
    shown = cli("checkpoint", "show", found["id"][:8], "--files")
    assert found["id"] in shown.out
    assert "0644" in shown.out
    assert "\x1b" not in shown.out
    document = cli("checkpoint", "show", found["id"], "--files", "--json").document()
    assert document["files"][0]["size"] == 2**40
    assert "files" not in cli("checkpoint", "show", found["id"], "--json").document()
    assert cli("checkpoint", "show", "ffffffff0").status == 2


@pytest.mark.parametrize(
    ("detection", "shown"),
    [
        (checkpoints_pb2.Detection(), ""),
        (checkpoints_pb2.Detection(method="walk", audited=True), "looking at every file"),
        (checkpoints_pb2.Detection(method="inotify"), "inotify"),
        (
            checkpoints_pb2.Detection(method="inotify", audited=True, missed=["workspace/a"]),
            "inotify and by looking at every file; 1 change had been missed",
        ),
    ],
)
def test_a_checkpoint_says_how_its_changes_were_found(cli, plane, detection, shown):
    own = checkpoints_pb2.Checkpoint(id="11111110-own", detection=detection)
    cli("project", "list")
    plane.checkpoints[own.id] = own
    lines = cli("checkpoint", "show", own.id).out.splitlines()
    found = [line.removeprefix("changes found by").strip() for line in lines if "found by" in line]
    assert found == ([shown] if shown else [])


def test_checkpoints_of_a_task_are_those_of_all_its_machines(cli, plane, task):
    plane.results[task.id].machine_ids.append("a-later-machine")
    for number, machine_id in enumerate(plane.results[task.id].machine_ids):
        own = checkpoints_pb2.Checkpoint(id=f"1111111{number}-own", creating_machine_id=machine_id)
        plane.checkpoints[own.id] = own
    listed = cli("checkpoint", "list", "--task", task.id[:8], "--json").document()["checkpoints"]
    assert [item["id"] for item in listed] == ["11111110-own", "11111111-own"]


def test_a_task_without_a_machine_has_no_checkpoints(cli, plane, task):
    del plane.results[task.id]
    cli("project", "list")
    listed = cli("checkpoint", "list", "--task", task.id, "--json").document()["checkpoints"]
    assert listed == []


def test_diff_lists_changes_or_shows_the_patch_escaped(cli, plane):
    out = cli("checkpoint", "diff", "12345678").out
    assert out.startswith("modified  a\\x1b[2J")
    patch = cli("checkpoint", "diff", "12345678", "87654321", "--patch", "--home").out
    assert "-x\t\n" in patch
    assert "\x1b" not in patch
    request = plane.requests[-1]
    assert (request.base_checkpoint_id, request.home, request.without_git) == (
        "87654321",
        True,
        True,
    )
    exact = cli("checkpoint", "diff", "12345678", "--patch", "--json").document()["patch"]
    assert "\x1b[2J" in exact


def test_verify_exits_1_for_a_damaged_checkpoint(cli, plane):
    whole = cli("checkpoint", "verify", "12345678")
    assert (whole.status, whole.out) == (0, "12345678 is whole: 1 object, 10 B read.\n")
    plane.whole = False
    damaged = cli("checkpoint", "verify", "12345678")
    assert damaged.status == 1
    assert "  a\\x1b[2J" in damaged.out
    assert cli("checkpoint", "verify", "12345678", "--json").status == 1


def test_restore_gives_the_service_an_absolute_directory(cli, plane, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("checkpoint", "restore", "12345678", "--to", "out", "--path", "src", "--json")
    (request,) = of(plane, "RestoreCheckpointRequest")
    assert request.directory == str(tmp_path / "out")
    assert request.path == "src"
    assert not request.exact
    assert ended.document()["bytes"] == 2**33
    assert cli("checkpoint", "restore", "12345678", "--to", " ").status == 2


def test_apply_says_what_it_did_and_left_out(cli, plane, task):
    out = cli("apply", task.id[:8], "--branch", "mine").out
    assert "Branch mine has 1 file changed in commit cccccccccccc." in out
    assert "  x.log" in out
    (request,) = of(plane, "ApplyTaskRequest")
    assert (request.branch, request.include_ignored) == ("mine", False)
    assert cli("apply", task.id, "--include-ignored", "--json").document()["commit"] == "c" * 40


def test_budget_is_set_and_listed(cli, plane, task):
    out = cli("budget", "set", "calc", "money", "2USD", "--period", "daily", "--force").out
    assert out == "calc may use 2.00 CAD of money (daily): 3.00 used, -1.00 left.\n"
    (request,) = of(plane, "SetBudgetRequest")
    assert (request.amount, request.budget_period, request.force) == ("2USD", "daily", True)
    cli("budget", "set", "calc", "time", "60", "--task", task.id[:8])
    assert of(plane, "SetBudgetRequest")[1].task_id == task.id
    listed = cli("budget", "list", "calc").out
    assert listed.splitlines()[1].split() == [
        "calc",
        "money",
        "total",
        "5.00",
        "1.50",
        "0.00",
        "3.50",
        "CAD",
    ]
    (item,) = cli("budget", "list", "--json").document()["budgets"]
    assert item["allocated_amount"] == "5.000000"


def test_budget_is_raised_and_set_to_its_share(cli, plane, task):
    out = cli("budget", "raise", "calc", "money", "1USD", "--task", task.id[:8]).out
    assert out == "calc may use 2.00 CAD of money (total): 3.00 used, -1.00 left.\n"
    (request,) = of(plane, "RaiseBudgetRequest")
    assert (request.amount, request.task_id, request.budget_period) == ("1USD", task.id, "total")
    assert cli("budget", "set", "calc", "cpu", "--period", "daily", "--json").document()["unit"]
    (request,) = of(plane, "SetBudgetRequest")
    assert (request.amount, request.budget_period) == ("", "daily")


@pytest.mark.parametrize("amount", ["much", "-1", "1e3", "2EUR", ""])
def test_malformed_amounts_are_refused_before_anything_is_done(amount, cli, plane):
    assert cli("budget", "set", "calc", "money", "--", amount).status == 2
    assert cli("budget", "set", "calc", "api_calls", "--", amount).status == 2
    assert cli("budget", "raise", "calc", "money", "--", amount).status == 2
    assert plane.requests == []


def test_usage_shows_cost_rate_and_what_is_uncertain(cli, plane, task):
    out = cli("usage", "--project", "calc", "--task", task.id[:8]).out
    assert "a-model" in out
    assert "0.0123 CAD in 1 model call." in out
    assert "1 call counted at the full hold" in out
    assert "1 USD = 1.38 CAD (2025-10-09)" in out
    (request,) = of(plane, "GetUsageRequest")
    assert (request.project, request.task_id) == ("calc", task.id)
    document = cli("usage", "--json").document()
    assert document["cost_cad"] == "0.0123"
    assert document["rate"]["stale"] is False


def test_a_task_is_deleted_only_when_somebody_says_yes(cli, plane, task):
    done = cli("task", "delete", task.id[:8])
    assert done.status == 2
    assert f"Delete task {task.id[:8]} ({task.title})? Say so with --yes." in done.err
    assert task.id in plane.tasks
    assert "is deleted." in cli("task", "delete", task.id[:8], "--yes").out
    assert task.id not in plane.tasks


def test_machines_are_listed_with_what_they_left(cli, plane):
    out = cli("machine", "list", "--status", "terminated", "--project", "calc").out
    assert "m-1" in out
    (request,) = of(plane, "ListMachinesRequest")
    assert (list(request.statuses), request.project) == (["terminated"], "calc")
    assert cli("machine", "list", "--json").document()["machines"][0]["checkpoint_count"] == 2


def test_a_machine_is_purged_only_when_somebody_says_yes(cli, plane):
    done = cli("machine", "purge", "m-1")
    assert done.status == 2
    assert "Delete machine m-1 and 2 checkpoints (2.0 KiB stored) for good? Say so with" in done.err
    assert "would be deleted" in cli("machine", "purge", "m-1", "--dry-run").out
    assert all(request.dry_run for request in of(plane, "PurgeMachineRequest"))
    plane.requests.clear()
    document = cli("machine", "purge", "m-1", "--yes", "--json").document()
    assert (document["dry_run"], document["checkpoints"]) == (False, 2)
    assert not of(plane, "PurgeMachineRequest")[-1].dry_run


def test_an_audit_of_usage_adds_up_its_pages(cli, plane):
    done = cli("usage", "audit")
    assert done.status == 0
    assert "3 budgets, 1 daily sum and 1,000 settled calls" in done.out
    assert "rows of usage, 900 costs worked out again from prices and usage: 0 diff" in done.out
    plane.off = ["calc, money: the budget is off by 1."]
    done = cli("usage", "audit", "--project", "calc")
    assert done.status == 1
    assert done.out.startswith("calc, money: the budget is off by 1.\n")
    assert done.out.endswith("from prices and usage: 1 difference.\n")
    done = cli("usage", "audit", "--json")
    assert done.status == 1
    assert done.document()["differences"][0]["kind"] == "used"
    assert done.document()["calls"] == 1_000


def test_rebuilding_usage_tells_of_each_call(cli, plane):
    out = cli("usage", "rebuild", "--dry-run", "--project", "calc").out
    assert "2 rows of 1 call are missing." in out
    (request,) = of(plane, "RebuildUsageRequest")
    assert (request.dry_run, request.project) == (True, "calc")
    assert "2 rows of 1 call were put back." in cli("usage", "rebuild").out
    document = cli("usage", "rebuild", "--json").document()
    assert (document["dry_run"], document["calls"][0]["source"]) == (False, "log")


def test_result_without_a_project_name_gets_it(cli, plane, task):
    plane.results[task.id].project_name = ""
    plane.projects[task.project_id] = plane.projects["calc"]
    document = cli("task", "show", task.id, "--json").document()
    assert document["result"]["project_name"] == "calc"

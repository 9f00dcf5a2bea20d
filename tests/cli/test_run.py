"""`autovibe run`: from the order to the exit status."""

from __future__ import annotations

import pytest

from autovibe.kernel.errors import Code
from autovibe.v1 import checkpoints_pb2

FIELDS = {
    "task_id",
    "execution_id",
    "machine_id",
    "project_id",
    "status",
    "base_checkpoint_id",
    "result_checkpoint_id",
    "checkpoint_count",
    "cost_cad",
    "api_calls",
    "duration_s",
    "files_changed",
    "error",
}


def of(plane, kind):
    return [request for request in plane.requests if type(request).__name__ == kind]


def test_run_shows_what_happens_and_what_it_came_to(cli, plane, repo):
    ended = cli("run", "Mend it", "--repo", str(repo))
    assert (ended.status, ended.err) == (0, "")
    (task,) = plane.tasks.values()
    lines = ended.out.splitlines()
    assert lines[0] == "project     calc was created"
    assert lines[1].startswith(
        "import      4 files, with uncommitted changes · saved as checkpoint"
    )
    first = lines[2]
    assert first.startswith(f"task        {task.id[:8]} · project calc · claude_code")
    assert "isolation auto · budget 5.00 CAD · 1 USD = 1.38 CAD (2025-10-09)" in first
    call = next(line for line in lines if line.startswith("call"))
    assert "a-model · 0.0124 CAD (spent 0.0124 of 5.00) · 1,200 in, 34 out · 0.4s" in call
    checkpoint = next(line for line in lines if line.startswith("checkpoint"))
    assert "automatic · 1 file changed" in checkpoint
    assert "verified" in checkpoint
    assert f"Task {task.id[:8]} completed after 1.5s." in ended.out
    assert "spent          0.0124 of 5.00 CAD" in ended.out
    assert f"autovibe apply {task.id[:8]}" in ended.out


def test_run_prints_nothing_of_a_machine_unescaped(cli, repo):
    ended = cli("run", "Mend it", "--repo", str(repo))
    for hidden in ("\x1b", "\x07", "\u202e"):
        assert hidden not in ended.out
    assert "\\x1b[2J" in ended.out


def test_run_json_is_the_result_and_nothing_else(cli, plane, repo):
    ended = cli("run", "Mend it", "--repo", str(repo), "--json")
    assert (ended.status, ended.err) == (0, "")
    document = ended.document()
    assert document.keys() >= FIELDS
    assert document["task_id"] == next(iter(plane.tasks))
    assert document["cost_cad"] == "0.012345"
    assert document["checkpoint_count"] == 3
    assert document["api_calls"] == 2
    assert document["error"] is None
    assert document["files_changed"][0].keys() == {"path", "change"}
    assert "\x1b" not in ended.out


def test_quiet_run_shows_the_result_only(cli, repo):
    ended = cli("run", "Mend it", "--repo", str(repo), "--quiet")
    assert ended.out.splitlines()[1].startswith("Task ")
    assert "call " not in ended.out


@pytest.mark.parametrize(
    ("status", "reason", "exit_status"),
    [
        ("failed", "AGENT_FAILED", 1),
        ("blocked", "BUDGET_EXHAUSTED", 3),
        ("blocked", "BUDGET_HELD", 3),
        ("blocked", "NO_BUDGET", 3),
        ("blocked", "WAITING_FOR_APPROVAL", 4),
        ("failed", "TASK_TIMED_OUT", 5),
        ("blocked", "INTERRUPTED", 130),
    ],
)
def test_exit_status_says_how_the_task_ended(  # noqa: PLR0917  # fixtures and parameters
    status, reason, exit_status, cli, plane, repo, fakes
):
    plane.agent = fakes.ends(status, reason)
    ended = cli("run", "Mend it", "--repo", str(repo), "--json")
    assert ended.status == exit_status
    document = ended.document()
    assert document["status"] == status
    assert document["error"] == {"reason": reason, "message": "Something was the matter."}
    assert cli("run", "Mend it", "--repo", str(repo)).status == exit_status


def test_paused_run_says_how_to_go_on(cli, plane, repo, fakes):
    plane.agent = fakes.ends("blocked", "BUDGET_EXHAUSTED")
    out = cli("run", "Mend it", "--repo", str(repo)).out
    assert "blocked (BUDGET_EXHAUSTED)" in out
    assert "autovibe checkpoint restore" in out
    (task_id,) = plane.tasks
    assert f"autovibe task resume {task_id[:8]} --budget AMOUNT" in out


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        ("failed", "TASK_TIMED_OUT", "autovibe task resume {} --timeout DURATION\n"),
        ("blocked", "INTERRUPTED", "autovibe task resume {}\n"),
        ("failed", "AGENT_FAILED", "autovibe task resume {}\n"),
    ],
)
def test_stopped_run_says_how_to_go_on(  # noqa: PLR0917  # fixtures and parameters
    status, reason, advice, cli, plane, repo, fakes
):
    plane.agent = fakes.ends(status, reason)
    out = cli("run", "Mend it", "--repo", str(repo)).out
    (task_id,) = plane.tasks
    assert advice.format(task_id[:8]) in out


def test_run_finds_out_that_it_can_run_before_anything_is_made(cli, plane, repo):
    assert cli("run", "x", "--repo", str(repo), "--agent", "nobody", "--json").status == 2
    assert [type(request).__name__ for request in plane.requests] == ["CheckTaskContextRequest"]
    plane.requests.clear()
    cli("run", "x", "--repo", str(repo), "--model", "a-model", "--isolation", "process")
    (checked,) = of(plane, "CheckTaskContextRequest")
    assert (checked.context.model, checked.context.isolation) == ("a-model", "process")
    assert type(plane.requests[0]) is type(checked)


def test_options_reach_the_services(cli, plane, repo):
    ended = cli(
        "run",
        "Mend it\nplease",
        "--repo",
        f"{repo}/../calc",
        "--project",
        "other",
        "--model",
        "a-model",
        "--budget",
        "2.00CAD",
        "--isolation",
        "process",
        "--timeout",
        "1h30m",
        "--exclude",
        "*.bin",
        "--exclude",
        "*.iso",
        "--yes-i-trust-this-agent",
        "--",
        "--max-turns",
        "3",
    )
    assert ended.status == 0
    (ensured,) = of(plane, "EnsureProjectRequest")
    assert (ensured.project, ensured.repo_path) == ("other", str(repo))
    (imported,) = of(plane, "ImportDirectoryRequest")
    assert (imported.directory, list(imported.exclude)) == (str(repo), ["*.bin", "*.iso"])
    (created,) = of(plane, "CreateTaskRequest")
    context = created.context
    assert created.description == "Mend it\nplease"
    assert created.budget == "2.00CAD"
    assert created.start
    assert (context.agent, context.model, context.isolation) == (
        "claude_code",
        "a-model",
        "process",
    )
    assert context.timeout_s == 5400
    assert list(context.agent_args) == ["--max-turns", "3"]
    assert context.trust_agent
    assert (context.repo_path, context.head_commit, context.dirty) == (str(repo), "c0ffee", True)
    assert created.base_checkpoint_id == next(iter(plane.checkpoints))


def test_command_behind_the_dashes_is_the_shell_agents_and_its_prompt(cli, plane, repo):
    ended = cli("run", "--agent", "shell", "--repo", str(repo), "--", "make", "a b", "--", "--json")
    assert ended.status == 0
    (created,) = of(plane, "CreateTaskRequest")
    assert list(created.context.agent_args) == ["make", "a b", "--", "--json"]
    assert created.description == "make 'a b' -- --json"


def test_run_without_a_directory_makes_no_project(cli, plane):
    assert cli("run", "Mend it", "--project", "site").status == 2
    assert plane.projects == {}


def test_run_without_a_directory_starts_from_the_project(cli, plane):
    cli("project", "create", "site")
    ended = cli("run", "Mend it", "--project", "site")
    assert ended.status == 0
    assert not of(plane, "ImportDirectoryRequest")
    (created,) = of(plane, "CreateTaskRequest")
    assert created.base_checkpoint_id == ""
    assert created.context.repo_path == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "--repo", "."), "prompt is empty"),
        ((" \n", "--repo", "."), "prompt is empty"),
        (("x", "--repo", "/nowhere/at/all"), "does not exist"),
        (("x", "--repo", __file__), "is not a directory"),
        (("x", "--repo", ""), "give --repo"),
        (("x",), "--repo DIR"),
        (("x", "--repo", ".", "--budget", "much"), "amount of money"),
        (("x", "--repo", ".", "--budget", "2EUR"), "amount of money"),
        (("x", "--repo", ".", "--timeout", "soon"), "duration"),
        (("x", "--repo", ".", "--timeout", "0"), "duration"),
        (("x", "--repo", ".", "--agent", "shell"), "needs a command"),
        (("x", "--repo", ".", "--isolation", "none"), "isolation"),
    ],
)
def test_bad_input_is_refused_before_anything_is_done(arguments, said, cli, plane):
    ended = cli("run", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("autovibe: error: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err
    assert plane.requests == []


def test_unknown_agent_is_refused_by_the_service(cli, repo):
    ended = cli("run", "x", "--repo", str(repo), "--agent", "nobody")
    assert ended.status == 2
    assert "nobody" in ended.err


def test_stale_rate_is_said(cli, plane, repo):
    plane.stale = True
    assert "older than 30 days" in cli("run", "x", "--repo", str(repo)).out


def test_missing_rate_stops_nothing(cli, plane, repo, fakes):
    refusal = fakes.RefusedError(Code.FAILED_PRECONDITION, "NO_EXCHANGE_RATE")
    plane.refusals["GetExchangeRateRequest"] = refusal
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 0
    assert "no USD rate" in ended.out


def test_secrets_are_left_out_and_said_without_a_terminal(cli, plane, repo):
    plane.findings = [checkpoints_pb2.SecretFinding(path=".env\x1b[2J", why="name")]
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 0
    assert "left out 1 file that looks like a secret: .env\\x1b[2J" in ended.out
    (imported,) = of(plane, "ImportDirectoryRequest")
    assert not imported.include_secrets


def test_include_secrets_is_not_asked_about(cli, plane, repo):
    plane.findings = [checkpoints_pb2.SecretFinding(path=".env", why="name")]
    assert cli("run", "x", "--repo", str(repo), "--include-secrets").status == 0
    assert not of(plane, "ScanSecretsRequest")
    (imported,) = of(plane, "ImportDirectoryRequest")
    assert imported.include_secrets


def test_failure_to_start_is_one_sentence(cli, plane, repo, fakes):
    plane.agent = fakes.refuses
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 1
    assert ended.err == "autovibe: error: No isolation works here.\n"
    assert "machine     spawning" in ended.out


def test_failure_to_start_is_one_document_in_json(cli, plane, repo, fakes):
    plane.agent = fakes.refuses
    ended = cli("run", "x", "--repo", str(repo), "--json")
    assert ended.status == 1
    assert ended.document()["error"]["reason"] == "NO_ISOLATION"
    assert ended.err == "autovibe: error: No isolation works here.\n"


def test_defect_while_working_is_no_traceback(cli, plane, repo, fakes):
    plane.agent = fakes.crashes
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 1
    assert "a defect" in ended.err
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err


def test_remote_run_follows_a_server_that_goes_away_for_a_moment(cli, plane, repo, monkeypatch):
    monkeypatch.setattr("autovibe.cli.client.following._LONGEST_PAUSE_S", 0.01)
    plane.embedded = False
    plane.unavailable = 5
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 0
    assert ended.out.count("\ncall ") == 1
    assert len(of(plane, "ListTaskLogsRequest")) > 5


def test_remote_run_gives_up_on_a_server_that_stays_away(cli, plane, repo, monkeypatch):
    monkeypatch.setattr("autovibe.cli.client.following._LONGEST_PAUSE_S", 0.01)
    plane.embedded = False
    plane.unavailable = 1000
    ended = cli("run", "x", "--repo", str(repo))
    assert ended.status == 1
    assert "cannot be reached" in ended.err


def test_long_log_is_read_page_by_page(cli, plane, repo):
    async def talks(plane, task):
        for number in range(1203):
            plane.log(task, "output", f"line {number}")
        plane.end(task, "completed")

    plane.agent = talks
    out = cli("run", "x", "--repo", str(repo)).out.splitlines()
    lines = [line for line in out if line.startswith("output")]
    assert lines == [f"output      line {number}" for number in range(1203)]


def test_result_outside_git_is_said_to_be_applicable_as_a_patch_only(cli, plane, repo):
    imported = plane.import_directory

    async def import_directory(request):
        answer = await imported(request)
        answer.head_commit = ""
        return answer

    plane.import_directory = import_directory
    out = cli("run", "x", "--repo", str(repo)).out
    (task_id,) = plane.tasks
    assert f"autovibe apply {task_id[:8]} --patch FILE\n" in out
    assert "autovibe checkpoint restore" in out


def test_piped_run_imports_no_rich(process, repo, tmp_path):
    modules = tmp_path / "modules"
    child = process(
        "completes", "run", "x", "--repo", str(repo), env={"FAKE_MODULES": str(modules)}
    )
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    loaded = set(modules.read_text().split())
    assert "autovibe.cli.client.run" in loaded
    assert not {"rich", "sqlalchemy", "grpc", "fastapi", "aiohttp", "autovibe.app"} & loaded
    assert "\x1b" not in out


def test_reader_that_goes_away_does_not_stop_the_task(process, repo, tmp_path):
    requests = tmp_path / "requests"
    child = process(
        "completes", "run", "x", "--repo", str(repo), env={"FAKE_REQUESTS": str(requests)}
    )
    child.stdout.close()
    child.wait(60)
    assert "GetTaskResultRequest" in requests.read_text()
    assert "Traceback" not in child.stderr.read()

"""Resume, retry, cancel and fork: a task goes on as a run does, or says why not."""

from __future__ import annotations

import signal

import pytest


def of(plane, kind):
    return [request for request in plane.requests if type(request).__name__ == kind]


@pytest.fixture
def stopped(cli, plane, repo, fakes):
    """A task that its budget stopped; whatever works on it next completes it."""
    plane.agent = fakes.ends("blocked", "BUDGET_EXHAUSTED")
    assert cli("run", "Mend it", "--repo", str(repo)).status == 3
    plane.agent = fakes.completes
    plane.requests.clear()
    (task,) = plane.tasks.values()
    return task


@pytest.mark.parametrize("embedded", [True, False])
def test_resume_follows_only_what_comes_and_ends_as_run_does(embedded, cli, plane, stopped):
    plane.embedded = embedded
    ended = cli("task", "resume", stopped.id[:8], "--budget", "5.00CAD", "--timeout", "30m")
    assert (ended.status, ended.err) == (0, "")
    (request,) = of(plane, "ResumeTaskRequest")
    assert (request.budget, request.timeout_s) == ("5.00CAD", 1800)
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"resume      {stopped.id[:8]} · project demo · claude_code")
    assert "budget 5.00 CAD, 0.0124 spent" in lines[0]
    # What was logged before the stop is not shown again.
    assert ended.out.count("machine     working") == 0
    assert ended.out.count("machine     spawning") == 1
    assert f"Task {stopped.id[:8]} completed after 1.5s." in ended.out


def test_resume_prints_the_result_of_the_task_in_json(cli, stopped):
    ended = cli("task", "resume", stopped.id, "--json")
    assert (ended.status, ended.err) == (0, "")
    document = ended.document()
    assert (document["task_id"], document["status"]) == (stopped.id, "completed")
    assert len(document["machine_ids"]) == 2


def test_resume_that_is_stopped_again_has_the_same_exit_status(cli, plane, stopped, fakes):
    plane.agent = fakes.ends("blocked", "BUDGET_EXHAUSTED")
    ended = cli("task", "resume", stopped.id)
    assert ended.status == 3
    assert f"autovibe task resume {stopped.id[:8]} --budget AMOUNT" in ended.out


def test_resume_of_what_cannot_go_on_is_refused_by_the_service(cli, stopped):
    assert cli("task", "resume", stopped.id).status == 0
    ended = cli("task", "resume", stopped.id)
    assert ended.status == 1
    assert ended.err == "autovibe: error: It was refused.\n"
    assert cli("task", "resume", "ffffffff").status == 2


@pytest.mark.parametrize(
    "arguments", [("--budget", "much"), ("--timeout", "soon"), ("--budget", "2EUR")]
)
def test_malformed_limits_are_refused_before_anything_is_done(arguments, cli, plane, stopped):
    assert cli("task", "resume", stopped.id, *arguments).status == 2
    assert plane.requests == []


def test_retry_begins_again_and_is_followed(cli, plane, stopped):
    ended = cli("task", "retry", stopped.id[:8], "--budget", "1USD")
    assert ended.status == 0
    (request,) = of(plane, "RetryTaskRequest")
    assert request.budget == "1USD"
    assert ended.out.startswith("retry       ")


def test_cancel_says_that_checkpoints_stay(cli, plane, stopped):
    ended = cli("task", "cancel", stopped.id[:8])
    assert ended.out == f"Task {stopped.id[:8]} is cancelled; its checkpoints stay.\n"
    assert cli("task", "cancel", stopped.id, "--json").document()["status"] == "cancelled"
    assert len(of(plane, "CancelTaskRequest")) == 2


def test_fork_is_a_new_task_that_is_followed(cli, plane, stopped):
    ended = cli(
        "checkpoint", "fork", "12345678", "Try it otherwise", "--budget", "2.00CAD", "--model",
        "a-model", "--agent", "shell", "--isolation", "process", "--timeout", "90s", "--fresh",
        "--", "make", "-k",
    )  # fmt: skip
    assert (ended.status, ended.err) == (0, "")
    (request,) = of(plane, "ForkCheckpointRequest")
    context = request.context
    assert (request.checkpoint_id, request.description) == ("12345678", "Try it otherwise")
    assert (request.budget, request.fresh_conversation, request.start) == ("2.00CAD", True, True)
    assert (context.agent, context.model, context.isolation) == ("shell", "a-model", "process")
    assert (context.timeout_s, list(context.agent_args)) == (90, ["make", "-k"])
    made = next(task for task in plane.tasks.values() if task.id != stopped.id)
    assert f"Task {made.id[:8]} completed" in ended.out


def test_fork_says_nothing_of_what_it_takes_over(cli, plane):
    assert cli("checkpoint", "fork", "12345678", "Go on", "--json").status == 0
    (request,) = of(plane, "ForkCheckpointRequest")
    assert not request.fresh_conversation
    assert request.context.ByteSize() == 0


def test_fork_without_a_prompt_is_refused_before_anything_is_done(cli, plane):
    assert cli("checkpoint", "fork", "12345678", " ").status == 2
    assert plane.requests == []


DETACHED = [("task", "resume"), ("task", "retry")]


@pytest.mark.parametrize("command", DETACHED)
def test_detach_returns_at_once_where_a_server_goes_on(command, cli, plane, stopped):
    plane.embedded = False
    ended = cli(*command, stopped.id[:8], "--detach")
    assert (ended.status, ended.err) == (0, "")
    assert f"Task {stopped.id[:8]} is queued." in ended.out
    assert f"autovibe logs {stopped.id[:8]} -f" in ended.out
    assert not of(plane, "ListTaskLogsRequest")


def test_detached_fork_prints_its_task(cli, plane):
    plane.embedded = False
    document = cli("checkpoint", "fork", "12345678", "Go on", "--detach", "--json").document()
    assert document["id"] in plane.tasks
    quiet = cli("checkpoint", "fork", "12345678", "Go on", "--detach", "-q").out
    assert quiet.strip() in plane.tasks


@pytest.mark.parametrize("command", DETACHED)
def test_detach_without_a_server_is_refused_before_anything_is_done(command, cli, plane, stopped):
    ended = cli(*command, stopped.id, "--detach")
    assert ended.status == 1
    assert "autovibe up" in ended.err
    assert plane.requests == []
    assert stopped.status == "blocked"


def test_signal_while_a_resumed_task_runs_pauses_it_again(process, tmp_path):
    requests = tmp_path / "requests"
    child = process(
        "stopped:waits", "task", "resume", "0d4b4c4e", env={"FAKE_REQUESTS": str(requests)}
    )
    for line in child.stdout:
        if "machine     working" in line:
            break
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")
    assert "blocked (INTERRUPTED)" in out
    assert "PauseTaskRequest" in requests.read_text()

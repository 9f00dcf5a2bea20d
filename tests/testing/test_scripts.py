"""Scripts from files and command lines, and the demo repository."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.testing.demo_repository import FILES, make_demo_repository
from autovibe.testing.scripts import (
    Fault,
    Script,
    Text,
    ToolUse,
    Turn,
    Usage,
    find_script,
    fix_failing_test,
    load_script,
    steps,
)

EXAMPLE = {
    "name": "example",
    "turns": [
        {
            "blocks": [
                {"type": "text", "text": "Hi"},
                {"type": "tool_use", "name": "Bash", "input": {"command": "ls {{cwd}}"}},
            ],
            "usage": {"input_tokens": 5, "output_tokens": 6},
            "fault": {"status": 529, "times": 2},
        },
        {"blocks": [{"type": "text", "text": "Done"}], "stop_reason": "refusal"},
    ],
}


def test_script_is_read_from_json(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(EXAMPLE))
    first = Turn(
        (Text("Hi"), ToolUse("Bash", {"command": "ls {{cwd}}"})),
        Usage(input_tokens=5, output_tokens=6),
        Fault(status=529, times=2),
    )
    last = Turn((Text("Done"),), stop_reason="refusal")
    assert load_script(path) == find_script(str(path)) == Script((first, last), name="example")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSON"),
        ("{}", "turns"),
        ('{"turns": [{"blocks": [{"type": "image"}]}]}', "turns.0.blocks.0"),
        ('{"turns": [{"blocks": [], "fault": {"status": 200}}]}', "turns.0.fault.status"),
        ('{"turns": [{"blocks": [], "faults": {}}]}', "turns.0.faults"),
        ('{"turns": [{"blocks": [], "usage": {"output_tokens": -1}}]}', "usage.output_tokens"),
    ],
)
def test_file_that_is_no_script_is_refused_with_the_place(tmp_path, text, told):
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError) as caught:
        load_script(path)
    assert told in caught.value.message


@pytest.mark.parametrize("text", ["", "other", "steps", "steps:", "steps:-1", "absent.json"])
def test_unknown_script_is_refused(text):
    with pytest.raises(InvalidArgumentError):
        find_script(text)


def test_shipped_scripts_are_found_by_name():
    assert find_script("demo") == find_script("fix_failing_test") == fix_failing_test()
    assert find_script("steps:3") == steps(3)
    assert len(steps(3).turns) == 4
    assert find_script("plain_text").name == "plain_text"


def run_test(path):
    command = [sys.executable, "-B", "-m", "unittest", "-q", "test_calc"]
    return subprocess.run(command, cwd=path, capture_output=True, check=False).returncode


def git(path, *arguments):
    command = ["git", "-C", str(path), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def test_demo_repository_is_a_clean_git_repository_whose_test_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    commit = make_demo_repository(tmp_path / "demo" / "calc")
    monkeypatch.delenv("GIT_DIR")
    path = tmp_path / "demo" / "calc"
    assert git(path, "rev-parse", "HEAD") == commit
    assert git(path, "status", "--porcelain", "--ignored") == ""
    assert git(path, "branch", "--show-current") == "main"
    assert set(git(path, "ls-files").split()) == set(FILES)
    assert run_test(path) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_edit_of_the_demo_script_makes_the_test_pass_and_its_log_is_ignored(tmp_path):
    make_demo_repository(tmp_path)
    [edit] = [
        b for t in fix_failing_test().turns for b in t.blocks if getattr(b, "name", "") == "Edit"
    ]
    before = (tmp_path / "calc.py").read_text()
    assert before.count(edit.input["old_string"]) == 1
    after = before.replace(edit.input["old_string"], edit.input["new_string"])
    # Equal sizes within one second would leave Python with the old compiled code.
    assert len(after) != len(before)
    (tmp_path / "calc.py").write_text(after)
    (tmp_path / "build.log").write_text("build\n")
    assert run_test(tmp_path) == 0
    assert git(tmp_path, "status", "--porcelain") == "M calc.py"


def test_directory_with_files_is_no_place_for_the_demo_repository(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        make_demo_repository(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


SERVER = [sys.executable, "-m", "autovibe.testing.model_server"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_line_serves_until_it_is_stopped(number):
    command = [*SERVER, "--script", "plain_text", "--port", "0", "--print-url", "--api-key", "k"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        payload = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        call = urllib.request.Request(f"{url}/v1/messages", json.dumps(payload).encode(), headers)
        with urllib.request.urlopen(call) as response:
            answer = json.load(response)
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    assert url.startswith("http://127.0.0.1:")
    assert answer["content"][0]["text"] == "Nothing had to be done."


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--script", "other"], 2),
        (["--host", "0.0.0.0"], 2),
        (["--port", "99999"], 1),
    ],
)
def test_wrong_command_line_is_one_sentence_and_a_status(arguments, status):
    done = subprocess.run([*SERVER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stderr

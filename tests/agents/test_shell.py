"""Any command as an agent."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from autovibe.agents.shell import LineReader, ShellAdapter
from autovibe.domains.machines.agent import AgentRequest
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text


@pytest.fixture
def request_for(tmp_path):
    """Make requests that run a command."""
    base = AgentRequest(
        prompt="Say hello.",
        model=None,
        session_id="s",
        resume=False,
        gateway_url="http://127.0.0.1:9000",
        virtual_key="virtual",
        settings_dir=tmp_path,
    )
    return lambda *argv, **changes: replace(base, extra_args=argv, **changes)


def test_command_is_taken_as_it_stands(request_for):
    launch = ShellAdapter().launch(request_for("printf", "%s", "$HOME `id` *"))
    assert tuple(launch.argv) == ("printf", "%s", "$HOME `id` *")


@pytest.mark.parametrize("argv", [(), ("",), ("", "x"), ("a", "b\0c")])
def test_missing_command_is_refused_with_the_syntax(request_for, argv):
    with pytest.raises(InvalidArgumentError) as caught:
        ShellAdapter().launch(request_for(*argv))
    assert "--agent shell -- COMMAND" in caught.value.message or "NUL" in caught.value.message
    assert caught.value.exit_status == 2


def test_prompt_is_in_the_environment_and_in_a_file(request_for, tmp_path):
    env = ShellAdapter().launch(request_for("true")).env
    assert env["AUTOVIBE_PROMPT"] == "Say hello."
    assert env["AUTOVIBE_PROMPT_FILE"] == "/run/autovibe/settings/prompt.txt"
    assert (tmp_path / "prompt.txt").read_text() == "Say hello."


def test_prompt_that_no_variable_holds_is_refused(request_for):
    with pytest.raises(InvalidArgumentError, match="100001 bytes"):
        ShellAdapter().launch(request_for("true", prompt="x" * 100_001))


def test_gateway_is_given_for_every_dialect(request_for):
    env = ShellAdapter().launch(request_for("true", model="m-1")).env
    assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9000/llm/anthropic"
    assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:9000/llm/openai/v1"
    assert env["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:9000/llm/gemini"
    keys = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
    assert {env[name] for name in keys} == {"virtual"}
    assert env["AUTOVIBE_MODEL"] == "m-1"


def test_lines_are_messages():
    reader = LineReader()
    assert [event.text for event in reader.feed(b"one\r\n")] == ["one"]
    assert reader.feed(b"\n") == ()
    [event] = reader.feed(b"a\x00\xff" + b"x" * 100_000)
    assert event.kind == "message"
    assert event.text.startswith("a\ufffd\ufffdxxx")
    assert event.text.endswith("more characters)")


def test_only_exit_status_0_is_finished():
    assert LineReader().outcome(0).finished
    failed = LineReader().outcome(3)
    assert (failed.finished, failed.is_error) == (False, True)
    assert "exit status 3" in failed.message
    assert "signal 15" in LineReader().outcome(143).message


CLIENT = """
import json, os, urllib.request
body = {"model": os.environ["AUTOVIBE_MODEL"], "max_tokens": 50,
        "messages": [{"role": "user", "content": os.environ["AUTOVIBE_PROMPT"]}]}
url = os.environ["ANTHROPIC_BASE_URL"].removesuffix("/llm/anthropic") + "/v1/messages"
headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
call = urllib.request.Request(url, json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(call))["content"][0]["text"])
"""


async def test_a_program_calls_the_model_with_what_the_environment_gives(request_for, tmp_path):
    adapter = ShellAdapter()
    async with ModelServer(plain_text("You said: {{prompt}}")) as server:
        launch = adapter.launch(
            request_for(
                sys.executable, "-c", CLIENT, model="m-1", gateway_url=server.url,
                virtual_key=server.api_key,
            )
        )  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *launch.argv, env=launch.env, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    [event] = adapter.reader().feed(output)
    assert event.text == "You said: Say hello."
    assert adapter.reader().outcome(process.returncode).finished
    assert server.billed[0].model == "m-1"

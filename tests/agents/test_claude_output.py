"""Reading the event stream of Claude Code."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autovibe.agents.claude_output import MAX_TEXT, ClaudeOutputReader

SUCCESS = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Done.",
    "num_turns": 3,
}


def feed(*messages):
    reader = ClaudeOutputReader()
    events = [event for message in messages for event in reader.feed(json.dumps(message).encode())]
    return reader, events


def said(*blocks, **more):
    return {"type": "assistant", "message": {"content": list(blocks)}, **more}


def call(name, **given_input):
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given_input}


@pytest.mark.parametrize(
    ("block", "kind", "text"),
    [
        ({"type": "text", "text": "Hello"}, "message", "Hello"),
        ({"type": "thinking", "thinking": "Hm"}, "reasoning", "Hm"),
        (call("Bash", command="ls -l"), "command", "ls -l"),
        (call("Edit", file_path="/w/a.py"), "file_edit", "/w/a.py"),
        (call("Write", file_path="/w/a.py"), "file_edit", "/w/a.py"),
        (call("NotebookEdit", notebook_path="/w/a.ipynb"), "file_edit", "/w/a.ipynb"),
        (call("Grep", pattern="x"), "tool", 'Grep {"pattern": "x"}'),
    ],
)
def test_each_kind_of_block_becomes_its_event(block, kind, text):
    _, [event] = feed(said(block))
    assert (event.kind, event.text) == (kind, text)


def test_tool_call_keeps_its_id_and_input():
    _, [event] = feed(said(call("Bash", command="ls"), parent_tool_use_id="toolu_0"))
    assert event.tool_use_id == "toolu_1"
    assert event.details == {"tool": "Bash", "input": {"command": "ls"}, "parent": "toolu_0"}


def test_huge_input_is_left_out_of_the_details_and_its_text_is_cut():
    _, [event] = feed(said(call("Bash", command="x" * (MAX_TEXT + 10))))
    assert event.details["input"] == {"omitted_characters": MAX_TEXT + 10 + len('{"command": ""}')}
    assert event.text.endswith("(10 more characters)")


def test_tool_result_is_told_with_its_failure():
    block = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "no such file"}],
        "is_error": True,
    }
    _, [event] = feed({"type": "user", "message": {"content": [block]}})
    assert (event.kind, event.text, event.tool_use_id) == ("tool_result", "no such file", "toolu_1")
    assert event.details["is_error"] is True


def test_retry_says_why_and_when():
    retry = {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 2,
        "max_retries": 5,
        "retry_delay_ms": 1200,
        "error_status": 529,
        "error": "overloaded",
    }
    _, [event] = feed(retry)
    assert event.kind == "retry"
    assert event.text == "A model call failed (529 overloaded); try 2 of 5 follows in 1.2 s."


def test_text_that_the_program_put_into_the_models_mouth_is_a_notice():
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error: 400"}]}
    _, [event] = feed({"type": "assistant", "message": message})
    assert event.kind == "notice"


def test_success_is_finished():
    outcome = feed(SUCCESS | {"session_id": "s"})[0].outcome(0)
    assert outcome.finished
    assert not outcome.is_error
    assert (outcome.message, outcome.session_id, outcome.turns) == ("Done.", "s", 3)


def test_success_with_is_error_is_an_error():
    result = SUCCESS | {"is_error": True, "api_error_status": 400, "result": "API Error: 400 no"}
    outcome = feed(result)[0].outcome(1)
    assert not outcome.finished
    assert outcome.is_error
    assert (outcome.status, outcome.message) == (400, "API Error: 400 no")


@pytest.mark.parametrize(
    "result",
    [
        {"type": "result"},
        {"type": "result", "subtype": "success"},
        {"type": "result", "subtype": "error_max_turns", "is_error": False},
        SUCCESS | {"is_error": 0},
        SUCCESS | {"is_error": None},
        SUCCESS | {"subtype": ["success"]},
    ],
)
def test_anything_but_a_clean_success_is_an_error(result):
    outcome = feed(result)[0].outcome(0)
    assert not outcome.finished
    assert outcome.is_error
    assert outcome.message


def test_exit_status_contradicts_success():
    outcome = feed(SUCCESS)[0].outcome(137)
    assert not outcome.finished
    assert outcome.is_error
    assert "signal 9" in outcome.message


def test_exit_status_0_without_a_final_event_is_not_finished():
    outcome = feed(said({"type": "text", "text": "I am done."}))[0].outcome(0)
    assert not outcome.finished
    assert outcome.is_error


def test_last_final_event_counts():
    failure = SUCCESS | {"is_error": True, "result": "API Error: 400"}
    assert feed(failure, SUCCESS)[0].outcome(0).finished
    assert not feed(SUCCESS, failure)[0].outcome(1).finished


def test_line_that_is_no_json_becomes_a_notice_that_is_cut():
    reader = ClaudeOutputReader()
    [event] = reader.feed(b"\xffpanic: " + b"x" * 10_000 + b"\n")
    assert event.kind == "notice"
    assert len(event.text) < 600
    assert event.details["unparsed"] is True


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["assistant", "user", "system", "result", "tool_use", "tool_result", "text"])
    | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "subtype", "message", "content", "text", "thinking", "name", "id"),
                    *(
                        "input",
                        "command",
                        "file_path",
                        "tool_use_id",
                        "is_error",
                        "errors",
                        "attempt",
                    ),
                    *(
                        "error_status",
                        "retry_delay_ms",
                        "num_turns",
                        "api_error_status",
                        "session_id",
                    ),
                ]
            ),
            children,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["assistant", "user", "system", "result", "x"]),
    block=st.sampled_from(["text", "thinking", "tool_use", "tool_result"]),
    fields=JSON,
    inner=JSON,
)
def test_no_shape_of_json_ends_the_reader(kind, block, fields, inner):
    extra = fields if isinstance(fields, dict) else {"subtype": fields}
    content = [inner | {"type": block}] if isinstance(inner, dict) else inner
    reader, events = feed({**extra, "type": kind, "message": {"content": content}}, extra)
    for event in events:
        json.dumps(dict(event.details), allow_nan=False).encode()
        assert "\0" not in event.text
    outcome = reader.outcome(1)
    assert not outcome.finished
    assert isinstance(outcome.message, str)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_end_the_reader(line):
    assert all(event.kind == "notice" for event in ClaudeOutputReader().feed(line))

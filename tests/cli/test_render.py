"""Text for people, and messages as plain data."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from autovibe.cli.document import to_document
from autovibe.cli.events import event_lines
from autovibe.cli.output import one_line, wants_json
from autovibe.cli.render import cad, clipped, moment, pairs, plural, size, table, width
from autovibe.v1 import metering_pb2, work_pb2

HIDDEN = {"\x1b", "\x07", "\r", "\u202e", "\u2028", "\x9b", "\x00"}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("", "unlimited"),
        ("0", "0.00"),
        ("0.000001", "0.0001"),
        ("0.01", "0.01"),
        ("5.000000", "5.00"),
        ("1.23456", "1.2346"),
        ("x\x1b", "x\\x1b"),
    ],
)
def test_money_is_never_shown_smaller_than_it_is(amount, text):
    assert cad(amount) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**60, "1048576.0 TiB")],
)
def test_size_has_a_unit(count, text):
    assert size(count) == text


def test_counts_have_their_noun():
    assert [plural(1, "file"), plural(2, "file"), plural(1234, "entry", "entries")] == [
        "1 file",
        "2 files",
        "1,234 entries",
    ]


def test_unset_time_is_empty():
    assert moment(Timestamp()) == ""
    assert moment(Timestamp(seconds=1_760_000_000)) == "2025-10-09 08:53:20"


def test_table_is_aligned_by_terminal_cells():
    lines = table(("NAME", "N", "X"), [("日本", "1", "a"), ("a\x1bb", "10", "")], right="N")
    assert lines == ["NAME     N  X", "日本     1  a", "a\\x1bb  10"]
    assert width("日本") == 4
    assert width("e\u0301") == 1


def test_empty_pairs_are_left_out():
    assert pairs([("a", "1"), ("bb", ""), ("ccc", "x\ny")]) == ["a    1", "ccc  x\\ny"]


@given(st.text(), st.integers(2, 40))
def test_clipped_text_fits_and_hides_nothing(text, cells):
    line = clipped(text, cells)
    assert width(line) <= cells
    assert not HIDDEN & set(line)
    assert "\n" not in line


@given(st.text())
def test_one_line_keeps_tabs_and_no_other_control_character(text):
    line = one_line(text)
    assert not HIDDEN & set(line)
    assert "\n" not in line
    assert line.count("\t") == text.count("\t")


KINDS = ["state", "call", "checkpoint", "agent", "output", "notice", "future"]


@given(
    st.sampled_from(KINDS),
    st.text(),
    st.dictionaries(
        st.sampled_from(
            ["status", "model", "cost_cad", "changed_paths", "files_changed", "event", "enforced"]
        ),
        st.one_of(
            st.text(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.none(),
            st.lists(st.text(), max_size=3),
            st.dictionaries(st.text(), st.text(), max_size=2),
        ),
    ),
)
def test_any_event_becomes_lines_without_control_characters(kind, message, details):
    entry = work_pb2.LogEntry(message=message)
    entry.event.kind = kind
    entry.event.details.update(details)
    lines = event_lines(entry, whole=True)
    assert lines
    for line in lines:
        assert not HIDDEN & set(line.plain())
        assert "\n" not in line.plain()


def test_refused_call_says_why():
    entry = work_pb2.LogEntry()
    entry.event.kind = "call"
    entry.event.details.update(
        {
            "status": "refused",
            "model": "m",
            "reason": "BUDGET_EXHAUSTED",
            "message": "Nothing left.",
        }
    )
    (line,) = event_lines(entry)
    assert line.text == "m · refused · BUDGET_EXHAUSTED · Nothing left."
    assert line.tone == "bad"


def test_document_has_every_field_with_numbers_as_numbers():
    result = work_pb2.TaskResult(checkpoint_count=2**53, duration_s=1.5)
    document = to_document(result)
    assert list(document) == [field.name for field in work_pb2.TaskResult.DESCRIPTOR.fields]
    assert document["checkpoint_count"] == 2**53
    assert document["error"] is None
    assert document["files_changed"] == []
    entry = work_pb2.LogEntry(logged_at=Timestamp(seconds=1))
    entry.event.details.update({"a": [1, "x"]})
    document = to_document(entry)
    assert document["logged_at"] == "1970-01-01T00:00:01Z"
    assert document["event"] == {"kind": "", "details": {"a": [1.0, "x"]}}
    terms = metering_pb2.CallTerms(unit_prices={"output": "2", "input": "1"})
    assert to_document(terms)["unit_prices"] == {"input": "1", "output": "2"}


def test_json_is_wanted_only_before_the_dashes():
    assert wants_json(["run", "x", "--json"])
    assert not wants_json(["run", "x", "--", "--json"])

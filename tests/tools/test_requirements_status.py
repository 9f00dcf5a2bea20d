"""Each requirement is in one group: passing, replaced, open or missing."""

from __future__ import annotations

import pytest
from requirements import (
    PAGE,
    ROOT,
    STATUS,
    Listed,
    cited_ids,
    counts,
    group_all,
    known_ids,
    listed,
    mistakes,
    outcomes_by_id,
)

TEXT = """
[[replaced]]
ids = ["S0-01"]
by = "Another thing serves better."
[[open]]
ids = ["S0-02", "S0-03"]
reason = "Later work brings them."
"""


def test_the_list_gives_each_id_its_group_and_reason() -> None:
    assert listed(TEXT) == [
        Listed("S0-01", "replaced", "Another thing serves better."),
        Listed("S0-02", "open", "Later work brings them."),
        Listed("S0-03", "open", "Later work brings them."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[[done]]\nids = ["S0-01"]\nby = "Because."',
        '[[open]]\nids = ["S0-01"]',
        '[[open]]\nids = ["S0-01"]\nreason = " "',
        '[[open]]\nids = []\nreason = "Because."',
        '[[replaced]]\nids = ["S0-01"]\nreason = "Because."',
    ],
)
def test_a_group_without_ids_or_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^\[\["):
        listed(text)


def test_an_id_that_is_unknown_or_in_two_groups_is_a_mistake() -> None:
    rows = listed(TEXT)
    assert not list(mistakes({"S0-01", "S0-02", "S0-03", "S0-04"}, rows, [("S0-04", "t.py:1")]))
    twice = [*rows, Listed("S0-01", "open", "Why not.")]
    found = list(mistakes({"S0-01", "S0-02"}, twice, [("S0-02", "t.py:7"), ("S9-99", "t.py:8")]))
    assert found == [
        f"{STATUS}: 'S0-03' is no id of {PAGE}",
        f"{STATUS}: S0-01 is listed twice (replaced, open)",
        f"t.py:7: cites S0-02, which {STATUS} has as open",
        f"t.py:8: 'S9-99' is no id of {PAGE}",
    ]


def test_markers_are_read_with_all_their_ids() -> None:
    source = '@pytest.mark.req("S0-01", "S1-02")\ndef test_a(): ...\nx = pytest.param(marks=[1])\n'
    assert list(cited_ids(source)) == [("S0-01", 1), ("S1-02", 1)]


def test_every_row_is_in_one_group_and_a_failing_test_proves_nothing() -> None:
    known = dict.fromkeys(["S0-01", "S0-02", "S0-03", "S1-01", "S1-02", "S1-03"], "text")
    outcomes = {"S1-01": {"passed"}, "S1-02": {"passed", "failed"}, "S0-02": {"passed"}}
    grouped = group_all(known, listed(TEXT), outcomes)
    assert grouped == {
        "passing": ["S1-01"],
        "replaced": ["S0-01"],
        "open": ["S0-02", "S0-03"],
        "missing": ["S1-02", "S1-03"],
    }
    assert counts(grouped, "S0") == "0 passing, 1 replaced, 2 open, 0 missing"


def test_what_a_test_proved_before_it_changed_counts_no_more() -> None:
    sources = {
        "t.py": '@pytest.mark.req("S0-01")\nasync def test_a(db): ...\ndef test_c(): ...\n',
        "gone.py": "",
    }
    entries = {
        "t.py::test_a[sqlite]": {"ids": ["S0-01", "S0-02"], "outcome": "passed"},
        "t.py::test_a[postgresql]": {"ids": ["S0-01"], "outcome": "failed"},
        "t.py::test_b": {"ids": ["S0-01"], "outcome": "skipped"},
        "gone.py::test_a": {"ids": ["S0-01"], "outcome": "skipped"},
    }
    assert outcomes_by_id(entries, sources.__getitem__) == {"S0-01": {"passed", "failed"}}


def test_the_list_in_the_repository_is_sound() -> None:
    rows = listed((ROOT / STATUS).read_text(encoding="utf-8"))
    assert not list(mistakes(known_ids().keys(), rows, []))
    assert all(row.why.endswith(".") for row in rows)

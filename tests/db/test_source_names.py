"""The page that says which name a thing of the sources has here names only what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.db.upgrade import snapshot

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "source-names.md"
ROW: Final = re.compile(r"^\| (?:S\d(?:, S\d)*|all) \| (.+?) \| (.+) \|$", re.MULTILINE)
QUOTED: Final = re.compile(r"`([^`]+)`")
TABLES: Final = load_models().tables
COLUMNS: Final = {f"{name}.{column.name}" for name, table in TABLES.items() for column in table.c}
ROWS: Final = ROW.findall(PAGE.read_text(encoding="utf-8"))


def is_there(name: str) -> bool:
    """Say whether a name is of a column, a table, a view, an index, a trigger or a file."""
    if "/" in name or name.endswith(".ini"):
        return (ROOT / name).exists()
    if "." in name:
        return name in COLUMNS
    columns = {column.rpartition(".")[2] for column in COLUMNS}
    return (
        name in columns | set(TABLES)
        or re.search(rf"\b{name}\b", snapshot("postgresql")) is not None
    )


@pytest.mark.req("S4-02")
@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_a_name_of_ours_is_there_and_a_column_of_theirs_is_not(theirs: str, ours: str) -> None:
    if ours.startswith("`metadata_`"):
        known = {mapper.class_ for mapper in Base.registry.mappers if "metadata_" in mapper.attrs}
        assert known
        return
    assert is_there(QUOTED.findall(ours)[0]), ours
    old = QUOTED.findall(theirs)
    if old and re.fullmatch(r"\w+\.\w+", old[0]):
        assert old[0] not in COLUMNS, theirs


def test_the_page_has_rows_of_every_source() -> None:
    assert len(ROWS) >= 30


@pytest.mark.req("S4-70")
def test_the_guide_says_what_each_choice_costs() -> None:
    guide = (ROOT / "docs" / "guides" / "database.md").read_text(encoding="utf-8")
    section = guide.partition("## What the choices cost\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*(.+?)\*\*", section, re.MULTILINE) == [
        "The ORM",
        "JSON columns",
        "Random UUIDs",
        "N+1 queries",
    ]

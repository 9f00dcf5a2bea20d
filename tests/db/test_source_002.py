"""What source 002 asks of the contract and of who may reach the database."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import google.api
import pytest
from google.protobuf import json_format, struct_pb2

from autovibe.v1 import projects_pb2

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/autovibe"
BUF = Path(sys.executable).with_name("buf")


def run(
    *command: str, given: bytes = b"", where: Path = ROOT
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=given, capture_output=True, check=False, cwd=where)


@pytest.fixture(scope="module", autouse=True)
def third_party() -> None:
    """Put the contract's imports where `make generate` does."""
    target = ROOT / "build/third_party/google/api"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("annotations.proto", "http.proto"):
        shutil.copyfile(Path(next(iter(google.api.__path__))) / name, target / name)


def example() -> projects_pb2.Project:
    metadata = struct_pb2.Struct()
    metadata.update({"text": "é\U0001f41f", "list": [1.5, None, True]})
    return projects_pb2.Project(name="website", greediness="0.5", metadata=metadata)


@pytest.mark.req("S2-12")
def test_another_implementation_reads_and_writes_the_same_bytes() -> None:
    message = example()
    protoc = (
        sys.executable, "-m", "grpc_tools.protoc", "-I", "proto", "-I", "build/third_party",
    )  # fmt: skip
    kind, file = "autovibe.v1.Project", "autovibe/v1/projects.proto"
    read = run(*protoc, f"--decode={kind}", file, given=message.SerializeToString())
    assert read.returncode == 0, read.stderr
    assert b'name: "website"' in read.stdout
    written = run(*protoc, f"--encode={kind}", file, given=read.stdout)
    assert projects_pb2.Project.FromString(written.stdout) == message


@pytest.mark.req("S2-10")
def test_a_field_of_a_newer_version_survives_an_older_one() -> None:
    newer = example().SerializeToString() + bytes([0xFA, 0x7F, 3]) + b"new"  # field 2047, a text
    passed_on = projects_pb2.Project.FromString(newer).SerializeToString()
    assert passed_on.endswith(b"new")
    assert len(passed_on) == len(newer)


@pytest.mark.req("S2-06", "S2-10")
def test_a_change_that_breaks_callers_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(ROOT / "build/third_party", tmp_path / "build/third_party")
    against = (str(BUF), "breaking", "--against", str(ROOT))
    same = run(*against, where=tmp_path)
    assert same.returncode == 0, same.stdout + same.stderr
    page = tmp_path / "proto/autovibe/v1/projects.proto"
    lines = page.read_text().splitlines()
    gone = next(number for number, line in enumerate(lines) if " greediness = " in line)
    page.write_text("\n".join(lines[:gone] + lines[gone + 1 :]))
    broken = run(*against, where=tmp_path)
    assert broken.returncode != 0
    assert b"greediness" in broken.stdout


@pytest.mark.req("S2-05")
def test_json_of_a_message_is_its_canonical_form() -> None:
    message = example()
    told = json_format.MessageToJson(message, preserving_proto_field_name=True)
    assert json.loads(told)["metadata"]["list"] == [1.5, None, True]
    assert json_format.Parse(told, projects_pb2.Project()) == message


def imported(path: Path) -> set[str]:
    """Return every module that a file imports while it runs."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.req("S2-22")
def test_only_models_repositories_and_db_speak_sql() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        ours = place.startswith(("db/", "testing/")) or (
            place.startswith("domains/") and ("models" in place or "repository" in place)
        )
        if not ours:
            found = {name for name in imported(path) if name.partition(".")[0] == "sqlalchemy"}
            assert not found, place


@pytest.mark.req("S2-22")
def test_only_the_dialects_import_a_driver_of_a_database() -> None:
    drivers = {"asyncpg", "aiosqlite", "psycopg", "sqlite3"}
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        if not place.startswith(("db/", "testing/")):
            assert not drivers & {name.partition(".")[0] for name in imported(path)}, place


@pytest.mark.req("S2-44")
def test_the_readme_says_what_is_there_and_what_is_planned() -> None:
    status = (ROOT / "README.md").read_text().partition("\n## Status\n")[2].partition("\n## ")[0]
    there, _, planned = status.partition("Planned")
    assert "What works today" in there
    assert all(name in there for name in ("Claude Code", "SQLite or PostgreSQL", "sandbox"))
    assert len(planned.split()) > 5

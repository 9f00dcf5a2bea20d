"""The contract fits the code: what it declares is there."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import autovibe
from autovibe.kernel.permissions import OF_MACHINES, OF_OUR_PROCESSES
from autovibe.operations import error_classes
from autovibe.sdk.contract import methods
from autovibe.v1 import options_pb2

ROOT = Path(__file__).parents[2]
PEOPLE = options_pb2.AUDIENCE_PEOPLE
MACHINE = options_pb2.AUDIENCE_MACHINE
INTERNAL = options_pb2.AUDIENCE_INTERNAL


@pytest.fixture(scope="module")
def reasons() -> set[str]:
    """Give the reasons of every error class of the package."""
    for module in pkgutil.walk_packages(autovibe.__path__, "autovibe."):
        if module.name.rsplit(".", 1)[1] == "errors":
            importlib.import_module(module.name)
    return set(error_classes())


@pytest.mark.parametrize("name", list(methods()))
def test_every_declared_reason_is_that_of_an_error_class(name: str, reasons: set[str]) -> None:
    assert set(methods()[name].operation.errors) - reasons == set()


@pytest.mark.req("S2-15", "S2-21")
@pytest.mark.parametrize("name", list(methods()))
def test_an_operation_has_a_path_exactly_when_it_is_for_people_or_machines(name: str) -> None:
    method = methods()[name]
    audience, permission = method.operation.audience, method.operation.permission
    assert audience in {PEOPLE, MACHINE, INTERNAL}
    assert (method.http is not None) == (audience in {PEOPLE, MACHINE})
    assert (permission == OF_OUR_PROCESSES) == (audience == INTERNAL)
    assert (permission == OF_MACHINES) == (audience == MACHINE)


@pytest.mark.parametrize("name", list(methods()))
def test_only_reads_use_get_and_reads_have_no_body(name: str) -> None:
    method = methods()[name]
    if method.http is not None and method.http.verb == "GET":
        assert method.operation.kind != options_pb2.OPERATION_KIND_WRITE
        assert not method.http.has_body


def test_paths_are_unique() -> None:
    routes = [(m.http.verb, m.http.template) for m in methods().values() if m.http]
    assert len(routes) == len(set(routes))


def test_the_reasons_of_every_layer_are_found(reasons: set[str]) -> None:
    assert {
        "INVALID_ARGUMENT",
        "DATABASE_BUSY",
        "STORE_FULL",
        "TOKEN_NOT_FOUND",
        "NOT_SERVED",
        "PORT_TAKEN",
    } <= reasons


@pytest.mark.req("S2-06")
def test_what_is_generated_is_current_and_lints() -> None:
    done = subprocess.run(
        [sys.executable, "tools/check_proto.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

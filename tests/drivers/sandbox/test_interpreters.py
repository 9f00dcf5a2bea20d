"""The interpreter behind a workspace's environment is shown; a hostile claim shows nothing."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from autovibe.domains.machines.driver import MachineSpec
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import (
    Private,
    is_installation,
    own_interpreter,
    own_prefix,
    private_directories,
    workspace_interpreters,
)
from autovibe.testing.machine_case import MachineCase

CASE = MachineCase(SandboxDriver, "", "", str(own_interpreter()))
VERSION = f"python{sysconfig.get_python_version()}"


@pytest.fixture
def installation(tmp_path):
    """Return the prefix of a small but real Python installation, with a secret beside it."""
    prefix = tmp_path / "tools" / "python"
    library = prefix / "lib" / VERSION
    (prefix / "bin").mkdir(parents=True)
    library.mkdir(parents=True)
    shutil.copy(own_interpreter(), prefix / "bin" / VERSION)
    source = Path(sysconfig.get_path("stdlib"))
    for name in ("os.py", "io.py", "abc.py", "codecs.py", "stat.py", "posixpath.py"):
        shutil.copy(source / name, library)
    shutil.copytree(source / "encodings", library / "encodings")
    (prefix / ".env").write_text("SECRET")
    return prefix


def claim(workspace, home=None, python=None, name=".venv"):
    """Make an environment that claims an interpreter."""
    programs = workspace / name / "bin"
    programs.mkdir(parents=True)
    if home is not None:
        (workspace / name / "pyvenv.cfg").write_text(f"include = no\nhome = {home}\n")
    if python is not None:
        (programs / "python").symlink_to(python)


@pytest.mark.parametrize("name", [".venv", "venv"])
async def test_program_of_an_environment_runs(name, installation, tmp_path):
    made = CASE.spec(tmp_path, "pass")
    claim(made.workspace, installation / "bin", installation / "bin" / VERSION, name)
    secret = str(installation / ".env")
    text = f"import sys; print(sys.base_prefix, flush=True); print(open({secret!r}).read())"
    spec = MachineSpec(
        made.machine_id,
        made.workspace,
        made.home,
        [f"{{autovibe:workspace}}/{name}/bin/python", "-I", "-S", "-c", text],
        {},
    )
    output, code = await CASE.run(tmp_path, spec)
    assert output.startswith(str(installation).encode()), output
    assert b"FileNotFoundError" in output  # only the parts of an installation are shown
    assert code == 1


def test_alias_of_an_installation_is_shown_under_both_names(installation, tmp_path):
    alias = tmp_path / "alias"
    alias.symlink_to(installation)
    claim(tmp_path / "w", python=alias / "bin" / VERSION)
    found = {
        inside: host for host, inside in workspace_interpreters(tmp_path / "w", Private([], []))
    }
    assert found == {
        prefix / part: installation / part
        for prefix in (alias, installation)
        for part in ("bin", "lib")
    }


def test_chain_of_links_is_followed_inside_bin(installation, tmp_path):
    claim(tmp_path / "w", python="python3")
    (tmp_path / "w/.venv/bin/python3").symlink_to(VERSION)
    (tmp_path / "w/.venv/bin" / VERSION).symlink_to(installation / "bin" / VERSION)
    assert len(workspace_interpreters(tmp_path / "w", Private([], []))) == 2
    (tmp_path / "w/.venv/bin" / VERSION).unlink()
    (tmp_path / "w/.venv/bin" / VERSION).symlink_to("python")
    assert workspace_interpreters(tmp_path / "w", Private([], [])) == []


def test_our_own_installation_is_one():
    assert is_installation(own_prefix(), Private([], [])) or own_prefix() == Path("/usr")


HOSTILE = ["/", "/bin", "/etc", "/etc/bin", "/root", "/root/bin", "/home", "/usr/bin", ""]
HOSTILE += [
    "/proc/1/root/bin",
    "/proc/self/cwd/bin",
    "bin",
    "../../bin",
    "/x\0y/bin",
    "/" + "a" * 5000,
]


@pytest.mark.parametrize("place", HOSTILE, ids=range(len(HOSTILE)))
def test_directories_of_the_host_are_not_interpreters(place, tmp_path):
    claim(tmp_path / "w", home=place)
    assert workspace_interpreters(tmp_path / "w", private_directories(tmp_path / "scratch")) == []


@pytest.mark.parametrize("kind", ["home", "closed", "above", "below"])
def test_private_directories_are_not_shown_even_if_they_look_right(kind, installation, tmp_path):
    claim(tmp_path / "w", home=installation / "bin", python=installation / "bin" / VERSION)
    private = {
        "home": Private([installation], []),
        "closed": Private([], [installation]),
        "above": Private([installation / "lib" / "user"], []),
        "below": Private([], [installation.parent]),
    }[kind]
    assert workspace_interpreters(tmp_path / "w", private) == []


def test_users_home_may_hold_installations_but_not_be_one(installation):
    assert is_installation(installation, Private([installation.parent], []))
    assert not is_installation(installation, Private([installation], []))


def test_what_is_no_installation_is_not_shown(installation):
    program = installation / "bin" / VERSION
    (installation / ".git").mkdir()
    assert not is_installation(installation, Private([], []))
    (installation / ".git").rmdir()
    assert is_installation(installation, Private([], []))
    program.rename(installation / "bin" / "elsewhere")
    program.symlink_to("elsewhere")  # as in an environment, whose own files would be shown
    assert not is_installation(installation, Private([], []))
    program.unlink()
    program.write_text("#!/bin/sh\n")
    assert not is_installation(installation, Private([], []))


def test_nothing_in_the_workspace_is_followed_out_of_it(installation, tmp_path):
    """Links instead of directories, a pipe instead of the configuration: all are ignored."""
    outside = tmp_path / "outside"
    claim(outside, home=installation / "bin")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.venv").symlink_to(outside / ".venv")
    (tmp_path / "b/.venv").mkdir(parents=True)
    (tmp_path / "b/.venv/pyvenv.cfg").symlink_to(outside / ".venv/pyvenv.cfg")
    (tmp_path / "b/.venv/bin").symlink_to(installation / "bin")
    (tmp_path / "c/.venv/bin").mkdir(parents=True)
    os.mkfifo(tmp_path / "c/.venv/pyvenv.cfg")
    (tmp_path / "c/.venv/bin/python").symlink_to("../../../outside/bin/python")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/.venv").write_text("no directory")
    for name in "abcd":
        assert workspace_interpreters(tmp_path / name, Private([], [])) == []


@pytest.mark.parametrize("place", ["etc", "usr", "run", "workspace", "proc"])
def test_alias_cannot_cover_what_the_machine_is_made_of(place, tmp_path):
    """A link on the host at such a place is not ours to copy; the real place serves."""
    claimed = Path("/") / place / "python" / "bin" / VERSION
    claim(tmp_path / "w", home=claimed.parent, python=claimed)
    assert workspace_interpreters(tmp_path / "w", Private([], [])) == []

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from plane import Plane, commit_all, make_repository, run_git, write_files

from autovibe.domains.checkpoints.errors import NotADirectoryGivenError
from autovibe.domains.checkpoints.git import GitFailedError, find_work_tree
from autovibe.domains.checkpoints.secrets import scan
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import from_struct
from autovibe.v1 import checkpoints_pb2, projects_pb2

KEY = "sk-ant-" + "a1" * 20


async def _metadata(plane: Plane, project: str = "website") -> dict[str, object]:
    found = await plane.services.projects.get_project(
        projects_pb2.GetProjectRequest(project=project)
    )
    return from_struct(found.metadata)


def _paths(plane: Plane, root: str) -> set[str]:
    return {entry.path for entry in plane.store.entries(root, "workspace") if entry.kind != "dir"}


async def test_the_first_import_is_the_genesis_an_unchanged_one_is_used_again_a_changed_one_follows(
    plane: Plane, tmp_path: Path
):
    await plane.project()
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n", ".gitignore": "*.o\n"})
    write_files(repository, {"ignored.o": "object", "new.txt": "untracked\n"})

    first = await plane.load(repository)
    genesis = first.checkpoint
    assert (genesis.checkpoint_type, genesis.depth, genesis.parent_checkpoint_id) == (
        "genesis",
        0,
        "",
    )
    assert genesis.verification_status == "verified"
    assert not first.reused
    assert first.dirty
    assert first.head_commit == run_git(repository, "rev-parse", "HEAD")
    assert {"a.txt", "ignored.o", "new.txt"} <= _paths(plane, genesis.manifest_root)
    assert await plane.current() == genesis.id
    assert plane.store.read_ref(f"checkpoints/{genesis.id}") == genesis.manifest_root

    again = await plane.load(repository)
    assert again.reused
    assert again.checkpoint == genesis

    write_files(repository, {"a.txt": "two\n"})
    plane.clock.advance(seconds=1)
    second = await plane.load(repository)
    child = second.checkpoint
    assert not second.reused
    assert (child.checkpoint_type, child.depth, child.parent_checkpoint_id) == (
        "manual",
        1,
        genesis.id,
    )
    assert await plane.current() == child.id
    ((manifest,),) = await plane.rows("SELECT file_manifest FROM checkpoints WHERE depth = 1")
    assert "workspace/a.txt" in str(manifest)
    assert "workspace/new.txt" not in str(manifest)

    listed = await plane.services.checkpoints.list_checkpoints(
        checkpoints_pb2.ListCheckpointsRequest(project="website")
    )
    assert [checkpoint.id for checkpoint in listed.checkpoints] == [child.id, genesis.id]


async def test_the_same_tree_at_another_place_or_commit_is_a_checkpoint_of_its_own(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    plain = tmp_path / "plain"
    write_files(plain, {"a": "1"})
    twin = tmp_path / "twin"
    shutil.copytree(plain, twin)
    shutil.copystat(plain, twin)
    first = await one_plane.load(plain)
    other = await one_plane.load(twin)
    assert first.checkpoint.manifest_root == other.checkpoint.manifest_root
    assert not other.reused
    assert other.checkpoint.metadata["import"]["repo_path"] == str(twin)

    # The work tree of a subdirectory does not hold HEAD, yet `apply` needs it.
    repository = make_repository(tmp_path / "repo", {"sub/a": "1", "b": "1"})
    before = await one_plane.load(repository / "sub")
    write_files(repository, {"b": "2"})
    commit_all(repository)
    after = await one_plane.load(repository / "sub")
    assert not after.reused
    assert after.head_commit != before.head_commit
    assert before.checkpoint.manifest_root == after.checkpoint.manifest_root


@pytest.mark.parametrize("what", ["absent", "file"])
async def test_what_is_no_directory_is_refused(one_plane: Plane, tmp_path: Path, what: str):
    await one_plane.project()
    target = tmp_path / what
    if what == "file":
        target.write_text("")
    with pytest.raises(NotADirectoryGivenError) as refused:
        await one_plane.load(target)
    assert "--repo" in refused.value.message
    with pytest.raises(NotADirectoryGivenError):
        await one_plane.services.checkpoints.scan_secrets(
            checkpoints_pb2.ScanSecretsRequest(project="website", directory=str(target))
        )


async def test_a_repository_without_a_commit_and_an_empty_directory_can_be_imported(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    run_git(unborn, "init", "-q")
    write_files(unborn, {"a": "1"})
    answer = await one_plane.load(unborn)
    assert (answer.head_commit, answer.dirty) == ("", True)
    empty = tmp_path / "empty"
    empty.mkdir()
    answer = await one_plane.load(empty)
    assert (answer.head_commit, answer.dirty, answer.checkpoint.manifest_file_count) == (
        "",
        False,
        0,
    )


SECRETS = {
    ".env": "A=1",
    "deploy/prod.env": "A=1",
    "server.PEM": "x",
    "keys/id_rsa": "x",
    "config.json": f'{{"key": "{KEY}"}}',
    "run.sh": "export AWS_SECRET_ACCESS_KEY=abcdefghijklmnopqrstuvwxyz12345\n",
    ".npmrc": "//registry.example/:_authToken=0123456789abcdef\n",
    "notes": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
}
HARMLESS = {
    ".env.example": "A=1",
    "id_rsa.pub": "ssh-ed25519 AAAA",
    "secrets.py": f"KEY = '{KEY}'",
    "environment.md": "password: see the vault, it is there",
    "package.json": '{"password": "short"}',
    "node_modules/pkg/.env": "A=1",
    "big.json": KEY + "x" * (300 * 1024),
    "image.png": KEY,
}


def test_the_scan_finds_what_looks_like_a_secret_by_name_and_by_content(tmp_path: Path):
    write_files(tmp_path, {**SECRETS, **HARMLESS})
    (tmp_path / "loop.env").symlink_to("loop.env")
    (tmp_path / "config.yaml").symlink_to("config.json")
    subprocess.run(["mkfifo", str(tmp_path / "pipe")], check=True)
    found = {finding.path: finding.why for finding in scan(tmp_path)}
    assert set(found) == {*SECRETS, "loop.env"}
    assert {path for path, why in found.items() if why == "content"} == {
        "config.json",
        "run.sh",
        ".npmrc",
        "notes",
    }


async def test_secrets_of_a_directory_outside_git_are_left_out_and_that_is_recorded(
    plane: Plane, tmp_path: Path
):
    project = await plane.project()
    directory = tmp_path / "plain"
    write_files(directory, {**SECRETS, **HARMLESS, "odd [x]*.env": "A=1", "a.txt": "1"})
    found = await plane.services.checkpoints.scan_secrets(
        checkpoints_pb2.ScanSecretsRequest(project=project.id, directory=str(directory))
    )
    assert {finding.path for finding in found.findings} == {*SECRETS, "odd [x]*.env"}

    answer = await plane.load(directory)
    kept = _paths(plane, answer.checkpoint.manifest_root)
    assert {*HARMLESS, "a.txt"} == kept
    left_out = sorted([*SECRETS, "odd [x]*.env"])
    assert sorted(answer.excluded) == [f"workspace/{path}" for path in left_out]
    assert sorted(answer.checkpoint.metadata["secrets_left_out"]) == left_out
    assert sorted((await _metadata(plane))["secrets_left_out"]) == left_out

    taken = await plane.load(directory, include_secrets=True)
    assert set(SECRETS) <= _paths(plane, taken.checkpoint.manifest_root)
    assert "secrets_left_out" not in from_struct(taken.checkpoint.metadata)
    assert (await _metadata(plane))["secrets_left_out"] == []


async def test_inside_git_only_what_is_not_tracked_is_searched_for_secrets(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    other = make_repository(tmp_path / "library", {"lib.c": "x", "tracked.env": "A=1"})
    repository = make_repository(
        tmp_path / "repo", {".env": "tracked", "sub/.env": "tracked", ".gitignore": "*.key\n"}
    )
    run_git(
        repository,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(other),
        "module",
    )
    commit_all(repository)
    make_repository(repository / "nested", {"tracked.env": "A=1"})
    write_files(
        repository,
        {
            "ignored.key": "x",
            "sub/local.env": "x",
            "module/local.env": "x",
            "nested/deep/own.env": "x",
        },
    )
    expected = {"ignored.key", "sub/local.env", "module/local.env", "nested/deep/own.env"}

    async def found(directory: Path, **fields: object) -> set[str]:
        answer = await one_plane.services.checkpoints.scan_secrets(
            checkpoints_pb2.ScanSecretsRequest(
                project="website", directory=str(directory), **fields
            )
        )
        return {finding.path for finding in answer.findings}

    assert await found(repository) == expected
    assert await found(repository / "sub") == {"local.env"}
    assert await found(repository, exclude=["deep/", "*.key"]) == expected - {
        "ignored.key",
        "nested/deep/own.env",
    }
    answer = await one_plane.load(repository)
    kept = _paths(one_plane, answer.checkpoint.manifest_root)
    assert not expected & kept
    assert {".env", "sub/.env", "nested/tracked.env", "module/tracked.env"} <= kept


async def test_exclusions_stand_in_the_project_and_in_each_checkpoint(plane: Plane, tmp_path: Path):
    await plane.project()
    repository = make_repository(
        tmp_path / "repo", {"data/big.csv": "1\n", "kept.txt": "1\n", "gone.txt": "1\n"}
    )
    write_files(repository, {"data/big.csv": "2\n", "kept.txt": "2\n", "log/x.log": "1"})
    (repository / "gone.txt").unlink()
    first = await plane.load(repository, exclude=["*.log", "data/"])
    assert not {"data/big.csv", "log/x.log"} & _paths(plane, first.checkpoint.manifest_root)
    told = from_struct(first.checkpoint.metadata)
    assert told["exclude"] == ["*.log", "data/"]
    # What was left out differs from HEAD, but nobody deleted it.
    assert sorted(told["import"]["dirty_paths"]) == ["gone.txt", "kept.txt"]

    second = await plane.load(repository, exclude=["kept.txt"])
    assert from_struct(second.checkpoint.metadata)["exclude"] == ["*.log", "data/", "kept.txt"]
    assert "data/big.csv" not in _paths(plane, second.checkpoint.manifest_root)
    assert (await _metadata(plane))["exclude"] == ["*.log", "data/", "kept.txt"]
    with pytest.raises(InvalidArgumentError):
        await plane.load(repository, exclude=["[z-a]"])


async def test_names_that_are_no_utf8_are_imported_and_recorded_as_escapes(
    plane: Plane, tmp_path: Path
):
    await plane.project()
    repository = make_repository(tmp_path / "repo")
    write_files(repository, {"caf\udce9.txt": "x", "k\udcff.env": "x"})
    answer = await plane.load(repository)
    assert "caf\udce9.txt" in _paths(plane, answer.checkpoint.manifest_root)
    assert "k\udcff.env" not in _paths(plane, answer.checkpoint.manifest_root)
    told = from_struct(answer.checkpoint.metadata)
    assert told["secrets_left_out"] == ["k\\xff.env"]
    assert told["import"]["dirty_paths"] == ["caf\\xe9.txt"]
    assert answer.excluded == ["workspace/k\\xff.env"]


def _plant(repository: Path, marker: Path) -> None:
    """Make a repository try everything that git would run for `git status`."""
    evil = f"touch {marker}"
    script = repository.parent / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {marker}-$0\ncat\n")
    script.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    for hook in ("post-index-change", "pre-commit", "reference-transaction", "post-checkout"):
        (hooks / hook).parent.mkdir(exist_ok=True)
        shutil.copy(script, hooks / hook)
    for name, value in {
        "core.fsmonitor": str(script),
        "core.hooksPath": str(hooks),
        "filter.evil.clean": f"{evil}-clean; cat",
        "filter.evil.smudge": f"{evil}-smudge; cat",
        "filter.evil.required": "true",
        "filter.x=y.clean": f"{evil}-equals; cat",
        "filter.process.process": f"{evil}-process",
        "core.pager": evil,
        "core.askPass": evil,
        "core.sshCommand": evil,
        "protocol.ext.allow": "always",
        "remote.origin.url": f"ext::sh -c '{evil}-remote'",
        "remote.origin.promisor": "true",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
        "user.signingKey": "x",
        "commit.gpgSign": "true",
        "gpg.program": str(script),
    }.items():
        run_git(repository, "config", name, value)
    write_files(
        repository,
        {
            ".gitattributes": "*.txt filter=evil\n*.md filter=x=y\n*.c filter=process\n",
            "a.txt": "twx\n",
            "b.md": "twx\n",
            "c.c": "twx\n",
        },
    )


def _careless_git_status(repository: Path) -> None:
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)


async def test_nothing_that_stands_in_a_repository_is_run_by_reading_it(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    repository = make_repository(
        tmp_path / "repo", {"a.txt": "one\n", "b.md": "one\n", "c.c": "one\n"}
    )
    marker = tmp_path / "marks" / "ran"
    marker.parent.mkdir()
    _plant(repository, marker)
    index = (repository / ".git" / "index").read_bytes()
    answer = await one_plane.load(repository)
    assert answer.dirty
    assert sorted(answer.checkpoint.metadata["import"]["dirty_paths"]) == [
        ".gitattributes",
        "a.txt",
        "b.md",
        "c.c",
    ]
    assert list(marker.parent.iterdir()) == []
    assert (repository / ".git" / "index").read_bytes() == index
    # The trap works: git by itself walks into it.
    _careless_git_status(repository)
    assert list(marker.parent.iterdir()) != []


async def test_a_filter_of_the_users_own_configuration_still_says_what_is_unchanged(tmp_path: Path):
    repository = make_repository(
        tmp_path / "repo", {".gitattributes": "*.big filter=upper\n", "a.txt": "1"}
    )
    run_git(tmp_path, "config", "--global", "filter.upper.clean", "tr a-z A-Z")
    write_files(repository, {"x.big": "pointer\n"})
    commit_all(repository)
    assert run_git(repository, "cat-file", "blob", "HEAD:x.big") == "POINTER"
    (repository / "x.big").touch()
    tree = await find_work_tree(repository)
    assert tree is not None
    assert tree.dirty_paths == ()


async def test_a_directory_that_git_distrusts_is_refused_with_the_way_out(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    repository = make_repository(tmp_path / "repo")
    try:
        shutil.chown(repository, 65534)
        shutil.chown(repository / ".git", 65534)
    except PermissionError:
        pytest.skip("only root can give a directory to another user")
    with pytest.raises(GitFailedError) as refused:
        await one_plane.load(repository)
    assert "safe.directory" in refused.value.message

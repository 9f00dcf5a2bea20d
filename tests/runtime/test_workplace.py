from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from plane import Plane, commit_all, make_repository, run_git, write_files

from autovibe.runtime.workplace import Workplace, strip_credentials
from autovibe.store import StatCache, Store
from autovibe.v1 import checkpoints_pb2

PASSWORD = "hunter2hunter2"


async def _prepared(plane: Plane, directory: Path, where: Path) -> Workplace:
    """Import a directory and restore it as a machine would get it; take its origin away."""
    answer: checkpoints_pb2.ImportDirectoryResponse = await plane.load(directory)
    workplace = Workplace(where)
    workplace.prepare(plane.store, answer.checkpoint.manifest_root, StatCache())
    return workplace


async def test_a_linked_work_tree_becomes_a_repository_of_its_own(one_plane: Plane, tmp_path: Path):
    await one_plane.project()
    main = make_repository(tmp_path / "main", {"a.txt": "one\n", "b.txt": "one\n"})
    run_git(main, "tag", "v1")
    run_git(main, "pack-refs", "--all")
    linked = tmp_path / "linked"
    run_git(main, "worktree", "add", "-q", "-b", "side", str(linked))
    write_files(linked, {"a.txt": "side\n"})
    commit_all(linked, "On the side")
    write_files(linked, {"a.txt": "staged\n", "b.txt": "unstaged\n", "new": "untracked\n"})
    run_git(linked, "add", "a.txt")
    expected = {
        command: run_git(linked, *command.split())
        for command in (
            "rev-parse HEAD",
            "symbolic-ref HEAD",
            "log --oneline --all",
            "status --porcelain",
            "ls-files --stage",
            "diff --cached --name-only",
            "for-each-ref refs/heads refs/tags",
        )
    }
    gitfile = (linked / ".git").read_bytes()

    workplace = await _prepared(one_plane, linked, tmp_path / "machine")
    shutil.rmtree(main)
    shutil.rmtree(linked)
    box = workplace.workspace
    assert (box / ".git").is_dir()
    for command, output in expected.items():
        assert run_git(box, *command.split()) == output, command
    assert run_git(box, "rev-parse", "--show-toplevel") == str(box)
    run_git(
        box, "-c", "user.name=A", "-c", "user.email=a@example.invalid", "commit", "-qm", "works"
    )
    assert run_git(box, "fsck", "--no-dangling") == ""
    assert gitfile.startswith(b"gitdir: ")
    assert {path.name for path in workplace.tree.iterdir()} == {"workspace", "home"}


async def test_a_submodule_and_a_linked_git_directory_become_repositories_of_their_own(
    one_plane: Plane, tmp_path: Path
):
    await one_plane.project()
    library = make_repository(tmp_path / "library", {"lib.c": "x\n"})
    super_ = make_repository(tmp_path / "super", {"a.txt": "one\n"})
    run_git(
        super_, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(library), "lib"
    )
    commit_all(super_)
    module = super_ / "lib"
    assert (module / ".git").is_file()
    head = run_git(module, "rev-parse", "HEAD")
    alone = await _prepared(one_plane, module, tmp_path / "m1")

    # The whole: its submodule's file names a directory inside the tree, which is there too.
    whole = await _prepared(one_plane, super_, tmp_path / "m2")

    elsewhere = tmp_path / "elsewhere.git"
    plain = make_repository(tmp_path / "plain", {"p.txt": "p\n"})
    write_files(plain, {".git/config": _config(plain)})
    (plain / ".git").rename(elsewhere)
    (plain / ".git").symlink_to(elsewhere)
    before = (elsewhere / "config").read_bytes()
    linked = await _prepared(one_plane, plain, tmp_path / "m3")
    assert (elsewhere / "config").read_bytes() == before
    plain_head = run_git(plain, "rev-parse", "HEAD")

    for gone in (library, super_, plain, elsewhere):
        shutil.rmtree(gone)
    assert run_git(alone.workspace, "rev-parse", "HEAD") == head
    assert run_git(alone.workspace, "status", "--porcelain") == ""
    assert run_git(whole.workspace / "lib", "rev-parse", "HEAD") == head
    assert run_git(whole.workspace, "status", "--porcelain") == ""
    assert not (linked.workspace / ".git").is_symlink()
    assert run_git(linked.workspace, "rev-parse", "HEAD") == plain_head
    assert run_git(linked.workspace, "status", "--porcelain") == ""
    assert PASSWORD not in (linked.workspace / ".git" / "config").read_text()


async def test_a_git_file_that_names_nothing_stays_the_file_it_is(one_plane: Plane, tmp_path: Path):
    await one_plane.project()
    directory = tmp_path / "odd"
    write_files(directory, {".git": "gitdir: /nowhere/at/all\n", "a": "1"})
    workplace = await _prepared(one_plane, directory, tmp_path / "machine")
    assert (workplace.workspace / ".git").read_text() == "gitdir: /nowhere/at/all\n"


def _config(repository: Path) -> str:
    return (
        (repository / ".git" / "config").read_text()
        + f"""
[remote "origin"]
\turl = https://person:{PASSWORD}@example.org/a/b.git
\tpushurl = "https://{PASSWORD}@example.org/a/b.git" ; comment
\tfetch = +refs/heads/*:refs/remotes/origin/*
\tproxy = http://person:{PASSWORD}@proxy.example.org
[remote "split"] url = https://person:{PASSWORD}\\
@example.org/x.git
[remote "ssh"]
\turl = ssh://git:{PASSWORD}@example.org:22/x.git
[remote "plain"]
\turl = git@example.org:x/y.git
[remote "odd \\"name\\" with.dots \\\\ and [brackets]"]
\turl = ssh://git@example.org/x.git
[credential "https://example.org"]
\thelper = "!echo password={PASSWORD}"
[http "https://example.org/"]
\textraHeader = AUTHORIZATION: basic {PASSWORD}
[url "https://person:{PASSWORD}@example.org/"]
\tinsteadOf = gh:
[include]
\tpath = /srv/person/secrets-{PASSWORD}
[includeIf "gitdir:/"]
\tpath = /srv/person/secrets-{PASSWORD}
[core]
\tsshCommand = ssh -i /srv/person/{PASSWORD}
\taskPass = /bin/{PASSWORD}
[github]
\toauth-token = {PASSWORD}
[sendemail]
\tsmtpPass = {PASSWORD}
[alias]
\tsay = "!f() {{ echo \\"a\\tb\\" # ;\\n }}; f"
[flag]
\tset
\tempty =
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main
"""
    )


@pytest.mark.parametrize("where", ["config", "config.worktree", "modules/deep/lib/config"])
async def test_no_login_reaches_the_machine_and_the_users_settings_stay(
    one_plane: Plane, tmp_path: Path, where: str
):
    await one_plane.project()
    repository = make_repository(tmp_path / "repo")
    config = repository / ".git" / where
    write_files(repository, {f".git/{where}": _config(repository)})
    before = config.read_bytes()
    assert PASSWORD.encode() in before
    workplace = await _prepared(one_plane, repository, tmp_path / "machine")
    assert config.read_bytes() == before

    stripped = workplace.workspace / ".git" / where
    assert PASSWORD not in stripped.read_text()

    def get(file: Path, *name: str) -> str:
        return run_git(tmp_path, "config", "-f", str(file), "--get-all", *name)

    assert get(stripped, "remote.origin.url") == "https://example.org/a/b.git"
    assert get(stripped, "remote.origin.pushurl") == "https://example.org/a/b.git"
    assert get(stripped, "remote.split.url") == "https://example.org/x.git"
    assert get(stripped, "remote.ssh.url") == "ssh://git@example.org:22/x.git"
    for kept in (
        "remote.plain.url",
        "remote.origin.fetch",
        'remote.odd "name" with.dots \\ and [brackets].url',
        "alias.say",
        "flag.set",
        "flag.empty",
        "branch.main.merge",
        "core.repositoryformatversion",
        "user.name",
    ):
        assert get(stripped, kept) == get(config, kept), kept
    # What was stripped is what the next snapshot sees, whatever the stat cache was told.
    snapshot = one_plane.store.snapshot({"workspace": workplace.workspace, "home": workplace.home})
    content = b"".join(one_plane.store.read(snapshot.root, f"workspace/.git/{where}"))
    assert content == stripped.read_bytes()
    if where == "config":
        assert run_git(workplace.workspace, "status", "--porcelain") == ""


def test_settings_without_a_login_are_not_touched_and_broken_ones_are_replaced(tmp_path: Path):
    config = tmp_path / "config"
    config.write_text("# mine\n[user]\n  name = A  ; odd   spacing\n")
    before = config.stat()
    strip_credentials(config)
    assert config.stat().st_mtime_ns == before.st_mtime_ns
    config.write_text(f"[remote\nurl = https://x:{PASSWORD}@example.org")
    strip_credentials(config)
    assert PASSWORD not in config.read_text()
    assert run_git(tmp_path, "config", "-f", str(config), "--list") == (
        "core.repositoryformatversion=0"
    )


@pytest.mark.parametrize("link", [".git", ".git/config", ".git/modules", ".git/modules/m/config"])
def test_no_link_leads_the_stripping_to_a_file_of_the_host(tmp_path: Path, link: str):
    """A checkpoint of a machine may hold any links; they must not reach the user's repository."""
    outside = make_repository(tmp_path / "outside")
    write_files(outside, {".git/config": _config(outside)})
    write_files(outside, {".git/modules/m/config": _config(outside)})
    states = {path: path.read_bytes() for path in (outside / ".git").rglob("config")}
    hostile = tmp_path / "hostile"
    target = hostile / link
    target.parent.mkdir(parents=True)
    target.symlink_to(outside / link)
    home = tmp_path / "home"
    home.mkdir()
    store = Store.open(tmp_path / "store")
    snapshot = store.snapshot({"workspace": hostile, "home": home})
    workplace = Workplace(tmp_path / "machine")
    workplace.prepare(store, snapshot.root, StatCache())
    assert (workplace.workspace / link).is_symlink()
    assert {path: path.read_bytes() for path in states} == states


def test_a_workplace_is_removed_whole_even_when_it_forbids_it(tmp_path: Path):
    store = Store.open(tmp_path / "store")
    source = tmp_path / "source"
    write_files(source, {"sub/deep/a": "1", "kept": "1"})
    home = tmp_path / "home"
    home.mkdir()
    snapshot = store.snapshot({"workspace": source, "home": home})
    workplace = Workplace(tmp_path / "machine")
    workplace.prepare(store, snapshot.root, StatCache())
    assert workplace.root.stat().st_mode & 0o777 == 0o700
    (workplace.workspace / "out").symlink_to(source)
    for path in ("sub/deep", "sub", ""):
        (workplace.workspace / path).chmod(0o500)
    workplace.remove()
    assert not workplace.root.exists()
    assert (source / "sub" / "deep" / "a").read_text() == "1"
    workplace.remove()


def test_nothing_that_came_with_the_files_runs_by_itself_in_a_quiet_machine(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.home.mkdir(parents=True)
    (place.home / ".bashrc").write_text("touch ran")
    (place.home / ".profile").symlink_to("elsewhere")
    place.workspace.mkdir()
    subprocess.run(["git", "init", "-q", str(place.workspace)], check=True)
    for name in ("core.fsmonitor", "filter.x.clean", "alias.st", "diff.x.textconv", "user.name"):
        subprocess.run(["git", "-C", str(place.workspace), "config", name, "x"], check=True)
    assert place.quieten() == [".bashrc", ".profile"]
    assert sorted(path.name for path in place.home.iterdir()) == [
        ".bashrc.autovibe-off",
        ".profile.autovibe-off",
    ]
    listed = ["git", "config", "--file", str(place.workspace / ".git/config"), "--list"]
    left = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    assert "user.name=x" in left
    assert not any(word in left for word in ("fsmonitor", "filter", "alias", "textconv"))

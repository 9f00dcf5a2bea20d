from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from plane import NOON, Plane, make_repository, write_files
from sqlalchemy import text

from autovibe.domains.checkpoints.errors import CheckpointPrunedError
from autovibe.domains.checkpoints.manifest import MANIFEST_LIMIT, manifest_of
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.kernel.paging import encode_token
from autovibe.kernel.progress import Step, listening
from autovibe.kernel.protoconv import from_timestamp
from autovibe.store import Change, Entry
from autovibe.store.model import Kind
from autovibe.v1 import checkpoints_pb2


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repository = make_repository(
        tmp_path / "repo", {"a.txt": "one\n", "sub/b.txt": "two\n", "run.sh": "#!/bin/sh\n"}
    )
    (repository / "run.sh").chmod(0o755)
    (repository / "link").symlink_to("a.txt")
    write_files(repository, {"caf\udce9": "odd\n"})
    return repository


async def _files(
    plane: Plane, checkpoint_id: str, **fields: object
) -> list[checkpoints_pb2.FileEntry]:
    found: list[checkpoints_pb2.FileEntry] = []
    token = ""
    while True:
        page = await plane.services.checkpoints.list_checkpoint_files(
            checkpoints_pb2.ListCheckpointFilesRequest(
                checkpoint_id=checkpoint_id, page_token=token, **fields
            )
        )
        found += page.files
        token = page.next_page_token
        if not token:
            return found


async def _diff(
    plane: Plane, checkpoint_id: str, **fields: object
) -> checkpoints_pb2.DiffCheckpointsResponse:
    return await plane.services.checkpoints.diff_checkpoints(
        checkpoints_pb2.DiffCheckpointsRequest(checkpoint_id=checkpoint_id, **fields)
    )


async def test_the_files_of_a_checkpoint_are_listed_whole_in_parts_and_in_pages(
    one_plane: Plane, repository: Path
):
    await one_plane.project()
    checkpoint = (await one_plane.load(repository)).checkpoint
    files = {f.path: f for f in await _files(one_plane, checkpoint.id[:8])}
    assert {"a.txt", "sub", "sub/b.txt", "link", ".git/HEAD", "caf\\xe9"} <= set(files)
    assert files["a.txt"].sha256 == hashlib.sha256(b"one\n").hexdigest()
    assert (files["run.sh"].mode, files["sub"].kind, files["link"].kind) == (
        "0755",
        "directory",
        "symlink",
    )
    assert files["link"].link_target == "a.txt"
    paged = await _files(one_plane, checkpoint.id, page_size=3)
    assert [f.path for f in paged] == list(files)
    assert [f.path for f in await _files(one_plane, checkpoint.id, path="./sub/")] == ["b.txt"]
    for path in ("/etc", "../x", "a/../../b"):
        with pytest.raises(InvalidArgumentError):
            await _files(one_plane, checkpoint.id, path=path)
    for token in ("x", encode_token("-1"), encode_token("9" * 5000), encode_token("٣")):
        with pytest.raises(InvalidArgumentError):
            await one_plane.services.checkpoints.list_checkpoint_files(
                checkpoints_pb2.ListCheckpointFilesRequest(
                    checkpoint_id=checkpoint.id, page_token=token
                )
            )


async def test_two_checkpoints_are_compared_and_the_parent_is_the_older_side_by_default(
    one_plane: Plane, repository: Path, tmp_path: Path
):
    await one_plane.project()
    first = (await one_plane.load(repository)).checkpoint
    write_files(repository, {"a.txt": "1\n", "new.txt": "3\n", ".git/description": "x\n"})
    (repository / "sub" / "b.txt").unlink()
    (repository / "run.sh").chmod(0o644)
    second = (await one_plane.load(repository)).checkpoint

    answer = await _diff(one_plane, second.id, without_git=True, with_patch=True)
    assert {c.path: c.change for c in answer.changes} == {
        "a.txt": "modified",
        "new.txt": "added",
        "run.sh": "mode",
        "sub/b.txt": "deleted",
    }
    assert "-one\n+1\n" in answer.patch
    assert not answer.patch_truncated
    assert ".git" not in answer.patch.replace("diff --git", "")
    plain = await _diff(one_plane, second.id, base_checkpoint_id=first.id)
    assert ".git/description" in {c.path for c in plain.changes}
    assert plain.patch == ""
    part = await _diff(one_plane, second.id, path="sub")
    assert [c.path for c in part.changes] == ["b.txt"]
    whole = await _diff(one_plane, first.id)
    assert {c.change for c in whole.changes} == {"added"}
    assert (await _diff(one_plane, second.id, base_checkpoint_id=second.id)).changes == []

    write_files(repository, {f"{n}.txt": "line\n" * 100_000 for n in range(12)})
    third = (await one_plane.load(repository)).checkpoint
    cut = await _diff(one_plane, third.id, with_patch=True, without_git=True)
    assert cut.patch_truncated
    assert len(cut.patch) <= 4 * 1024 * 1024


async def test_a_checkpoint_is_restored_whole_or_in_part_into_an_empty_directory_only(
    one_plane: Plane, repository: Path, tmp_path: Path
):
    await one_plane.project()
    checkpoint = (await one_plane.load(repository)).checkpoint

    async def restore(target: Path, **fields: object) -> checkpoints_pb2.RestoreCheckpointResponse:
        return await one_plane.services.checkpoints.restore_checkpoint(
            checkpoints_pb2.RestoreCheckpointRequest(
                checkpoint_id=checkpoint.id, directory=str(target), **fields
            )
        )

    heard: list[Step] = []
    with listening(heard.append):
        whole = await restore(tmp_path / "whole")
    # The link is made last, and is no content.
    assert heard[-1] == Step("restore", whole.files - 1, whole.bytes)
    assert (tmp_path / "whole" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "whole" / "link").readlink() == Path("a.txt")
    assert whole.files > 4
    await restore(tmp_path / "part", path="sub/b.txt")
    assert [p.name for p in (tmp_path / "part").iterdir()] == ["b.txt"]
    with pytest.raises(AutovibeError) as refused:
        await restore(tmp_path / "whole")
    assert refused.value.reason == "RESTORE_TARGET_NOT_EMPTY"
    with pytest.raises(AutovibeError) as refused:
        await restore(tmp_path / "none", path="nothing/here")
    assert refused.value.reason == "STORE_PATH_NOT_FOUND"
    with pytest.raises(InvalidArgumentError):
        await restore(tmp_path / "none", path="../../etc")


@pytest.mark.req("S0-72")
async def test_verification_reads_everything_again_and_names_what_is_damaged(
    plane: Plane, repository: Path, tmp_path: Path
):
    project = await plane.project()
    write_files(repository, {"large.bin": bytes(range(256)) * 9000})
    checkpoint = (await plane.load(repository)).checkpoint

    async def verify(checkpoint_id: str) -> checkpoints_pb2.VerifyCheckpointResponse:
        return await plane.services.checkpoints.verify_checkpoint(
            checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=checkpoint_id)
        )

    answer = await verify(checkpoint.id)
    assert answer.ok
    assert answer.objects > 10
    assert answer.checkpoint == checkpoint

    # One that could not be read back when it was made becomes verified, later and not before.
    unread = await plane.checkpoint(
        project.id, manifest_root=checkpoint.manifest_root, verified=False
    )
    plane.clock.advance(minutes=-1)
    verified = (await verify(unread.id)).checkpoint
    assert verified.verification_status == "verified"
    assert from_timestamp(verified.verified_at) == NOON

    late = await plane.checkpoint(
        project.id, manifest_root=checkpoint.manifest_root, verified=False
    )
    for pack in (plane.store.path / "packs").glob("*.pack"):
        data = bytearray(pack.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(64)
        pack.write_bytes(data)
    broken = await verify(checkpoint.id)
    assert not broken.ok
    assert broken.damaged_paths
    assert broken.checkpoint.verification_status == "failed"
    assert "cannot be read" in broken.checkpoint.damage
    query = "SELECT verification_status FROM checkpoints WHERE verified_at IS NOT NULL"
    assert set(await plane.rows(query)) == {("verified",)}  # the rows are immutable
    failed = (await verify(late.id)).checkpoint
    assert failed.verification_status == "failed"
    assert not failed.HasField("verified_at")


async def test_a_pruned_checkpoint_keeps_its_row_and_says_so(plane: Plane, repository: Path):
    project = await plane.project()
    checkpoint = (await plane.load(repository)).checkpoint
    child = await plane.checkpoint(project.id, parent_checkpoint_id=checkpoint.id)
    async with plane.db.write() as tx:
        await tx.session.execute(
            text("UPDATE checkpoints SET pruned_at = created_at WHERE depth = 0")
        )
    seen = await plane.services.checkpoints.get_checkpoint(
        checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint.id)
    )
    assert seen.HasField("pruned_at")
    with pytest.raises(CheckpointPrunedError):
        await _files(plane, checkpoint.id)
    with pytest.raises(CheckpointPrunedError):
        await _diff(plane, child.id)
    # The next import has nothing to compare with: everything is in its manifest.
    write_files(repository, {"a.txt": "changed\n"})
    later = (await plane.load(repository)).checkpoint
    assert later.parent_checkpoint_id == checkpoint.id


@pytest.mark.req("S0-64")
def test_a_manifest_is_cut_at_ten_thousand_entries_and_says_so():
    entry = Entry("f", Kind.FILE, 0o644, 3, "a" * 64, 1_700_000_000_123_456_789)
    changes = [Change(f"workspace/{n}", "added", None, entry) for n in range(MANIFEST_LIMIT + 1)]
    manifest = manifest_of(changes, "parent")
    assert (len(manifest.files), manifest.truncated, manifest.relative_to) == (
        MANIFEST_LIMIT,
        True,
        "parent",
    )
    few = manifest_of([*changes[:1], Change("workspace/\udcff", "deleted", entry, None)], "")
    assert few.deleted == ["workspace/\\xff"]
    assert not few.truncated
    assert few.files[0].modified_at.ToNanoseconds() == entry.mtime_ns

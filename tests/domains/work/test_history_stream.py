"""Reading a printed history that nobody honest printed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from autovibe.domains.work import history_stream
from autovibe.domains.work.errors import HistoryUnreadableError, HistoryUnrelatedError
from autovibe.domains.work.history_stream import AgentCommit, read_history
from autovibe.domains.work.kept_commits import clean_commit

BASE = "b" * 40
HEAD = b"head " + b"c" * 40 + b"\n"
TASK = "6f2b7c1e-0000-4000-8000-000000000001"


async def read(text: bytes, folder: Path, *, piece: int = 7) -> list[AgentCommit]:
    async def pieces() -> AsyncGenerator[bytes]:
        for begin in range(0, len(text), piece):
            yield text[begin : begin + piece]

    return await read_history(pieces(), BASE, folder)


def commit(
    mark: int, changes: bytes = b"", *, parent: str = BASE, author: bytes = b"A <a@b> 1 +0000"
) -> bytes:
    head = f"commit HEAD\nmark :{mark}\n".encode() + b"author " + author + b"\n"
    return (
        head + f"committer A <a@b> 1 +0000\ndata 2\nm\nfrom {parent}\n".encode() + changes + b"\n"
    )


def blob(mark: int, data: bytes) -> bytes:
    return f"blob\nmark :{mark}\ndata {len(data)}\n".encode() + data + b"\n"


@pytest.mark.parametrize("piece", [1, 3, 4096])
async def test_commits_are_read_whatever_the_pieces_they_come_in(tmp_path: Path, piece: int):
    text = (
        HEAD
        + b"feature done\n"
        + blob(1, b"done\ncommit x\n")
        + commit(2, b'M 100755 :1 "a\\tb\\303\\251\\"\\\\"\nM 120000 :1 l\nD sp ace\n')
        + commit(3, parent=":2")
        + b"done\n"
    )
    first, second = await read(text, tmp_path, piece=piece)
    assert list(first.changes) == ['a\tbé"\\', "l", "sp ace"]
    version = first.changes['a\tbé"\\']
    assert version is not None
    assert (version.mode, version.file.read_bytes()) == ("100755", b"done\ncommit x\n")
    assert first.changes["sp ace"] is None
    assert second.changes == {}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"done\n",
        b"head main\ndone\n",
        HEAD,
        HEAD + b"progress x\ndone\n",
        HEAD + b"tag v1\ndone\n",
        HEAD + b"blob\nmark :1\ndata <<END\nEND\ndone\n",
        HEAD + b"blob\nmark :1\ndata -1\n\ndone\n",
        HEAD + b"blob\nmark :1\ndata 99\nshort\n",
        HEAD + b"blob\ndata 1\nx\ndone\n",
        HEAD + b"x" * 70_000 + b"\ndone\n",
        HEAD + commit(1, b"M 100644 :9 a\n") + b"done\n",
        HEAD + commit(1, b"M 100644 inline a\n") + b"done\n",
        HEAD + commit(1, b'D "a\n') + b"done\n",
        HEAD + commit(1, b'D "a\\q"\n') + b"done\n",
        HEAD + commit(1, b'D "\\000"\n') + b"done\n",
        HEAD + commit(1, b"D \n") + b"done\n",
        HEAD + commit(1, b"R a b\n") + b"done\n",
        HEAD + blob(1, b"") + commit(2, b"M 120000 :1 l\n") + b"done\n",
        HEAD + blob(1, b"a\0b") + commit(2, b"M 120000 :1 l\n") + b"done\n",
        HEAD + blob(1, b"x" * 5000) + commit(2, b"M 120000 :1 l\n") + b"done\n",
        HEAD + blob(1, b"x") + commit(2, b"M 100664 :1 l\n") + b"done\n",
        HEAD + commit(2, b"M 160000 " + b"a" * 40 + b" sub\n") + b"done\n",
        HEAD + commit(1).replace(b"committer", b"gpgsig") + b"done\n",
    ],
)
async def test_what_git_would_not_print_is_refused(tmp_path: Path, text: bytes):
    with pytest.raises(HistoryUnreadableError):
        await read(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + b"done\n",
        HEAD + commit(1, parent="a" * 40) + b"done\n",
        HEAD + commit(1) + commit(2) + b"done\n",
        HEAD + commit(1).replace(b"from " + BASE.encode() + b"\n", b"") + b"done\n",
    ],
)
async def test_commits_that_are_no_chain_from_the_base_are_refused(tmp_path: Path, text: bytes):
    with pytest.raises(HistoryUnrelatedError):
        await read(text, tmp_path)


async def test_a_bomb_of_commits_is_refused_before_it_is_read_to_its_end(tmp_path: Path):
    taken = 0

    async def bomb() -> AsyncGenerator[bytes]:
        nonlocal taken
        yield HEAD
        for number in range(1, 100_001):
            taken = number
            yield commit(number, parent=f":{number - 1}" if number > 1 else BASE)

    with pytest.raises(HistoryUnreadableError, match="1,000 commits"):
        await read_history(bomb(), BASE, tmp_path)
    assert taken < 1_100


async def test_a_flood_of_bytes_or_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history_stream, "STREAM_LIMIT", 1024)
    with pytest.raises(HistoryUnreadableError, match="larger than"):
        await read(HEAD + blob(1, b"x" * 2000) + b"done\n", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(history_stream, "CHANGE_LIMIT", 2)
    with pytest.raises(HistoryUnreadableError, match="more than 2 files"):
        await read(HEAD + commit(1, b"D a\nD b\nD c\n") + b"done\n", tmp_path)


async def test_of_a_huge_message_the_beginning_is_kept(tmp_path: Path):
    huge = b"x" * 3_000_000
    text = commit(1).replace(b"data 2\nm\n", b"data %d\n" % len(huge) + huge + b"\n")
    (found,) = await read(HEAD + text + b"done\n", tmp_path, piece=65536)
    assert len(found.message) == history_stream.MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("line", "name", "email", "date"),
    [
        (b"A B <a@b> 1700000000 +0130", "A B", "a@b", "@1700000000 +0130"),
        (b"A\x1b[31m\xe2\x80\xae <a\x07@b> 1 +0000", "A[31m", "a@b", "@1 +0000"),
        (b"<> 1 +0000", "unknown", "unknown@machine.invalid", "@1 +0000"),
        (b"\xff\xfe <x> 1 +0000", "\ufffd\ufffd", "x", "@1 +0000"),
        (b". <x> 99999999999999999999 +0000", "unknown", "x", ""),
        (b"A <x> -5 +0000", "A", "x", ""),
        (b"A <x> 5 +9999", "A", "x", "@5 +0000"),
        (b"A <x> noon", "unknown", "unknown@machine.invalid", ""),
        (b"A <x> <y> 5 +0000", "unknown", "unknown@machine.invalid", ""),
        (b"", "unknown", "unknown@machine.invalid", ""),
    ],
)
def test_authors_and_dates_are_cleaned(line: bytes, name: str, email: str, date: str):
    author = clean_commit(AgentCommit(line, b"m"), TASK).author
    assert (author.name, author.email, author.date) == (name, email, date)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"One\n", f"One\n\nAutovibe-Task: {TASK}\n"),
        (b"One\n\nFixes: x\n", f"One\n\nFixes: x\nAutovibe-Task: {TASK}\n"),
        (b"Fixes: x\n", f"Fixes: x\n\nAutovibe-Task: {TASK}\n"),
        (b"One\n\nAutovibe-Task: other\n", f"One\n\nAutovibe-Task: {TASK}\n"),
        (b"\x1b]0;x\x07One\r\ntwo\0", f"\\x1b]0;x\\x07One\ntwo\\x00\n\nAutovibe-Task: {TASK}\n"),
        (b" \n\n", f"(no message)\n\nAutovibe-Task: {TASK}\n"),
        (b"\xff", f"\ufffd\n\nAutovibe-Task: {TASK}\n"),
    ],
)
def test_messages_are_cleaned_and_name_the_task_once(given: bytes, message: str):
    assert clean_commit(AgentCommit(b"", given), TASK).message == message

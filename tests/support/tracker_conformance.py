"""What every tracker must do, as operations on a real tree and the paths that must be told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

Operation = Callable[[Path], None]


def _write_by_descriptor(top: Path) -> None:
    fd = os.open(top / "dir/file", os.O_WRONLY)
    os.pwrite(fd, b"X", 0)
    os.close(fd)


def _exchange_directories(top: Path) -> None:
    (top / "dir").rename(top / "held")
    (top / "other").rename(top / "dir")
    (top / "held").rename(top / "other")


def _set_xattr(top: Path) -> None:
    os.setxattr(top / "dir/file", "user.note", b"value")


def _link_again(top: Path) -> None:
    os.link(top / "dir/file", top / "other/second")


def _make_deep(top: Path) -> None:
    (top / "new/a/b/c").mkdir(parents=True)
    (top / "new/a/b/c/file").write_bytes(b"deep")


def _move_in_and_change(top: Path) -> None:
    (top / "dir/inner").rename(top / "other/inner")
    (top / "other/inner/leaf").write_bytes(b"after the move")


def _move_out(top: Path) -> None:
    (top / "dir").rename(top.parent / "outside")


def _move_in(top: Path) -> None:
    (top.parent / "elsewhere/x").mkdir(parents=True)
    (top.parent / "elsewhere/x/file").write_bytes(b"came")
    (top.parent / "elsewhere").rename(top / "came")


# Each changes the tree that `build` makes; afterwards what differs must have been told.
OPERATIONS: dict[str, Operation] = {
    "append": lambda top: (top / "dir/file").write_bytes(b"longer than before"),
    "same_size": _write_by_descriptor,
    "truncate": lambda top: os.truncate(top / "dir/file", 1),
    "create": lambda top: (top / "dir/fresh").write_bytes(b"new"),
    "delete": lambda top: (top / "dir/file").unlink(),
    "replace": lambda top: (top / "other/file").replace(top / "dir/file"),
    "chmod": lambda top: (top / "dir/file").chmod(0o600),
    "chmod_directory": lambda top: (top / "dir").chmod(0o700),
    "chmod_root": lambda top: top.chmod(0o700),
    "utimes": lambda top: os.utime(top / "dir/file", ns=(5, 5)),
    "utimes_of_link": lambda top: os.utime(top / "link", ns=(5, 5), follow_symlinks=False),
    "xattr": _set_xattr,
    "hard_link": _link_again,
    "symlink": lambda top: (top / "dir/points").symlink_to("file"),
    "fifo": lambda top: os.mkfifo(top / "dir/pipe"),
    "make_deep": _make_deep,
    "rename_directory": lambda top: (top / "dir").rename(top / "renamed"),
    "exchange_directories": _exchange_directories,
    "move_and_change": _move_in_and_change,
    "move_out": _move_out,
    "move_in": _move_in,
    "remove_tree": lambda top: shutil.rmtree(top / "dir"),
    "file_becomes_directory": lambda top: ((top / "dir/file").unlink(), (top / "dir/file").mkdir())[
        1
    ],
    "directory_becomes_link": lambda top: (
        shutil.rmtree(top / "dir"),
        (top / "dir").symlink_to("other"),
    )[1],
}


def build(top: Path) -> None:
    """Make the tree that the operations change."""
    (top / "dir/inner").mkdir(parents=True)
    (top / "other").mkdir()
    (top / "dir/file").write_bytes(b"content")
    (top / "dir/inner/leaf").write_bytes(b"leaf")
    (top / "other/file").write_bytes(b"other")
    (top / "link").symlink_to("dir/file")

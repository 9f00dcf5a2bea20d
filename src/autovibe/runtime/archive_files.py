"""Archives as files: lines of JSON, compressed, with a manifest that says what must be in them.

`NAME.jsonl.zst` holds the rows, `NAME.manifest.json` the SHA-256 of that file, the number of lines
and of rows per table, the times of the oldest and the newest row, and the schema's revision. The
manifest comes last, so that a file without one is no archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import zstandard

from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.faults import reach

FORMAT: Final = 1
SUFFIX: Final = ".jsonl.zst"
_MANIFEST: Final = ".manifest.json"
_LEVEL: Final = 6
_BLOCK: Final = 1024 * 1024


class ArchiveDamagedError(AutovibeError):
    """An archive is not what its manifest says, or has none."""

    code = Code.DATA_LOSS
    reason = "ARCHIVE_DAMAGED"


class ArchiveUnwritableError(AutovibeError):
    """The directory of archives cannot be written; nothing was deleted."""

    code = Code.FAILED_PRECONDITION
    reason = "ARCHIVE_UNWRITABLE"


@dataclass(frozen=True)
class Manifest:
    """What an archive holds."""

    file: str
    what: str
    revision: str
    created_at: str
    before: str
    first_at: str
    last_at: str
    sha256: str
    size_bytes: int
    lines: int
    rows: dict[str, int]
    """Rows by table."""
    format: int = FORMAT


@dataclass
class ArchiveWriter:
    """An archive that is being written, under a temporary name until `keep`."""

    directory: Path
    name: str
    _counts: Counter[str] = field(default_factory=Counter[str])
    _content: Any = field(default_factory=hashlib.sha256)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _out: io.BufferedIOBase | None = None

    @property
    def path(self) -> Path:
        """Where the archive will be."""
        return self.directory / f"{self.name}{SUFFIX}"

    @property
    def temporary(self) -> Path:
        """Where it is until then."""
        return self.directory / f".{self.name}.tmp"

    def write(self, lines: Iterable[str]) -> None:
        """Add lines.

        Raises:
            ArchiveUnwritableError: the directory cannot be written.
        """
        with _writing(self.directory):
            out = self._out or self._open()
            for line in lines:
                data = line.encode() + b"\n"
                self._content.update(data)
                self._counts[str(json.loads(line).get("table", "links"))] += 1
                out.write(data)

    def keep(self, facts: Mapping[str, Any]) -> Manifest:
        """Make the file durable, read it back, and give it its name and manifest.

        Args:
            facts: fields of the manifest that the rows do not tell.

        Raises:
            ArchiveDamagedError: what was read is not what was written.
            ArchiveUnwritableError: the directory cannot be written.
        """
        with _writing(self.directory):
            self._stack.close()
            reach("archive_written")
            if _content_of(self.temporary) != (self._content.hexdigest(), self._counts.total()):
                raise ArchiveDamagedError(
                    f"What was written to {self.temporary} cannot be read back; nothing was "
                    "deleted. Check the disk.",
                    path=str(self.temporary),
                )
            counts = dict(sorted(self._counts.items()))
            manifest = Manifest(
                file=self.path.name,
                sha256=_file_hash(self.temporary),
                size_bytes=self.temporary.stat().st_size,
                lines=self._counts.total(),
                rows={name: count for name, count in counts.items() if name != "links"},
                **facts,
            )
            self.temporary.rename(self.path)
            _write_durably(_manifest_path(self.path), json.dumps(asdict(manifest), indent=2))
        reach("archive_kept")
        return manifest

    def discard(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):
            self._stack.close()
            self.temporary.unlink(missing_ok=True)

    def _open(self) -> io.BufferedIOBase:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        file = self._stack.enter_context(os.fdopen(descriptor, "wb"))
        self._stack.callback(_sync, file)
        stream = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(
            file, closefd=False
        )
        self._out = cast("io.BufferedIOBase", self._stack.enter_context(stream))
        return self._out


def remove_leftovers(directory: Path, what: str) -> None:
    """Remove what killed runs left; call it while no other run of this kind can go on."""
    for path in directory.glob(f".{what}-*.tmp"):
        path.unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of an archive that is what it says.

    Args:
        path: the archive itself.

    Raises:
        ArchiveDamagedError: there is no manifest, or the file differs from it.
    """
    try:
        manifest = Manifest(**json.loads(_manifest_path(path).read_text(encoding="utf-8")))
        found = _file_hash(path)
    except (OSError, ValueError, TypeError) as error:
        raise ArchiveDamagedError(
            f"{path} is no archive with a manifest beside it: {error}.", path=str(path)
        ) from error
    if manifest.format != FORMAT:
        raise ArchiveDamagedError(
            f"{path} has format {manifest.format}; this version reads {FORMAT}.", path=str(path)
        )
    if found != manifest.sha256:
        raise ArchiveDamagedError(
            f"{path} differs from what its manifest says (SHA-256); take another copy of it.",
            path=str(path),
        )
    return manifest


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of an archive.

    Raises:
        ArchiveDamagedError: it ends too early.
    """
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as stream,
            io.TextIOWrapper(cast("Any", stream), encoding="utf-8", newline="\n") as t,
        ):
            for line in t:
                yield line.rstrip("\n")
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise ArchiveDamagedError(f"{path} cannot be read: {error}.", path=str(path)) from error


def _content_of(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    lines = 0
    for line in read_lines(path):
        digest.update(line.encode() + b"\n")
        lines += 1
    return digest.hexdigest(), lines


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(SUFFIX) + _MANIFEST)


def _write_durably(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        _sync(file)
    temporary.chmod(0o600)
    temporary.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _writing(directory: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveUnwritableError(
            f"Archives cannot be written to {directory} ({error.strerror}); nothing was deleted. "
            "Make room there, or set maintenance.archive_path.",
            path=str(directory),
        ) from error

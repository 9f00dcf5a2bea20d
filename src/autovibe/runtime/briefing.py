"""The documents of a project as files of its machine: outside the workspace, read-only."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.kernel.text import printable
from autovibe.v1 import documents_pb2, services

DOCUMENTS_NAME: Final = "documents"
DOCUMENTS_VARIABLE: Final = "AUTOVIBE_DOCUMENTS"
SETTINGS_INSIDE: Final = "/run/autovibe/settings"
_MOST_NAMED: Final = 100
_LONGEST_STEM: Final = 60
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_READ_ONLY: Final = 0o444


@dataclass(frozen=True)
class Briefing:
    """What a machine is told of documents: nothing where its project has none."""

    text: str = ""
    directory: str = ""

    def env(self) -> dict[str, str]:
        """Return what tells programs where the documents are."""
        return {DOCUMENTS_VARIABLE: self.directory} if self.directory else {}


async def brief(
    documents: services.DocumentService, project_id: str, settings: Path, *, isolated: bool
) -> Briefing:
    """Write the documents of a project into the directory that its machine sees read-only.

    Args:
        documents: the service.
        project_id: of the machine.
        settings: the directory on this host; inside it is /run/autovibe/settings, or has the same
            path where nothing isolates the machine.
        isolated: whether the machine has a root of its own.

    Raises:
        AutovibeError: the documents cannot be read.
    """
    given = await documents.get_machine_documents(
        documents_pb2.GetMachineDocumentsRequest(project_id=project_id)
    )
    if not given.documents:
        return Briefing()
    directory = settings / DOCUMENTS_NAME
    names = await asyncio.to_thread(_write, directory, given.documents)
    inside = f"{SETTINGS_INSIDE}/{DOCUMENTS_NAME}" if isolated else str(directory)
    lines = [
        f"- {name}: {printable(one.title, one_line=True)} ({one.document_type})"
        for name, one in zip(names, given.documents, strict=True)
    ]
    if len(lines) > _MOST_NAMED:
        lines[_MOST_NAMED:] = [f"- and {len(lines) - _MOST_NAMED} more"]
    head = f"Documents about this project are in {inside}; read those that matter for the task:"
    return Briefing("\n".join([head, *lines]), f"{SETTINGS_INSIDE}/{DOCUMENTS_NAME}")


def _write(directory: Path, documents: Sequence[documents_pb2.ContextDocument]) -> list[str]:
    directory.mkdir(mode=0o755)
    names: list[str] = []
    for number, document in enumerate(documents, 1):
        name = f"{number:02d}-{_stem(document.title)}.md"
        handle = os.open(
            directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READ_ONLY
        )
        with os.fdopen(handle, "wb") as file:
            file.write(document.content.encode())
        names.append(name)
    return names


def _stem(title: str) -> str:
    """Return a title as a part of a file's name: what is no letter or digit of ASCII is a dash."""
    return _NOT_IN_NAMES.sub("-", title.lower())[:_LONGEST_STEM].strip("-") or "document"

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from autovibe.runtime.briefing import Briefing, brief
from autovibe.v1 import documents_pb2


def _service(*documents: documents_pb2.ContextDocument) -> Any:
    async def get_machine_documents(
        _request: documents_pb2.GetMachineDocumentsRequest,
    ) -> documents_pb2.MachineDocuments:
        return documents_pb2.MachineDocuments(documents=documents)

    return SimpleNamespace(get_machine_documents=get_machine_documents)


def _document(title: str, content: str = "x") -> documents_pb2.ContextDocument:
    return documents_pb2.ContextDocument(title=title, content=content, document_type="guide")


async def test_documents_are_read_only_files_whatever_their_titles_are(tmp_path: Path):
    titles = ["../../etc/passwd", "Style", "Style", "\N{RIGHT-TO-LEFT OVERRIDE}evil", "ü" * 255]
    service = _service(*(_document(title, f"about {title}") for title in titles))
    briefing = await brief(service, "p", tmp_path, isolated=True)
    files = sorted((tmp_path / "documents").iterdir())
    assert [file.name for file in files] == [
        "01-etc-passwd.md",
        "02-style.md",
        "03-style.md",
        "04-evil.md",
        "05-document.md",
    ]
    assert [file.read_text() for file in files] == [f"about {title}" for title in titles]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o444}
    assert "/run/autovibe/settings/documents" in briefing.text
    assert "- 04-evil.md: \\u202eevil (guide)" in briefing.text
    assert briefing.env() == {"AUTOVIBE_DOCUMENTS": "/run/autovibe/settings/documents"}


async def test_a_machine_that_is_not_isolated_is_told_the_path_on_this_host(tmp_path: Path):
    briefing = await brief(_service(_document("Style")), "p", tmp_path, isolated=False)
    assert str(tmp_path / "documents") in briefing.text


async def test_a_project_without_documents_has_no_directory_for_them(tmp_path: Path):
    assert await brief(_service(), "p", tmp_path, isolated=True) == Briefing()
    assert not (tmp_path / "documents").exists()


async def test_a_long_list_is_cut_in_the_prompt_and_not_on_disk(tmp_path: Path):
    service = _service(*(_document(f"d{number}") for number in range(120)))
    briefing = await brief(service, "p", tmp_path, isolated=True)
    assert briefing.text.endswith("- and 20 more")
    assert len(list((tmp_path / "documents").iterdir())) == 120

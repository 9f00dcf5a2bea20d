"""People speak to agents that work, and agents read the documents of their project."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from typing import Any

import pytest
from cli_user import User, ended

from autovibe.testing.scripts import Script, Text, Turn, bash

_SPAN_S = 60.0


async def _messages(user: User, place: str) -> list[dict[str, Any]]:
    shown = await user.autovibe("chat", "show", place, "--json")
    assert shown.status == 0, shown.err
    return shown.json["messages"]


async def _row(user: User, query: str) -> str:
    """Return the first value that a query finds, as soon as it finds one; commands take longer."""
    path = user.home / ".autovibe" / "autovibe.db"
    async with asyncio.timeout(_SPAN_S):
        while True:
            try:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                    found = database.execute(query).fetchone()
            except sqlite3.OperationalError:  # it is not there yet
                found = None
            if found:
                return str(found[0])
            await asyncio.sleep(0.05)


@pytest.mark.req("S3-74")
async def test_a_shell_agent_prints_the_document_it_was_given(user: User) -> None:
    document = user.home / "STYLE.md"
    document.write_text("Write *tests* first, ✓\n")
    made = await user.autovibe("project", "create", "calc-project")
    assert made.status == 0, made.err
    added = await user.autovibe(
        "document", "add", str(document), "--project", "calc-project", "--title", "../House style"
    )
    assert added.status == 0, added.err
    run = await user.shell(
        'cat "$AUTOVIBE_DOCUMENTS"/01-house-style.md; printf "%s\\n" "$AUTOVIBE_PROMPT";'
        ' ! echo x 2>/dev/null >"$AUTOVIBE_DOCUMENTS"/new.md && echo kept',
        *("--project", "calc-project"),
    )
    assert run.status == 0, run.err
    result = run.json
    assert result["files_changed"] == []
    logs = await user.autovibe("logs", result["task_id"], "--json")
    told = [entry["message"] for entry in logs.json["entries"]]
    assert "Write *tests* first, ✓" in told
    assert "kept" in told
    assert any("01-house-style.md: ../House style (reference)" in line for line in told)


@pytest.mark.req("S3-02")
async def test_claude_code_hears_what_is_said_while_it_works(user: User) -> None:
    user.server.script = Script(
        (bash("while [ ! -e go ]; do sleep 0.1; done"), Turn((Text("I have heard it."),)))
    )
    process = await user.start(
        *("run", "--repo", str(user.repo), "--json", "--isolation", "process"),
        *("--yes-i-trust-this-agent", "wait for the word"),
    )
    await _row(user, "SELECT id FROM intelligent_machines WHERE status = 'working'")
    task_id = str(uuid.UUID(await _row(user, "SELECT task_id FROM executions")))
    sent = await user.autovibe("task", "say", task_id, "/clear is what I say, ✓", "--json")
    assert sent.status == 0, sent.err
    await _row(user, "SELECT id FROM machine_messages WHERE status = 'delivered'")
    [workspace] = (user.home / ".autovibe" / "machines").glob("*/tree/workspace")
    (workspace / "go").touch()
    done = await ended(process)
    assert done.status == 0, done.err
    assert json.loads(done.out)["status"] == "completed"
    logs = await user.autovibe("logs", task_id, "--json")
    told = [entry["message"] for entry in logs.json["entries"]]
    assert "I have heard it." in told
    assert any(line.startswith("The agent reads the message of ") for line in told)
    [spoken] = await _messages(user, task_id)
    assert spoken["delivery"]["status"] == "processed"
    assert "/clear is what I say" in json.dumps(user.server.requests[-1].body)


@pytest.mark.long
async def test_what_is_said_after_the_end_is_in_the_next_prompt(user: User) -> None:
    first = await user.shell('case "$AUTOVIBE_PROMPT" in *"Try again"*) exit 0;; *) exit 3;; esac')
    assert first.status == 1, first.err
    task_id = first.json["task_id"]
    sent = await user.autovibe("task", "say", task_id, "Try again, please")
    assert sent.status == 0, sent.err
    [waiting] = await _messages(user, task_id)
    assert waiting["delivery"]["status"] == "queued"
    again = await user.autovibe("task", "retry", task_id, "--json")
    assert again.status == 0, again.out
    [heard] = await _messages(user, task_id)
    assert heard["delivery"]["status"] == "processed"

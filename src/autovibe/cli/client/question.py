"""Questions on a terminal; the one about files that look like secrets (decision C6)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from autovibe.cli.client.approval_text import approval_lines
from autovibe.cli.client.running import Choice
from autovibe.cli.output import one_line
from autovibe.cli.render import plural
from autovibe.kernel.text import printable
from autovibe.v1 import approvals_pb2, checkpoints_pb2

_ANSWERS: Final[dict[str, Choice]] = {
    "": "exclude",
    "e": "exclude",
    "exclude": "exclude",
    "i": "include",
    "include": "include",
    "a": "abort",
    "abort": "abort",
}


def can_ask() -> bool:
    """Return whether a person is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def ask_about_secrets(findings: Sequence[checkpoints_pb2.SecretFinding]) -> Choice:
    """List the files, and ask what is to be done with them until the answer is one of three."""
    print(
        f"{plural(len(findings), 'file')} here are not in git and look like secrets:",
        file=sys.stderr,
    )
    for item in findings:
        why = f"({item.why})" if item.why else ""
        print(f"  {printable(item.path, one_line=True)} {why}", file=sys.stderr)
    while True:
        print(
            "The agent would see what you include. [E]xclude them, [i]nclude them, [a]bort? ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        line = await _read_line()
        if line is None:
            print(file=sys.stderr)
            return "abort"
        choice = _ANSWERS.get(line.strip().lower())
        if choice is not None:
            return choice


async def ask_leave(one: approvals_pb2.Approval) -> approvals_pb2.AnswerApprovalRequest | None:
    """Show what is asked, and return what the person says; nothing is a no.

    `None` at the end of the input: the question stays in the inbox.
    """
    print("\n".join(one_line(line) for line in approval_lines(one)), file=sys.stderr)
    if one.kind == "question":
        print("Answer: ", end="", file=sys.stderr, flush=True)
        line = await _read_line()
        if not (line or "").strip():
            return None
        return approvals_pb2.AnswerApprovalRequest(approval_id=one.id, text=(line or "").strip())
    print("Allow it? [y/N/all] ", end="", file=sys.stderr, flush=True)
    line = await _read_line()
    if line is None:
        print(file=sys.stderr)
        return None
    said = line.strip().lower()
    return approvals_pb2.AnswerApprovalRequest(
        approval_id=one.id,
        choice="allow" if said in {"y", "yes", "all"} else "deny",
        identical=said == "all",
    )


async def confirm(question: str) -> bool:
    """Ask for a yes; anything else is a no."""
    print(f"{printable(question, one_line=True)} [y/N] ", end="", file=sys.stderr, flush=True)
    line = await _read_line()
    if line is None:
        print(file=sys.stderr)
    return (line or "").strip().lower() in {"y", "yes"}


async def _read_line() -> str | None:
    """Read a line from the terminal on the loop, so that signals still work; `None` at its end."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    data = os.read(descriptor, 4096)
    return data.decode(errors="replace") if data else None

"""A small coding agent: asks the model, does what it says, and keeps its conversation in a file.

Tests let `--agent shell` run this text in a machine. Conversation and work lie in one directory, so
that a checkpoint has both, and an agent that is started again goes on where the checkpoint was.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

CONVERSATION = Path("conversation.json")


def ask(messages: list[object]) -> dict[str, object]:
    """Send the conversation; return the answer, put together from its stream."""
    base = urllib.parse.urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 4096,
        "stream": True,
        "messages": messages,
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    }
    connection = http.client.HTTPConnection(str(base.hostname), base.port or 80)
    headers = {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": os.environ["ANTHROPIC_API_KEY"],
    }
    connection.request("POST", f"{base.path}/v1/messages", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != http.client.OK:
        sys.exit(f"{response.status} {response.read().decode()}")
    blocks: list[dict[str, object]] = []
    texts: list[str] = []
    for line in response:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            texts.append("")
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            texts[-1] += delta.get("text", "") + delta.get("partial_json", "")
        elif event["type"] == "message_stop":
            for block, text in zip(blocks, texts, strict=True):
                if block["type"] == "tool_use":
                    block["input"] = json.loads(text or "{}")
                else:
                    block["text"] = text
            return {"role": "assistant", "content": blocks}
    sys.exit("the answer broke off")


def result_of(call: dict[str, object]) -> dict[str, object]:
    """Run the shell command of a tool call."""
    command = call["input"]
    assert isinstance(command, dict)
    done = subprocess.run(
        ["/bin/sh", "-c", command["command"]], check=False, capture_output=True, text=True
    )
    return {"type": "tool_result", "tool_use_id": call["id"], "content": done.stdout or "done"}


def main() -> None:
    """Go on with the conversation until the model has nothing more to do."""
    messages: list[object] = [{"role": "user", "content": "do the steps"}]
    if CONVERSATION.exists():
        messages = json.loads(CONVERSATION.read_text())
    while True:
        answer = ask(messages)
        content = answer["content"]
        assert isinstance(content, list)
        results = [result_of(block) for block in content if block["type"] == "tool_use"]
        messages.append(answer)
        if not results:
            return
        messages.append({"role": "user", "content": results})
        CONVERSATION.write_text(json.dumps(messages))


if __name__ == "__main__":
    main()

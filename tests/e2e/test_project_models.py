"""A run follows what its project states of models: names, places, what is kept."""

from __future__ import annotations

import json

import pytest
from cli_user import User

# Asks for the alias `fast` and prints what it gets, then for a model that is not allowed.
ASK = """
ask() {
  curl -s -D headers -o answer "$ANTHROPIC_BASE_URL/v1/messages" \\
    -H "x-api-key: $ANTHROPIC_API_KEY" -H "anthropic-version: 2023-06-01" \\
    -H "content-type: application/json" -d '{"model":"'"$1"'","max_tokens":50,
    "messages":[{"role":"user","content":"the password: hunter2hunter2hunter2"}]}'
}
ask fast && cp answer answered && grep -i '^request-id' headers | tr -d '\\r' > id
ask claude-opus-5-5 && cp answer refused
"""


@pytest.mark.long
async def test_a_run_calls_models_under_its_projects_names_and_what_it_asked_is_kept(
    user: User,
) -> None:
    config = user.home / ".autovibe" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text(
        f'[upstream.ours]\napi = "anthropic"\nurl = "{user.server.url}"\n'
        f'key = "{user.server.api_key}"\n'
    )
    user.environment["AUTOVIBE_UPSTREAM_ANTHROPIC_URL"] = "http://127.0.0.1:9"
    assert (await user.autovibe("project", "create", "named")).status == 0
    stated = await user.autovibe(
        *("project", "models", "set", "named", "--allow", "claude-haiku-*"),
        *("--alias", "fast=claude-sonnet-5-5", "--route", "anthropic=ours", "--keep-bodies"),
    )
    assert stated.status == 0, stated.err

    run = await user.shell(ASK, "--project", "named", "--isolation", "process")

    assert run.status == 0, run.err
    result = run.json["result_checkpoint_id"]
    answered = await user.cat(result, "answered")
    assert json.loads(answered).get("model") == "claude-sonnet-5-5", answered
    refused = json.loads(await user.cat(result, "refused"))
    assert "'claude-opus-5-5' is not allowed in this project" in refused["error"]["message"]
    request_id = (await user.cat(result, "id")).partition(":")[2].strip()
    kept = await user.autovibe("call", request_id, "--json")
    assert kept.status == 0, kept.err
    assert "claude-sonnet-5-5" in kept.json["request"]
    assert "password: [secret]" in kept.json["request"]
    assert json.loads(kept.json["response"])["role"] == "assistant"
    assert run.json["api_calls"] == 1

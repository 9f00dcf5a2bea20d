"""Which models a project may call, and under which names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import quote

from autovibe.gateway.body import with_member
from autovibe.gateway.dialect import Endpoint
from autovibe.gateway.policy import ModelRules, RequestRefusedError

_LIST_NAMES: Final = ("data", "models")
_MOST_NAMED: Final = 10


def named(
    rules: ModelRules, endpoint: Endpoint, request: dict[str, Any], body: bytes
) -> tuple[Endpoint, dict[str, Any], bytes]:
    """Return a request with the model that an alias stands for.

    Raises:
        RequestRefusedError: the project does not allow the model.
    """
    in_path = endpoint.model is not None
    asked = endpoint.model if in_path else request.get("model")
    if rules.plain or not isinstance(asked, str) or not asked:
        return endpoint, request, body
    model = rules.model(asked)
    if model is None:
        raise RequestRefusedError("model", _refusal(rules, asked))
    if model == asked:
        return endpoint, request, body
    if in_path:
        begin, _, method = endpoint.path.rpartition(":")
        path = f"{begin.rpartition('/')[0]}/{quote(model, safe='')}:{method}"
        return replace(endpoint, path=path, model=model), request, body
    changed = with_member(body, ("model",), json.dumps(model).encode())
    return endpoint, {**request, "model": model}, changed


def only_allowed(rules: ModelRules, content: bytes) -> bytes:
    """Return a provider's list of models with those that a project may call, aliases first.

    An answer of another shape is returned as it is: it names no model.
    """
    try:
        answer: object = json.loads(content)
    except (ValueError, RecursionError):
        return content
    name = next((n for n in _LIST_NAMES if isinstance(answer, dict) and n in answer), None)
    if name is None:
        return content
    fields = cast("dict[str, Any]", answer)
    items = fields[name]
    if not isinstance(items, list):
        return content
    entries = [cast("dict[str, Any]", one) for one in cast("list[object]", items) if _is_entry(one)]
    known = {_id(one): one for one in entries}
    listed = [
        _as_alias(known[model], alias) for alias, model in rules.aliases.items() if model in known
    ]
    listed += [one for one in entries if rules.allows(_id(one)) and _id(one) not in rules.aliases]
    fields[name] = listed
    for end, at in (("first_id", 0), ("last_id", -1)):
        # Where a list has pages, `last_id` is what the next one is asked for by.
        if end in fields and not fields.get("has_more"):
            fields[end] = _id(listed[at]) if listed else None
    return json.dumps(fields).encode()


def _refusal(rules: ModelRules, asked: str) -> str:
    may = ", ".join([*rules.aliases, *rules.allowed][:_MOST_NAMED])
    more = ", …" if len(rules.aliases) + len(rules.allowed) > _MOST_NAMED else ""
    return (
        f"model: {asked!r} is not allowed in this project. Ask for one of {may}{more}, or let the "
        f"project's owner allow it with `autovibe project models set PROJECT --allow {asked}`."
    )


def _is_entry(one: object) -> bool:
    return isinstance(one, dict) and bool(_id(cast("dict[str, Any]", one)))


def _id(entry: Mapping[str, Any]) -> str:
    """Return the name by which a model is called: Gemini lists it below `models/`."""
    found = entry.get("id") or entry.get("name")
    return found.removeprefix("models/") if isinstance(found, str) else ""


def _as_alias(entry: Mapping[str, Any], alias: str) -> dict[str, Any]:
    name = "id" if "id" in entry else "name"
    return {**entry, name: alias if name == "id" else f"models/{alias}"}

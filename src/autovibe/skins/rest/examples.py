"""Examples in the OpenAPI document: a request and its answer for each operation.

They are what a real control plane was asked and answered; `make examples` writes them anew.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

_FILE: Final = "examples.json"
_JSON: Final = "application/json"


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Return `request` and `response` by the name of the operation."""
    return json.loads(files("autovibe.skins.rest").joinpath(_FILE).read_text("utf-8"))


def add_examples(document: dict[str, Any]) -> None:
    """Show in a document what its operations take and give."""
    for verbs in document["paths"].values():
        for operation in verbs.values():
            example = examples().get(operation["operationId"])
            if example is not None:
                _add(operation, example["request"], example["response"])


def _add(operation: dict[str, Any], request: dict[str, Any], response: dict[str, Any]) -> None:
    named = {parameter["name"] for parameter in operation.get("parameters", ())}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in request:
            parameter["example"] = request[parameter["name"]]
    if "requestBody" in operation:
        body = {name: value for name, value in request.items() if name not in named}
        operation["requestBody"]["content"][_JSON]["example"] = body
    operation["responses"]["200"]["content"][_JSON]["example"] = response

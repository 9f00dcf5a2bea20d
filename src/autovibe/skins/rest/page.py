"""The page at /docs: the OpenAPI document as plain HTML, without a script or a foreign site."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any, Final

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f3f3f3 }
pre { padding: .75rem; overflow-x: auto } summary { cursor: pointer; padding: .2rem 0 }
table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: .2rem .6rem;
text-align: left; vertical-align: top } .verb { font-weight: bold }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #ddd }
code, pre { background: #262626 } a { color: #8ab4f8 } }
"""


def docs_page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    body = "\n".join(_body(document))
    title = html.escape(document["info"]["title"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _body(document: dict[str, Any]) -> Iterator[str]:
    about = document["info"]
    yield f"<h1>{html.escape(about['title'])} {html.escape(about['version'])}</h1>"
    yield f"<p>{html.escape(about['description'])}</p>"
    yield (
        "<p>Every call needs the header <code>Authorization: Bearer TOKEN</code>, or the session "
        "of a browser that <code>autovibe open</code> has opened. "
        'The same as data: <a href="/openapi.json">openapi.json</a>.</p>'
    )
    by_tag: dict[str, list[str]] = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            by_tag.setdefault(operation["tags"][0], []).extend(_operation(path, verb, operation))
    for tag, lines in sorted(by_tag.items()):
        yield f"<h2>{html.escape(tag.capitalize())}</h2>"
        yield from lines
    yield "<h2>Schemas</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        escaped = html.escape(name)
        yield f'<details id="{escaped}"><summary><code>{escaped}</code></summary>'
        yield f"{_described(schema)}{_json(schema)}</details>"


def _operation(path: str, verb: str, operation: dict[str, Any]) -> Iterator[str]:
    yield (
        f'<details><summary><span class="verb">{verb.upper()}</span> '
        f"<code>{html.escape(path)}</code> {html.escape(operation['summary'])}</summary>"
    )
    yield _described(operation)
    if operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th>schema</th><th></th></tr>"
        for parameter in operation["parameters"]:
            yield (
                f"<tr><td><code>{html.escape(parameter['name'])}</code></td>"
                f"<td>{parameter['in']}</td><td>{_json(parameter['schema'])}</td>"
                f"<td>{html.escape(parameter.get('description', ''))}</td></tr>"
            )
        yield "</table>"
    if "requestBody" in operation:
        yield f"<p>Body: {_references(operation['requestBody'])}</p>"
        yield _example(operation["requestBody"])
    yield "<table><tr><th>status</th><th>meaning</th><th>content</th></tr>"
    for status, response in operation["responses"].items():
        meaning = html.escape(response["description"]).replace("\n", "<br>")
        yield f"<tr><td>{status}</td><td>{meaning}</td><td>{_references(response)}</td></tr>"
    yield f"</table>{_example(operation['responses']['200'])}</details>"


def _example(thing: dict[str, Any]) -> str:
    """Return the example of a body."""
    examples = [
        content["example"] for content in thing.get("content", {}).values() if "example" in content
    ]
    return "".join(f"<p>Example:</p>{_json(example)}" for example in examples)


def _described(thing: dict[str, Any]) -> str:
    text = html.escape(thing.get("description", ""))
    return f"<p>{text}</p>" if text else ""


def _references(thing: dict[str, Any]) -> str:
    """Return links to the schemas that a body has."""
    names = [
        content["schema"]["$ref"].rsplit("/", 1)[1]
        for content in thing.get("content", {}).values()
        if "$ref" in content.get("schema", {})
    ]
    return ", ".join(f'<a href="#{html.escape(name)}">{html.escape(name)}</a>' for name in names)


def _json(schema: dict[str, Any]) -> str:
    return f"<pre>{html.escape(json.dumps(schema, indent=1, ensure_ascii=False))}</pre>"

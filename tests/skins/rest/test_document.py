"""The OpenAPI document and the page at /docs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from served import ALL_METHODS, Served

from autovibe.sdk.contract import rule_of, streams
from autovibe.skins.rest.examples import examples
from autovibe.v1 import options_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {
    m.descriptor.name: m
    for m in (*ALL_METHODS, *streams().values())
    if m.operation.audience == options_pb2.AUDIENCE_PEOPLE
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(stubs: Served) -> dict[str, Any]:
    return await (await stubs.request("GET", "/openapi.json")).json()


def operations_in(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for verbs in document["paths"].values()
        for operation in verbs.values()
    }


async def test_every_operation_says_what_it_does_and_which_errors_it_gives(document) -> None:
    for name, operation in operations_in(document).items():
        method = PEOPLE[name]
        assert operation["summary"]
        if method.operation.anonymous:
            assert operation["security"] == []
        else:
            assert f"`{method.operation.permission}`" in operation["description"]
        responses = operation["responses"]
        assert "422" not in responses
        told = "\n".join(response["description"] for response in responses.values())
        common = {"INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "INTERNAL"}
        for reason in {*method.operation.errors, *common}:
            assert f"`{reason}`" in told, (name, reason)
        for status, response in responses.items():
            if status != "200":
                content = response["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


async def test_every_field_of_a_request_is_in_the_path_the_query_or_the_body(document) -> None:
    schemas = document["components"]["schemas"]
    for name, operation in operations_in(document).items():
        shown = {parameter["name"] for parameter in operation.get("parameters", [])}
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            reference = content["schema"].get("$ref") or content["schema"]["anyOf"][0]["$ref"]
            body = schemas[reference.rsplit("/", 1)[1]]
            assert body["additionalProperties"] is False
            shown |= set(body["properties"])
        wanted = PEOPLE[name].descriptor.input_type.fields
        assert shown == {field.name for field in wanted}


async def test_rules_and_comments_of_fields_are_shown(document) -> None:
    task = document["components"]["schemas"]["CreateTaskRequest"]
    assert task["required"] == ["project"]
    assert task["properties"]["project"] | {"title": ""} == {
        "type": "string",
        "description": "Id or name.",
        "minLength": 1,
        "maxLength": 255,
        "pattern": r"^[^\x00]*$",
        "title": "",
    }
    assert task["properties"]["priority"]["enum"] == ["low", "normal", "high", "critical", ""]
    assert task["properties"]["base_checkpoint_id"]["pattern"].startswith("^(?:[0-9a-fA-F]{8}-")
    listed = operations_in(document)["ListTasks"]["parameters"]
    by_name = {parameter["name"]: parameter["schema"] for parameter in listed}
    assert (by_name["page_size"]["minimum"], by_name["page_size"]["maximum"]) == (0, 500)
    assert by_name["statuses"]["maxItems"] == 7
    assert "blocked" in by_name["statuses"]["items"]["enum"]
    assert by_name["statuses"]["type"] == "array"


async def test_schemas_hold_nothing_that_json_schema_does_not_know(document) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            assert not {"ge", "le", "gt", "lt"} & set(value)
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(document)


async def test_types_are_those_of_the_wire(document) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["TaskResult"]["properties"]["api_calls"]["type"] == "integer"
    times = schemas["Task"]["properties"]["created_at"]["anyOf"]
    assert {"type": "string", "format": "date-time"} in times
    prices = schemas["Project"]["properties"]["metadata"]["anyOf"][0]
    assert prices["type"] == "object"
    assert "error" not in schemas["TaskResult"]["required"]
    assert "task_id" in schemas["TaskResult"]["required"]


async def test_the_token_is_declared(document) -> None:
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


class Page(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.links.add(given.get("href") or "")
        self.ids.add(given.get("id") or "")
        assert not {"src", "onclick", "onload"} & set(given)


async def test_the_page_has_every_operation_and_loads_nothing(stubs: Served) -> None:
    answer = await stubs.request("GET", "/docs")
    text = await answer.text()
    page = Page()
    page.feed(text)
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for method in PEOPLE.values():
        assert method.http is not None
        assert method.http.template in text
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= page.ids


async def test_required_rules_are_required_in_the_document(document) -> None:
    schemas = document["components"]["schemas"]
    for name, method in PEOPLE.items():
        schema = schemas.get(method.descriptor.input_type.name)
        if schema is None or method.http is None or not method.http.has_body:
            continue
        wanted = [
            field.name
            for field in method.descriptor.input_type.fields
            if rule_of(field).required and field.name not in method.http.variables
        ]
        assert schema.get("required", []) == wanted, name


async def test_every_change_needs_a_body_and_its_type(document) -> None:
    for verbs in document["paths"].values():
        for verb, operation in verbs.items():
            if verb in {"get", "delete"}:
                assert "requestBody" not in operation
            else:
                assert operation["requestBody"]["required"] is True
                assert list(operation["requestBody"]["content"]) == ["application/json"]


async def test_forms_of_texts_and_times_are_shown(document) -> None:
    by_name = {
        parameter["name"]: parameter["schema"]
        for name in ("ListTasks", "GetUsage", "GetTask")
        for parameter in operations_in(document)[name]["parameters"]
    }
    assert by_name["since"]["format"] == "date-time"
    assert re.fullmatch(by_name["page_token"]["pattern"], "WyJhIl0")
    assert not re.fullmatch(by_name["page_token"]["pattern"], "a b")
    assert re.fullmatch(by_name["task_id"]["pattern"], "abcdef01-2345")
    assert not re.fullmatch(by_name["task_id"]["pattern"], "abcdef0")
    resume = document["components"]["schemas"]["ResumeTaskRequest"]["properties"]
    assert re.fullmatch(resume["budget"]["pattern"], "2.50 CAD")
    assert not re.fullmatch(resume["budget"]["pattern"], "2 EUR")
    # What machines wrote may hold NUL; what is sent may not.
    task = document["components"]["schemas"]["Task"]["properties"]
    assert "pattern" not in task["title"]
    sent = document["components"]["schemas"]["CreateTaskRequest"]["properties"]
    assert not re.fullmatch(sent["title"]["pattern"], "a\0b")


async def test_every_operation_has_an_example_that_fits_its_schema(document) -> None:
    registry = Registry().with_resource("doc", Resource.from_contents(document, DRAFT202012))

    def check(content: dict[str, Any]) -> None:
        reference = json.loads(json.dumps(content["schema"]).replace('"#/', '"doc#/'))
        Draft202012Validator(reference, registry=registry).validate(content["example"])

    for name, operation in operations_in(document).items():
        answer = operation["responses"]["200"]["content"].get("application/json")
        if answer is not None:
            assert "example" in answer, f"run `make examples`: {name} is new"
            check(answer)
        if "requestBody" in operation:
            check(operation["requestBody"]["content"]["application/json"])
    gone = set(examples()) - set(PEOPLE)
    assert not gone, f"run `make examples`: {gone} are gone"

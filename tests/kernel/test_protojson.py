"""Messages as JSON-ready data."""

from __future__ import annotations

import json
import math
import random

import pytest
from google.protobuf import descriptor_pb2, json_format
from stubs import sample

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protojson import from_json, to_json, to_json_bytes
from autovibe.sdk.contract import methods
from autovibe.v1 import metering_pb2, options_pb2, projects_pb2, work_pb2


def test_names_are_those_of_the_proto_file_and_large_numbers_are_numbers() -> None:
    result = work_pb2.TaskResult(task_id="t", api_calls=2**53 + 1, verified=True)
    document = to_json(result)
    assert document["api_calls"] == 9_007_199_254_740_993
    assert (document["task_id"], document["verified"], document["cost_cad"]) == ("t", True, "")
    assert "error" not in document
    assert document["files_changed"] == []


def test_maps_times_and_free_data_are_written_as_proto_json() -> None:
    project = projects_pb2.Project()
    project.metadata.update({"z": [1, None], "a": {"b": True}})
    project.created_at.FromJsonString("2026-01-31T12:00:00.5Z")
    document = to_json(project)
    assert document["metadata"] == {"z": [1, None], "a": {"b": True}}
    assert document["created_at"] == "2026-01-31T12:00:00.500Z"
    terms = metering_pb2.CallTerms(unit_prices={"b": "2", "a": "1"})
    assert list(to_json(terms)["unit_prices"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_numbers_that_json_lacks_are_words(value: float, text: str) -> None:
    assert json.loads(to_json_bytes(work_pb2.TaskResult(duration_s=value)))["duration_s"] == text


def test_enums_are_names_and_unset_presence_is_left_out() -> None:
    operation = options_pb2.Operation(kind=options_pb2.OPERATION_KIND_READ)
    assert to_json(operation)["kind"] == "OPERATION_KIND_READ"
    assert to_json(options_pb2.FieldRule(ge=0)) == {
        **to_json(options_pb2.FieldRule()),
        "ge": 0.0,
    }
    option = descriptor_pb2.UninterpretedOption(string_value=b"\xff")
    assert to_json(option)["string_value"] == "/w=="


@pytest.mark.parametrize("name", list(methods()))
def test_every_message_survives_the_way_there_and_back(name: str) -> None:
    for descriptor in (
        methods()[name].descriptor.input_type,
        methods()[name].descriptor.output_type,
    ):
        for seed in range(5):
            message = sample(descriptor, random.Random(seed))
            document = json.loads(to_json_bytes(message))
            back = type(message)()
            from_json(document, back)
            assert back == message
            # The only difference to canonical ProtoJSON is how 64-bit integers are written.
            canonical = json_format.MessageToDict(
                message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
            assert json_format.ParseDict(canonical, type(message)()) == back
            assert set(canonical) == set(document)


@pytest.mark.parametrize(
    "data", [{"nmae": "x"}, {"name": 5}, {"metadata": []}, {"created_at": "noon"}]
)
def test_what_does_not_fit_is_refused(data: dict) -> None:
    with pytest.raises(InvalidArgumentError, match="The data does not fit"):
        from_json(data, projects_pb2.Project())


def test_free_data_has_its_names_in_order_however_deep() -> None:
    names = [f"{number:03}" for number in range(100)]
    project = projects_pb2.Project()
    project.metadata.update({"list": [dict.fromkeys(reversed(names), 1.0)], "a": "first"})
    document = json.loads(to_json_bytes(project))["metadata"]
    assert list(document) == ["a", "list"]
    assert list(document["list"][0]) == names

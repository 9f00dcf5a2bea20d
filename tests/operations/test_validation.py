"""Requests are checked by the rules of their fields."""

from __future__ import annotations

import math
import random
import uuid

import pytest
from google.protobuf import struct_pb2, timestamp_pb2
from stubs import sample

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.kernel.money import parse_amount
from autovibe.operations.validation import _number_checks, rule_problems, validator
from autovibe.sdk.contract import methods
from autovibe.v1 import (
    checkpoints_pb2,
    identity_pb2,
    metering_pb2,
    options_pb2,
    projects_pb2,
    work_pb2,
)

ID = str(uuid.UUID(int=7))


def refusal(message) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        validator(message.DESCRIPTOR).check(message)
    return caught.value


def test_every_violation_is_named_and_the_first_is_the_field() -> None:
    request = projects_pb2.CreateProjectRequest(
        description="x" * 10_001, greediness="much", repo_path="/" * 4097
    )
    error = refusal(request)
    assert error.message == (
        "name must be given; description must have at most 10000 characters; greediness must be a "
        "number from 0 to 1; repo_path must have at most 4096 characters."
    )
    assert error.params == {"field": "name"}


def test_many_violations_are_counted_after_the_first_twenty() -> None:
    amounts = [metering_pb2.ResourceAmount() for _ in range(30)]
    request = metering_pb2.ReserveManyRequest(
        reservations=[
            metering_pb2.Reservation(id=ID, project_id=ID, instance_id=ID, ttl_s=1, amounts=amounts)
        ]
    )
    message = refusal(request).message
    assert message.startswith("reservations[0].amounts[0].resource_type must be given; ")
    assert message.endswith("; and 40 more.")


@pytest.mark.parametrize(
    "value",
    ["x", ID[:-1], f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", ""), f"{ID}\n", f" {ID}"],
)
def test_what_is_no_canonical_uuid_is_refused(value: str) -> None:
    request = identity_pb2.RevokeTokenRequest(token_id=value)
    assert refusal(request).message == "token_id must be an id (a UUID)."


@pytest.mark.parametrize(
    "value", ["-1", "1e3", "1.1234567", "1.", ".5", "1" * 10, "१", "NaN", "$1"]
)
def test_what_is_no_plain_decimal_is_refused(value: str) -> None:
    request = metering_pb2.ResourceAmount(resource_type="money", amount=value)
    assert "amount must be a plain number" in refusal(request).message


@pytest.mark.parametrize("value", ["0", "1", "0.5", "999999999.999999"])
def test_a_plain_decimal_passes(value: str) -> None:
    request = metering_pb2.ResourceAmount(resource_type="money", amount=value)
    validator(request.DESCRIPTOR).check(request)


def test_a_pattern_must_match_the_whole_text() -> None:
    request = metering_pb2.GetExchangeRateRequest(currency="USDX")
    assert refusal(request).message == "currency must match [A-Z]{3}."
    assert refusal(metering_pb2.GetExchangeRateRequest(currency="USD\n")).params == {
        "field": "currency"
    }


def test_one_of_allows_the_empty_text_only_where_the_field_is_not_required() -> None:
    optional = work_pb2.CreateTaskRequest(project="p", task_type="")
    validator(optional.DESCRIPTOR).check(optional)
    wrong = work_pb2.CreateTaskRequest(project="p", task_type="chore")
    assert refusal(wrong).message == (
        "task_type must be one of feature, bugfix, test, docs, refactor, review."
    )
    required = work_pb2.FinishExecutionRequest(execution_id=ID)
    assert refusal(required).message == "outcome must be given."


def test_items_of_a_list_are_checked_one_by_one_and_counted() -> None:
    request = work_pb2.ListTasksRequest(statuses=["queued", "gone"])
    assert refusal(request).message.startswith("statuses[1] must be one of pending, queued")
    assert refusal(work_pb2.ListTasksRequest(statuses=["queued"] * 8)).message == (
        "statuses must have at most 7 items."
    )
    assert refusal(identity_pb2.IssueTokenRequest(name="n")).message == "scopes must be given."


def test_numbers_keep_their_bounds() -> None:
    assert refusal(projects_pb2.ListProjectsRequest(page_size=501)).message == (
        "page_size must be at most 500."
    )
    claim = work_pb2.ClaimWorkOrderRequest(worker_id=ID, instance_id=ID)
    assert refusal(claim).message == "lease_s must be at least 1."


def test_rules_hold_in_messages_inside_messages() -> None:
    request = metering_pb2.SettleManyRequest(
        settlements=[metering_pb2.Settlement(id=ID, outcome="settled", native_cost="-3")]
    )
    assert refusal(request).params == {"field": "settlements[0].native_cost"}


def test_a_text_with_nul_is_refused_wherever_it_is() -> None:
    struct = struct_pb2.Struct()
    struct.update({"deep": [{"er": ["\0"]}]})
    terms = metering_pb2.CallTerms(unit_prices={"in\0put": "1"})
    cases = {
        "page_token": projects_pb2.ListProjectsRequest(page_token="\0"),
        "metadata": work_pb2.CreateTaskRequest(project="p", metadata=struct),
        "context.agent_args[1]": work_pb2.CreateTaskRequest(
            project="p", context=work_pb2.TaskContext(agent_args=["a", "\0"])
        ),
        "exclude[0]": checkpoints_pb2.ScanSecretsRequest(
            project="p", directory="/", exclude=["\0"]
        ),
        "reservations[0].terms.unit_prices": metering_pb2.ReserveManyRequest(
            reservations=[
                metering_pb2.Reservation(
                    id=ID,
                    project_id=ID,
                    instance_id=ID,
                    ttl_s=1,
                    terms=terms,
                    amounts=[metering_pb2.ResourceAmount(resource_type="money", amount="1")],
                )
            ]
        ),
    }
    for field, request in cases.items():
        error = refusal(request)
        assert error.message == f"{field} must not contain the character NUL."


def test_a_time_outside_of_the_calendar_is_refused() -> None:
    late = timestamp_pb2.Timestamp(seconds=10**15)
    assert refusal(metering_pb2.GetUsageRequest(since=late)).message == (
        "since must be a time between the years 1 and 9999."
    )


def test_nan_breaks_every_bound() -> None:
    checks = list(_number_checks(options_pb2.FieldRule(ge=0, le=1)))
    assert [check(math.nan) for check in checks] == ["must be at least 0", "must be at most 1"]
    assert [check(0.5) for check in checks] == [None, None]


def test_rules_that_make_no_sense_are_found() -> None:
    assert [rule_problems(method.descriptor.input_type) for method in methods().values()] == [
        [] for _ in methods()
    ]


@pytest.mark.parametrize("name", list(methods()))
def test_a_request_made_by_the_rules_passes(name: str) -> None:
    rng = random.Random(name)
    descriptor = methods()[name].descriptor.input_type
    for _ in range(20):
        message = sample(descriptor, rng)
        validator(descriptor).check(message)


@pytest.mark.parametrize("given", ["abcdef01", "abcdef01-", "abcdef01-2345", ID[:24], ID[:30], ID])
def test_the_beginning_of_an_id_is_enough(given: str) -> None:
    request = work_pb2.GetTaskRequest(task_id=given)
    validator(request.DESCRIPTOR).check(request)
    id_range(given, "task")


@pytest.mark.parametrize(
    "given", ["abcdef0", "abcdefgh", "abcd-ef01", f"{ID}0", "0" * 33, " " + ID]
)
def test_what_is_no_beginning_of_an_id_is_refused(given: str) -> None:
    error = refusal(work_pb2.GetTaskRequest(task_id=given))
    assert error.message == "task_id must be an id, or its first 8 or more characters."


@pytest.mark.parametrize(
    "given", ["2", "2.50", "2.00CAD", " 1.5 usd", "$3", "$ 3 CAD ", "0.000001"]
)
def test_an_amount_that_the_contract_takes_is_one(given: str) -> None:
    request = work_pb2.ResumeTaskRequest(task_id=ID, budget=given)
    validator(request.DESCRIPTOR).check(request)
    parse_amount(given)


@pytest.mark.parametrize("given", ["-1", "1e3", "2 EUR", "two", "1.0000001", "1,5", "€2"])
def test_what_is_no_amount_is_refused(given: str) -> None:
    error = refusal(work_pb2.ResumeTaskRequest(task_id=ID, budget=given))
    assert error.message == "budget must be an amount such as 2.00CAD or 1.50USD."
    with pytest.raises(InvalidArgumentError):
        parse_amount(given)


def test_a_pattern_with_words_of_its_own_is_told_in_them() -> None:
    error = refusal(projects_pb2.CreateProjectRequest(name=" website"))
    assert error.message == "name must be visible characters without spaces around them."

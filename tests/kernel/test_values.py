"""Money, durations, text, ids, page tokens, transitions and exit statuses."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autovibe.kernel.context import Actor
from autovibe.kernel.errors import (
    EXIT_BUDGET,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TIMED_OUT,
    EXIT_USAGE,
    EXIT_WAITING,
    HTTP_STATUS,
    AutovibeError,
    Code,
    InvalidArgumentError,
    NotFoundError,
    RemoteError,
    exit_status,
)
from autovibe.kernel.ids import id_range, parse_id
from autovibe.kernel.money import parse_amount, parse_decimal, round_up, to_text
from autovibe.kernel.paging import (
    decode_place,
    decode_token,
    encode_place,
    encode_token,
    page_size,
)
from autovibe.kernel.protoconv import from_timestamp, id_or_none, id_text, timestamp
from autovibe.kernel.text import printable, utf8
from autovibe.kernel.transitions import Rule, decide
from autovibe.kernel.units import duration_text, parse_duration_s

_QUICK = settings(max_examples=50, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("2.00CAD", "2.00", "CAD"),
        ("2", "2", "CAD"),
        ("0", "0", "CAD"),
        (" $ 1.5 usd ", "1.5", "USD"),
        ("$0.000001", "0.000001", "CAD"),
        ("999999999.999999", "999999999.999999", "CAD"),
    ],
)
def test_an_amount_is_read_exactly(text: str, amount: str, currency: str):
    assert parse_amount(text) == (Decimal(amount), currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1,5",
        ".5",
        "1.",
        "1.1234567",
        "1234567890",
        "1 EUR",
        "NaN",
        "٣",
        "1\n2",
    ],
)
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(InvalidArgumentError):
        parse_amount(text)
    with pytest.raises(InvalidArgumentError):
        parse_decimal(text, "greediness")


@pytest.mark.parametrize("text", ["$1", "1CAD", "1 %"])
def test_a_plain_number_has_no_currency(text: str):
    with pytest.raises(InvalidArgumentError):
        parse_decimal(text, "greediness")
    assert parse_decimal(" 0.50 ", "greediness") == Decimal("0.50")


@_QUICK
@given(st.decimals(min_value=0, max_value=10**8, allow_nan=False, places=12))
def test_rounding_up_never_gives_less_and_never_a_millionth_more(amount: Decimal):
    rounded = round_up(amount)
    assert amount <= rounded < amount + Decimal("0.000001")
    assert rounded.as_tuple().exponent == -6
    assert Decimal(to_text(rounded)) == rounded


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("2", "2.00"),
        ("1E+3", "1000.00"),
        ("0.5", "0.50"),
        ("1.234500", "1.2345"),
        ("0.000000", "0.00"),
    ],
)
def test_money_is_written_plainly(amount: str, text: str):
    assert to_text(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        (" 2d ", 172_800),
        ("30d", 2_592_000),
    ],
)
def test_a_duration_is_read(text: str, seconds: int):
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-5", "1.5h", "5x", "30d1s", "m", "1m1h", "٣s", "9" * 5000, "1 h", "1h\n"],
)
def test_what_is_no_duration_is_refused(text: str):
    if text == "1h\n":  # blanks around it are forgiven
        assert parse_duration_s(text) == 3600
        return
    with pytest.raises(InvalidArgumentError):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (12.4, "12s"),
        (59.6, "1m00s"),
        (185, "3m05s"),
        (7800, "2h10m"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str):
    assert duration_text(seconds) == text


def test_escape_sequences_and_hidden_characters_are_shown_instead_of_obeyed():
    assert printable("a\x1b[31mred\x07\x9b0m") == r"a\x1b[31mred\x07\x9b0m"
    assert (
        printable("safe \u202egnp.exe\u2066 \u200b\ufeff")
        == r"safe \u202egnp.exe\u2066 \u200b\ufeff"
    )
    assert printable("one\ntwo\tthree\rfour") == "one\ntwo\tthree\\rfour"
    assert printable("one\ntwo\t", one_line=True) == r"one\ntwo\t"
    assert printable("\udcff\u2028\U000e0041") == r"\udcff\u2028\U000e0041"
    assert printable("naïve 😀 日本") == "naïve 😀 日本"


@_QUICK
@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_nothing_printable_gives_can_steer_a_terminal(text: str):
    shown = printable(text, one_line=True)
    shown.encode()
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1


def test_a_path_that_is_no_utf8_becomes_valid_text():
    assert utf8("a/\udcff\udcfe.txt") == "a/\\xff\\xfe.txt"
    assert utf8("a/é") == "a/é"


def test_the_beginning_of_an_id_stands_for_a_range():
    one = uuid.UUID("12345678-9abc-4def-8123-456789abcdef")
    assert id_range(str(one), "task") == (one, one)
    for beginning in ("12345678", "12345678-9", "123456789ABC", "12345678-9abc-4def"):
        low, high = id_range(beginning, "task")
        assert low <= one <= high
    low, high = id_range("12345678", "task")
    assert low == uuid.UUID(int=0x12345678 << 96)
    assert high == uuid.UUID(int=(0x12345679 << 96) - 1)
    assert parse_id(str(one), "task") == one


@pytest.mark.parametrize(
    "text", ["", "1234567", "1234567g", "--------", "12345678_", "1" * 33, "%", "٣" * 8]
)
def test_what_is_no_beginning_of_an_id_is_refused(text: str):
    with pytest.raises(InvalidArgumentError):
        id_range(text, "task")
    with pytest.raises(InvalidArgumentError):
        parse_id(text, "task")


@_QUICK
@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_page_token_gives_its_key_back(key: list[str]):
    assert decode_token(encode_token(*key), len(key)) == key


@_QUICK
@given(st.text() | st.binary().map(lambda data: encode_token(data.decode("latin-1"))))
def test_a_foreign_page_token_is_refused_with_a_typed_error(token: str):
    for decode in (lambda: decode_token(token, 2), lambda: decode_place(token)):
        if token:
            with pytest.raises(InvalidArgumentError):
                decode()
        else:
            assert decode() is None


def test_a_place_in_a_list_is_time_and_id():
    place = (datetime(2026, 3, 1, 12, 0, 0, 123, tzinfo=UTC), uuid.uuid4())
    assert decode_place(encode_place(*place)) == place
    deep = encode_token("x").replace("=", "") + "A"
    for token in (
        "W" * 100_000,
        deep,
        encode_token(str(place[0].replace(tzinfo=None)), str(place[1])),
    ):
        with pytest.raises(InvalidArgumentError):
            decode_place(token)
    assert (page_size(0), page_size(7), page_size(10_000)) == (50, 7, 500)


def test_times_and_ids_survive_the_way_through_a_message():
    local = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=-5)))
    message = timestamp(local)
    assert message is not None
    assert from_timestamp(message) == local
    assert from_timestamp(message).tzinfo is UTC
    assert timestamp(None) is None
    assert (id_text(None), id_or_none("")) == ("", None)


def test_the_first_rule_that_fits_decides_and_what_no_rule_mentions_is_refused():
    rules = (
        Rule(("done",), ("open", "done"), "done is final", allowed=False),
        Rule(("open", "done"), ("open", "done"), "anything else goes"),
    )
    assert not decide(rules, "done", "open").allowed
    assert decide(rules, "done", "open").why == "done is final"
    assert decide(rules, "open", "done").allowed
    refused = decide(rules, "open", "lost")
    assert not refused.allowed
    assert "open" in refused.why
    assert "lost" in refused.why


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (Code.FAILED_PRECONDITION, "BUDGET_EXHAUSTED", EXIT_BUDGET),
        (Code.FAILED_PRECONDITION, "BUDGET_HELD", EXIT_BUDGET),
        (Code.FAILED_PRECONDITION, "BUDGET_EXCEEDED", EXIT_BUDGET),
        (Code.FAILED_PRECONDITION, "NO_BUDGET", EXIT_BUDGET),
        (Code.FAILED_PRECONDITION, "WAITING_FOR_APPROVAL", EXIT_WAITING),
        (Code.FAILED_PRECONDITION, "WAITING_FOR_ANSWER", EXIT_WAITING),
        (Code.DEADLINE_EXCEEDED, "TASK_TIMED_OUT", EXIT_TIMED_OUT),
        (Code.ABORTED, "INTERRUPTED", EXIT_INTERRUPTED),
        (Code.INVALID_ARGUMENT, "UNKNOWN_AGENT", EXIT_USAGE),
        (Code.NOT_FOUND, "TASK_NOT_FOUND", EXIT_USAGE),
        (Code.DEADLINE_EXCEEDED, "UPSTREAM_SLOW", EXIT_FAILED),
        (Code.INTERNAL, "INTERNAL", EXIT_FAILED),
        (Code.ALREADY_EXISTS, "BRANCH_EXISTS", EXIT_FAILED),
    ],
)
def test_a_reason_decides_the_exit_status_before_its_code(code: Code, reason: str, status: int):
    assert exit_status(code, reason) == status
    assert RemoteError(code, reason, "said a server", limit="2.00").exit_status == status


def test_every_code_has_an_http_status_and_errors_keep_what_they_were_told():
    assert set(HTTP_STATUS) == set(Code)
    error = RemoteError(Code.NOT_FOUND, "TASK_NOT_FOUND", "gone", task_id="x")
    assert (error.message, error.params, RemoteError.reason) == (
        "gone",
        {"task_id": "x"},
        "INTERNAL",
    )
    assert isinstance(error, AutovibeError)
    assert NotFoundError("gone").exit_status == EXIT_USAGE


def test_an_actor_may_what_its_scopes_name():
    assert Actor("user", "a", frozenset({"tasks.read"})).may("tasks.read")
    assert not Actor("user", "a", frozenset({"tasks.read"})).may("tasks.write")
    assert Actor("system", "a", frozenset({"*"})).may("anything")

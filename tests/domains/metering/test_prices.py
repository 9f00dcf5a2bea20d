"""Prices, worst cases and exact costs, without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from autovibe.domains.metering import (
    Bounds,
    NoPriceError,
    PriceBook,
    UnpriceableUsageError,
    affordable_output,
    anthropic_cost,
    call_terms,
    in_cad,
    pinned_prices,
    worst_case,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import metering_pb2

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BOOK = PriceBook()
OPUS = BOOK.find("anthropic", "claude-opus-5-5", NOW).unit_prices
HAIKU = BOOK.find("anthropic", "claude-haiku-5-5", NOW).unit_prices
USD = metering_pb2.ExchangeRate(
    currency="USD", rate_to_cad="1.40", valid_from=timestamp(datetime(2026, 11, 20, tzinfo=UTC))
)


def _cost(usage: dict[str, object], prices: object = OPUS, **more: object) -> Decimal:
    return anthropic_cost(usage, prices, "claude-opus-5-5", lambda _: None, **more)  # type: ignore[arg-type]


def test_every_kind_of_token_has_its_own_price() -> None:
    usage = {
        "input_tokens": 1200,
        "cache_creation_input_tokens": 3000,
        "cache_read_input_tokens": 50000,
        "output_tokens": 800,
        "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
    }

    # 1200 at 4, 50000 at 0.20, 1000 at 5, 2000 at 8, 800 at 20 USD per million
    assert _cost(usage) == Decimal("0.0518")
    assert _cost(usage | {"server_tool_use": {"web_search_requests": 2}}) == Decimal("0.0718")


def test_cache_writes_of_unknown_lifetime_cost_as_for_an_hour() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 3000}

    assert _cost(usage) == Decimal("0.024")


def test_one_token_over_the_cliff_reprices_the_whole_request() -> None:
    at = {"input_tokens": 60_000, "cache_read_input_tokens": 40_000, "output_tokens": 1000}
    over = at | {"input_tokens": 60_001}

    assert _cost(at, HAIKU) == Decimal("0.0069")
    assert _cost(over, HAIKU) == Decimal("0.0345005")


def test_iterations_that_the_top_level_leaves_out_are_added() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "iterations": [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
            {"type": "message", "input_tokens": 100, "output_tokens": 10},
        ],
    }

    assert _cost(usage) == Decimal("0.0006") + Decimal("0.72") + Decimal("0.07")


def test_an_iteration_by_another_model_has_that_models_price() -> None:
    usage = {
        "input_tokens": 0,
        "output_tokens": 0,
        "iterations": [
            {
                "type": "advisor_message",
                "model": "claude-haiku-5-5",
                "input_tokens": 1000,
                "output_tokens": 0,
            }
        ],
    }

    cost = anthropic_cost(usage, OPUS, "claude-opus-5-5", lambda _: HAIKU)

    assert cost == Decimal("0.0001")
    with pytest.raises(UnpriceableUsageError):
        _cost(usage)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"input_tokens": None},
        {"output_tokens": 1.5},
        {"output_tokens": True},
        {"output_tokens": "7"},
        {"output_tokens": 10**12},
        {"cache_creation": []},
        {"service_tier": "priority"},
        {"service_tier": "batch"},
        {"service_tier": ["standard"]},
        {"speed": "fast"},
        {"inference_geo": "us"},
        {"server_tool_use": {"code_execution_requests": 1}},
        {"iterations": "none"},
    ],
)
def test_usage_that_is_absurd_or_not_standard_is_never_priced_as_standard(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(UnpriceableUsageError):
        _cost({"input_tokens": 10, "output_tokens": 1} | wrong)


def test_a_variant_that_was_asked_for_has_its_own_price() -> None:
    fast = BOOK.find("anthropic", "claude-opus-5-5", NOW, {"speed": "fast"}).unit_prices
    usage: dict[str, object] = {"input_tokens": 1000, "output_tokens": 0, "speed": "fast"}

    assert _cost(usage, fast, variant={"speed": "fast"}) == Decimal("0.008")
    with pytest.raises(NoPriceError):
        BOOK.find("anthropic", "claude-haiku-4-5", NOW, {"speed": "fast"})
    with pytest.raises(NoPriceError):
        BOOK.find("anthropic", "claude-opus-5-5", NOW, {"inference_geo": "us"})


@pytest.mark.parametrize(
    "model",
    [
        "stub-model-xyz",
        "claude-opus-4-5-fast",
        "claude-opus-5-5-preview",
        "claude-9",
        "gpt-6.1-sol",
        "",
    ],
)
def test_a_model_without_a_price_of_its_own_is_refused(model: str) -> None:
    with pytest.raises(NoPriceError) as error:
        BOOK.find("anthropic", model, NOW)
    assert error.value.reason == "NO_PRICE"


@pytest.mark.parametrize(
    "model",
    [
        "claude-opus-5-5",
        "claude-sonnet-4-5-20250929",
        "claude-sonnet-4-20250514",
        "claude-haiku-4-5",
        "claude-3-7-sonnet-latest",
    ],
)
def test_dated_and_undated_names_of_a_model_are_known(model: str) -> None:
    assert BOOK.find("anthropic", model, NOW).unit_prices["input"] > 0


def test_prices_change_with_the_date_of_the_call() -> None:
    before = BOOK.find("anthropic", "claude-opus-4-6", datetime(2026, 3, 12, tzinfo=UTC))
    after = BOOK.find("anthropic", "claude-opus-4-6", datetime(2026, 3, 13, tzinfo=UTC))

    assert before.unit_prices["input>200000"] == 10
    assert "input>200000" not in after.unit_prices


def test_the_worst_case_is_the_dearest_input_at_the_reachable_tier() -> None:
    # 60,000 at 8 (a write for an hour) and 32,000 at 20 USD per million
    assert worst_case(OPUS, Bounds(60_000, 32_000)) == Decimal("1.12")
    assert worst_case(OPUS, Bounds(60_000, 32_000, web_searches=5)) == Decimal("1.17")
    assert worst_case(OPUS, Bounds(60_000, 32_000, 2, 2)) == Decimal("2.24")
    assert worst_case(HAIKU, Bounds(100_000, 0)) == Decimal("0.02")
    assert worst_case(HAIKU, Bounds(100_001, 0)) == Decimal("0.100001")


@pytest.mark.parametrize("bounds", [Bounds(60_000, 32_000), Bounds(150_000, 64_000, 3, 3, 4)])
@pytest.mark.parametrize("amount", ["0.73", "2.999999", "5.1"])
def test_the_affordable_output_is_the_most_that_still_fits(bounds: Bounds, amount: str) -> None:
    money = Decimal(amount)
    tokens = affordable_output(OPUS, bounds, money)

    def cost(output: int) -> Decimal:
        changed = Bounds(
            bounds.input_tokens,
            output,
            bounds.samplings,
            bounds.output_samplings,
            bounds.web_searches,
        )
        return worst_case(OPUS, changed)

    assert tokens == 0 or cost(tokens) <= money
    assert cost(tokens + 1) > money


def test_terms_pin_prices_and_rate() -> None:
    prices = BOOK.find("anthropic", "claude-haiku-5-5", NOW)

    terms = call_terms("anthropic", prices, USD, Bounds(10, 20))

    assert pinned_prices(terms) == dict(prices.unit_prices)
    assert (terms.rate_to_cad, terms.rate_date, terms.currency) == ("1.40", "2026-11-20", "USD")
    assert terms.price_source.startswith("genai-prices ")
    assert in_cad(Decimal("0.0000001"), terms) == Decimal("0.000001")


def test_own_prices_go_before_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        '[anthropic."my-model"]\ninput = 3.2\noutput = "16"\n"input>1000" = 6.4\n'
        'currency = "CAD"\ncontext_window = 5000\n'
    )

    prices = PriceBook(path).find("anthropic", "my-model", NOW)

    assert prices.unit_prices["cache_write_1h"] == Decimal("6.4")
    assert prices.unit_prices["cache_write_1h>1000"] == Decimal("12.8")
    assert prices.context_window == 5000
    assert prices.source.startswith("prices.toml ")
    terms = call_terms("anthropic", prices, USD, Bounds(10, 20))
    assert (terms.rate_to_cad, terms.rate_date) == ("1", "")


def test_a_missing_price_file_is_no_file(tmp_path: Path) -> None:
    assert PriceBook(tmp_path / "absent.toml").find("anthropic", "claude-opus-5-5", NOW)


@pytest.mark.parametrize(
    "text",
    [
        "[anthropic",
        "anthropic = 3",
        "[anthropic.x]\ninput = 3",
        "[anthropic.x]\ninput = 3\noutput = -1",
        '[anthropic.x]\ninput = 3\noutput = "NaN"',
        "[anthropic.x]\ninput = 3\noutput = 4\nlunch = 5",
        '[anthropic.x]\ninput = 3\noutput = 4\n"output>many" = 5',
        '[anthropic.x]\ninput = 3\noutput = 4\ncurrency = "EUR"',
        '[anthropic.x]\ninput = 3\noutput = 4\ncontext_window = "big"',
    ],
)
def test_a_malformed_price_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)

    with pytest.raises(InvalidArgumentError, match=r"prices\.toml"):
        PriceBook(path)


@pytest.fixture
def own_book(tmp_path: Path) -> Callable[[str], PriceBook]:
    """Give what makes a price book of a file's text."""

    def make(text: str) -> PriceBook:
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return PriceBook(path)

    return make


def test_a_discount_lowers_every_price_of_the_catalogue(
    own_book: Callable[[str], PriceBook],
) -> None:
    found = own_book('[anthropic."claude-opus-5-5"]\ndiscount = 0.15\n').find(
        "anthropic", "claude-opus-5-5", NOW
    )

    assert found.unit_prices == {kind: price * Decimal("0.85") for kind, price in OPUS.items()}
    assert "genai-prices" in found.source
    assert "prices.toml" in found.source
    assert found.context_window == BOOK.find("anthropic", "claude-opus-5-5", NOW).context_window


def test_own_prices_take_a_discount_a_limit_of_output_and_other_tiers(
    own_book: Callable[[str], PriceBook],
) -> None:
    book = own_book("""
[openai."our-model"]
input = 2
output = 10
"input>200000" = 4
discount = 0.5
max_output_tokens = 8192
context_window = 100000
variants."service_tier=priority" = { input = 3, output = 12 }
""")

    standard = book.find("openai", "our-model", NOW)
    priority = book.find("openai", "our-model", NOW, {"service_tier": "priority"})

    assert standard.unit_prices["input"] == 1
    assert standard.unit_prices["input>200000"] == 2
    assert (standard.most_output, standard.context_window) == (8192, 100_000)
    assert (priority.unit_prices["input"], priority.unit_prices["output"]) == (Decimal("1.5"), 6)
    with pytest.raises(NoPriceError):
        book.find("openai", "our-model", NOW, {"service_tier": "flex"})


def test_a_tier_that_the_catalogue_lacks_is_priced_beside_its_own(
    own_book: Callable[[str], PriceBook],
) -> None:
    variants = 'variants."speed=warp,inference_geo=us" = { input = 90, output = 91 }\n'
    book = own_book('[anthropic."claude-opus-5-5"]\n' + variants)
    wanted = {"inference_geo": "us", "speed": "warp"}

    assert book.find("anthropic", "claude-opus-5-5", NOW).unit_prices == OPUS
    assert book.find("anthropic", "claude-opus-5-5", NOW, wanted).unit_prices["output"] == 91


def test_any_model_of_a_server_of_ones_own_may_have_one_price(
    own_book: Callable[[str], PriceBook],
) -> None:
    book = own_book('[ollama."*"]\ninput = 0\noutput = 0\n[ollama."big"]\ninput = 1\noutput = 2\n')

    assert set(book.find("ollama", "llama-9", NOW).unit_prices.values()) == {0}
    assert book.find("ollama", "llama-9", NOW).model == "llama-9"
    assert book.find("ollama", "big", NOW).unit_prices["output"] == 2


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("discount = 1", "from 0 to below 1"),
        ("discount = -0.1", "from 0 to below 1"),
        ("discount = true", "from 0 to below 1"),
        ("max_output_tokens = 0", "must be a number"),
        ('discount = 0.1\ncurrency = "CAD"', "leave currency out"),
        ("variants.fast = { input = 1, output = 1 }", "service_tier=priority"),
        ('variants."a=b" = { input = 1 }', "needs input and output"),
        ('variants."a=b" = 1', "must be a table"),
        ("", "needs input and output"),
    ],
)
def test_own_prices_that_make_no_sense_are_refused(
    own_book: Callable[[str], PriceBook], table: str, says: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        own_book('[openai."m"]\n' + table)

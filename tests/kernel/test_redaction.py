"""Secrets are taken out of whatever is kept; what is none stays as it is."""

from __future__ import annotations

import json

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.log_settings import read_log_settings
from autovibe.kernel.redaction import TAKEN_OUT, Redactor

SHAPED = (
    "sk-ant-" + "a1B2" * 8,
    "sk-proj-" + "a1B2" * 10,
    "AKIA" + "ABCD1234" * 2,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "glpat-" + "a1" * 12,
    "xoxb-" + "1234567890-a",
    "AIza" + "a1B2c" * 7,
    "avt_" + "a1B2" * 8,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
)


@pytest.mark.parametrize("secret", SHAPED, ids=lambda text: text[:8])
def test_what_looks_like_a_credential_is_taken_out(secret: str) -> None:
    assert Redactor().text(f"before {secret} after") == f"before {TAKEN_OUT} after"
    inside = json.dumps({"output": [f"x {secret}"]})
    assert secret not in Redactor().text(inside)
    assert Redactor().value({"output": [f"x {secret}"]}) == {"output": [f"x {TAKEN_OUT}"]}


def test_what_a_name_calls_a_secret_is_taken_out() -> None:
    redactor = Redactor()
    assert redactor.text('password = "hunter2hunter2"') == f'password = "{TAKEN_OUT}"'
    assert redactor.value({"password": "short", "n": 1}) == {"password": TAKEN_OUT, "n": 1}
    assert (
        redactor.text("https://me:s3cret@example.org/x") == f"https://me:{TAKEN_OUT}@example.org/x"
    )


def test_known_secrets_and_own_patterns_are_taken_out() -> None:
    general = Redactor(["the-machine-key"], [r"EMP-\d{4}"])
    own = general.with_secrets("another-secret")
    assert own.text("EMP-1234 the-machine-key another-secret") == " ".join([TAKEN_OUT] * 3)
    assert general.text("another-secret") == "another-secret"


def test_other_texts_stay_as_they_are() -> None:
    for text in ("", "git commit -m 'tokens and passwords'", "sk-1", "a" * 5000, "ü\n\x1b[0m"):
        assert Redactor(["short"]).text(text) == text


@pytest.mark.parametrize("pattern", ["(", "x*"])
def test_a_pattern_that_is_none_or_finds_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgumentError, match="redact"):
        read_log_settings({}, {"redact": [pattern]})


def test_settings_come_from_the_table_and_the_environment() -> None:
    settings = read_log_settings({"AUTOVIBE_LOGS_RAW_KB": "0"}, {"redact": ["EMP-[0-9]+"]})
    assert (settings.redact, settings.raw_kb, settings.tail_kb) == (("EMP-[0-9]+",), 0, 64)

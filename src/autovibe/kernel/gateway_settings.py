"""Settings of the gateway: where models are, and how long calls wait for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Final, cast

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError

PROVIDERS: Final = ("anthropic", "openai", "gemini")
DEFAULT_URLS: Final = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
KEY_FALLBACKS: Final = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_OWN_KEYS: Final = frozenset({"api", "url", "key", "prices", "needs_key"})
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")


@dataclass(frozen=True)
class UpstreamSettings:
    """Where an API is (base without `/v1`), and the key for it; no key, no calls.

    `api` is how it speaks, `prices` whose prices apply: "" means those of the API's own provider.
    A server of one's own may need no key.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    api: str = ""
    prices: str = ""
    needs_key: bool = True


@dataclass(frozen=True)
class GatewaySettings:
    """What the gateway of every machine does alike."""

    parked_wait_s: float = 240
    """How long a call waits for the quota of a provider's key; agents give up after 300."""
    parked_calls: int = 1_000
    """How many calls wait for one key."""
    body_kb: int = 256
    """How much is kept of what is asked and of what is answered, where a project keeps it."""


GATEWAY_KEYS: Final = frozenset({"parked_wait", "parked_calls", "body_kb"})


def read_gateway_settings(env: Mapping[str, str], table: Mapping[str, object]) -> GatewaySettings:
    """Return the settings of `AUTOVIBE_GATEWAY_*` over those of the table `[gateway]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_GATEWAY_", table)
    own = GatewaySettings()
    return GatewaySettings(
        parked_wait_s=source.number("parked_wait", float, own.parked_wait_s),
        parked_calls=source.number("parked_calls", int, own.parked_calls),
        body_kb=source.number("body_kb", int, own.body_kb),
    )


def read_upstreams(
    env: MutableMapping[str, str], table: Mapping[str, object]
) -> dict[str, UpstreamSettings]:
    """Return where models are, by name; all keys are removed from the environment (decision C5).

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    upstreams: dict[str, UpstreamSettings] = {}
    for name in (*PROVIDERS, *(name for name in table if name not in PROVIDERS)):
        own = _table(table, name)
        if name in PROVIDERS:
            _refuse_unknown(name, own, {"url", "key"})
        elif not _NAME.fullmatch(name):
            raise InvalidArgumentError(
                f"[upstream.{name}] in config.toml needs a name of small letters, digits, - and _.",
                name=name,
            )
        else:
            _refuse_unknown(name, own, _OWN_KEYS)
        prefix = f"AUTOVIBE_UPSTREAM_{name.upper().replace('-', '_')}"
        url = env.get(f"{prefix}_URL") or _text(name, own, "url") or DEFAULT_URLS.get(name, "")
        key = env.pop(f"{prefix}_KEY", None)
        for variable in KEY_FALLBACKS.get(name, ()):
            fallback = env.pop(variable, None)
            key = key or fallback
        upstreams[name] = _upstream(name, own, url, key or _text(name, own, "key"))
    return upstreams


def _upstream(name: str, own: Mapping[str, object], url: str, key: str | None) -> UpstreamSettings:
    if name in PROVIDERS:
        return UpstreamSettings(url.rstrip("/"), key, api=name)
    api = _text(name, own, "api")
    if api not in PROVIDERS or not url.startswith(("http://", "https://")):
        raise InvalidArgumentError(
            f"[upstream.{name}] in config.toml needs api = one of {', '.join(PROVIDERS)}, and url, "
            "the base of the API, without /v1.",
            name=f"upstream.{name}",
        )
    needs_key = own.get("needs_key", True)
    if not isinstance(needs_key, bool):
        raise InvalidArgumentError(
            f"upstream.{name}.needs_key in config.toml must be true or false.", name="needs_key"
        )
    prices = _text(name, own, "prices") or ""
    return UpstreamSettings(url.rstrip("/"), key, api, prices, needs_key)


def _refuse_unknown(name: str, own: Mapping[str, object], known: set[str] | frozenset[str]) -> None:
    unknown = set(own) - known
    if unknown:
        setting = f"upstream.{name}.{min(unknown)}"
        raise InvalidArgumentError(
            f"config.toml has an unknown setting {setting!r}; remove it.", name=setting
        )


def _table(table: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"[upstream.{name}] in config.toml must be a table.", name=name)
    return cast("dict[str, object]", value)


def _text(name: str, own: Mapping[str, object], key: str) -> str | None:
    value = own.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError(
            f"upstream.{name}.{key} in config.toml must be text in quotes.", name=key
        )
    return value

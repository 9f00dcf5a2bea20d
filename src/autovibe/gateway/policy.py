"""What a request may ask of the provider: decision C9.

A model that runs tools on the provider's side reaches the network from there, past the machine's
isolation, and what it costs cannot be bounded by the request. So these features are refused unless
the project allows them; all else passes unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, cast

from autovibe.v1 import projects_pb2

Json = Mapping[str, object]

# Typed tools that the client runs; a tool without a type, or of type custom, is the client's too.
_CLIENT_TOOLS: Final = (
    "bash_",
    "computer_",
    "memory_",
    "str_replace_",
    "text_editor_",
    "tool_search_tool_",
)
_PROVIDER_TOOLS: Final = {"web_search_": "web_search", "web_fetch_": "web_fetch"}
_STANDARD: Final[dict[str, tuple[object, ...]]] = {
    "service_tier": (None, "auto", "standard", "standard_only"),
    "speed": (None, "standard"),
    "inference_geo": (None, "global"),
}
_OUTSIDE: Final = ("mcp_servers", "container", "fallbacks")
_MOST_USES: Final = 1_000


class RequestRefusedError(Exception):
    """A request asks for what the project does not allow; the message names field and remedy."""

    def __init__(self, field: str, message: str) -> None:
        """Keep the name of the field beside the sentence."""
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class ModelRules:
    """Which models a project may call, and the names that it gives them.

    `allowed` are names or patterns with `*`; none allows every model. The model that an alias
    stands for is allowed by that.
    """

    allowed: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def plain(self) -> bool:
        """Whether every model may be called by its own name and no other."""
        return not self.allowed and not self.aliases

    def allows(self, model: str) -> bool:
        """Return whether a model may be called by its own name."""
        if not self.allowed:
            return True
        return any(fnmatchcase(model, pattern) for pattern in self.allowed)

    def model(self, asked: str) -> str | None:
        """Return the provider's name of the model that is asked for, `None` when none may be."""
        found = self.aliases.get(asked)
        return found or (asked if self.allows(asked) else None)


@dataclass(frozen=True)
class ProviderPolicy:
    """What a project allows: features on the provider's side, and models.

    Known features are `web_search`, `web_fetch`, `url_sources` and `file_sources`, and `speed`,
    `service_tier` and `inference_geo` where the price of their value is known. `keep_bodies` says
    that what is asked and answered is kept.
    """

    allowed: frozenset[str] = frozenset()
    models: ModelRules = field(default_factory=ModelRules)
    keep_bodies: bool = False

    @classmethod
    def of_project(cls, stated: projects_pb2.ModelPolicy) -> ProviderPolicy:
        """Return what a project has stated."""
        aliases = {alias.name: alias.model for alias in stated.aliases}
        rules = ModelRules(tuple(stated.allowed), aliases)
        return cls(frozenset(stated.provider_features), rules, stated.keep_bodies)


@dataclass(frozen=True)
class ProviderUse:
    """What an admitted request makes the provider do beyond one reading of its body."""

    web_searches: int = 0
    web_fetches: int = 0
    unseen_input: bool = False
    variant: Mapping[str, str] | None = None


def check_request(body: Json, policy: ProviderPolicy) -> ProviderUse:
    """Return what an admissible request makes the provider do.

    Raises:
        RequestRefusedError: it asks for something that is not allowed.
    """
    for name in _OUTSIDE:
        if body.get(name):
            raise never(name)
    variant: dict[str, str] = {}
    for name, standard in _STANDARD.items():
        value = body.get(name)
        if value in standard if isinstance(value, str | None) else False:
            continue
        if name not in policy.allowed or not isinstance(value, str):
            raise refused(name, f"{name} {value!r}", name)
        variant[name] = value
    searches, fetches = _check_tools(body.get("tools"), policy)
    unseen = _check_sources(body, policy)
    return ProviderUse(searches, fetches, unseen, variant or None)


def _check_tools(tools: object, policy: ProviderPolicy) -> tuple[int, int]:
    uses = {"web_search": 0, "web_fetch": 0}
    for index, tool in enumerate(_list(tools)):
        kind = cast("Json", tool).get("type") if isinstance(tool, Mapping) else None
        if kind is None or kind == "custom":
            continue
        where = f"tools[{index}].type"
        if not isinstance(kind, str):
            raise RequestRefusedError(where, f'{where}: must be text, as in "custom".')
        if kind.startswith(_CLIENT_TOOLS):
            continue
        feature = next((f for prefix, f in _PROVIDER_TOOLS.items() if kind.startswith(prefix)), "")
        if not feature:
            raise never(where, kind)
        if feature not in policy.allowed:
            raise refused(where, f"the tool {kind}, which runs at the provider,", feature)
        limit = cast("Json", tool).get("max_uses")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= _MOST_USES:
            field = f"tools[{index}].max_uses"
            raise RequestRefusedError(
                field,
                f"{field} must be set, from 1 to {_MOST_USES}: without it the cost of {kind} has "
                "no bound.",
            )
        uses[feature] += limit
    return uses["web_search"], uses["web_fetch"]


def _check_sources(body: Json, policy: ProviderPolicy) -> bool:
    """Refuse content that the provider would fetch or has stored; say whether any is there."""
    unseen = False
    for where, block in _blocks(body):
        if block.get("type") == "container_upload":
            raise never(where, "container_upload")
        source = block.get("source")
        kind = cast("Json", source).get("type") if isinstance(source, Mapping) else None
        if kind not in {"url", "file"}:
            continue
        feature = f"{kind}_sources"
        if feature not in policy.allowed:
            raise refused(f"{where}.source", f"a source of type {kind}", feature)
        unseen = True
    return unseen


def _blocks(body: Json) -> Iterator[tuple[str, Json]]:
    """Give every content block with its place; the input of a tool call is none."""
    yield from _content("system", body.get("system"))
    for index, message in enumerate(_list(body.get("messages"))):
        if isinstance(message, Mapping):
            content = cast("Json", message).get("content")
            yield from _content(f"messages[{index}].content", content)


def _content(where: str, content: object) -> Iterator[tuple[str, Json]]:
    for index, item in enumerate(_list(content)):
        if not isinstance(item, Mapping):
            continue
        block = cast("Json", item)
        place = f"{where}[{index}]"
        yield place, block
        yield from _content(f"{place}.content", block.get("content"))
        source = block.get("source")
        if isinstance(source, Mapping):
            yield from _content(f"{place}.source.content", cast("Json", source).get("content"))


def objects(value: object) -> list[Json]:
    """Return the objects in a list, nothing when it is none."""
    return [cast("Json", item) for item in _list(value) if isinstance(item, Mapping)]


def as_json(value: object) -> Json:
    """Return an object, an empty one when it is none."""
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def refused(field: str, what: str, feature: str) -> RequestRefusedError:
    """Return the error for what a project may allow."""
    return RequestRefusedError(
        field,
        f"{field}: {what} is not allowed in this project. Leave it out, or let the project's owner "
        f"allow it with `autovibe project models set PROJECT --feature {feature}`.",
    )


def never(field: str, what: str = "") -> RequestRefusedError:
    """Return the error for what no project can allow."""
    name = f"{what} " if what else ""
    return RequestRefusedError(
        field,
        f"{field}: {name}works outside the machine, at a cost without a bound, and cannot be "
        "allowed; leave it out. Tools that the agent runs itself are allowed.",
    )

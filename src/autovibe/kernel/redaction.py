"""Taking secrets out of texts before they are kept: known ones, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

TAKEN_OUT: Final = "[secret]"
_SHORTEST_SECRET: Final = 8
# Shapes of credentials; the same as those that an import looks for.
_SHAPES: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:.{0,8000}?-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bsk-ant-[A-Za-z0-9_-]{20,}"
    r"|\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{30,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b"
    r"|\bavt_[A-Za-z0-9_-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    re.DOTALL,
)
# `password = "..."`, also inside a JSON text, where quotes are escaped.
_NAMED: Final = re.compile(
    r"(?i)((?:secret_access_key|client_secret|api[_-]?key|access[_-]?token|auth[_-]?token|password"
    r"|passwd)\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?)([A-Za-z0-9/+_.=-]{8,})"
)
_IN_URL: Final = re.compile(
    r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']{1,100}:)([^\s/@\"']{3,200})(@)"
)
_NAMES: Final = re.compile(
    r"(?i)(?:secret_access_key|client_secret|api[_-]?key|access[_-]?token|auth[_-]?token|password"
    r"|passwd)"
)


class Redactor:
    """Takes out secrets that it was told, what has the shape of one, and what patterns say.

    A secret that was cut in two by whoever printed it is not found.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Sequence[str] = ()) -> None:
        """Begin with secrets and with regular expressions for others.

        Args:
            secrets: taken out wherever they stand, if they are not very short.
            patterns: valid regular expressions; what they find is taken out.
        """
        self._secrets: list[str] = []
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self.hide(*secrets)

    def hide(self, *secrets: str) -> None:
        """Take these out from now on, too."""
        self._secrets += [one for one in secrets if len(one) >= _SHORTEST_SECRET]

    def with_secrets(self, *secrets: str) -> Redactor:
        """Return one that takes these out, too; this one stays as it is."""
        other = Redactor(self._secrets)
        other._patterns = self._patterns
        other.hide(*secrets)
        return other

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, TAKEN_OUT)
        text = _SHAPES.sub(TAKEN_OUT, text)
        text = _NAMED.sub(rf"\1{TAKEN_OUT}", text)
        text = _IN_URL.sub(rf"\1{TAKEN_OUT}\3", text)
        for pattern in self._patterns:
            text = pattern.sub(TAKEN_OUT, text)
        return text

    def value(self, value: Any, name: str = "") -> Any:
        """Return JSON data without secrets; what a name calls one is taken out whole."""
        if isinstance(value, str):
            if name and _NAMES.fullmatch(name) and value:
                return TAKEN_OUT
            return self.text(value)
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.text(key): self.value(part, key) for key, part in items}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in cast("Sequence[Any]", value)]
        return value

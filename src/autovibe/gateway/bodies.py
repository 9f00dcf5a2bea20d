"""Keeping what is asked and answered, where a project wants it: bounded, with secrets taken out."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Final

from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import model_calls_pb2, services

_logger = logging.getLogger(__name__)

_TAKEN_OUT: Final = "[secret]"
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


@dataclass
class Copy:
    """The bytes of one answer as they pass by, up to a limit."""

    limit: int
    size: int = 0
    parts: list[bytes] = field(default_factory=list[bytes])

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self.limit - self.size
        self.size += len(chunk)
        if room > 0:
            self.parts.append(chunk[:room])

    @property
    def shortened(self) -> bool:
        """Whether there was more than the limit."""
        return self.size > self.limit

    def content(self) -> bytes:
        """Return what was kept."""
        return b"".join(self.parts)


class BodyKeeper:
    """Sends what was asked and answered to where it is kept."""

    def __init__(
        self, work: services.WorkService, secrets: tuple[str, ...], limit_bytes: int
    ) -> None:
        """Keep with a service.

        Args:
            work: where calls are kept.
            secrets: what must never be kept, such as the keys of providers.
            limit_bytes: of each body.
        """
        self._work = work
        self._secrets = tuple(one for one in secrets if len(one) >= _SHORTEST_SECRET)
        self.limit = limit_bytes

    def copy(self) -> Copy:
        """Return what takes the bytes of an answer."""
        return Copy(self.limit)

    async def keep(
        self, kept: model_calls_pb2.KeepModelCallRequest, request: bytes, answer: Copy, key: str
    ) -> None:
        """Keep a call; that it could not be kept is logged and changes nothing else.

        Args:
            kept: all but the bodies.
            request: what was asked.
            answer: what was answered.
            key: the machine's, taken out as well.
        """
        kept.request = self.redacted(request[: self.limit], key)
        kept.response = self.redacted(answer.content(), key)
        kept.shortened = len(request) > self.limit or answer.shortened
        try:
            await self._work.keep_model_call(kept)
        except AutovibeError as error:
            _logger.warning("call %s could not be kept: %s", kept.request_id, error.message)

    def redacted(self, body: bytes, key: str = "") -> str:
        """Return a body as text, without known secrets and without what looks like one."""
        # No text that is sent or stored here may hold NUL.
        text = body.decode("utf-8", "replace").replace("\0", "\ufffd")
        for secret in (*self._secrets, key):
            if secret:
                text = text.replace(secret, _TAKEN_OUT)
        text = _SHAPES.sub(_TAKEN_OUT, text)
        text = _NAMED.sub(rf"\1{_TAKEN_OUT}", text)
        return _IN_URL.sub(rf"\1{_TAKEN_OUT}\3", text)

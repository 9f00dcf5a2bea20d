"""Making tokens: 256 random bits, shown once and kept as their hash."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.identity.models import ApiToken, TokenKind
from autovibe.kernel.ids import new_id

TOKEN_PREFIX: Final = "avt_"  # noqa: S105 - says what the secret is for, so that scanners find it
_TOKEN_BYTES: Final = 32


def add_token(
    tx: WriteTx,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    kind: TokenKind = TokenKind.API,
    user_id: uuid.UUID | None = None,
    now: datetime,
) -> tuple[ApiToken, str]:
    """Add a token and return it with its secret, which nobody can show again."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    token = ApiToken(
        id=new_id(),
        user_id=user_id,
        name=name,
        token_hash=hash_token(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        kind=kind,
        created_at=now,
        updated_at=now,
    )
    tx.session.add(token)
    return token, secret


def hash_token(token: str) -> str:
    """Return what is kept of a token."""
    # 256 random bits cannot be guessed from their hash: salt and stretching would add nothing.
    return hashlib.sha256(token.encode()).hexdigest()


def is_valid(token: ApiToken, now: datetime) -> bool:
    """Return whether a token is neither revoked nor expired."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)

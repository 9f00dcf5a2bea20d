"""Queries on exchange rates."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import and_, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering.models import ExchangeRate


async def rates_page(
    tx: ReadTx, currency: str, after: tuple[str, datetime, uuid.UUID] | None, limit: int
) -> Sequence[ExchangeRate]:
    """Return rates by currency, the newest first, those after a place."""
    query = select(ExchangeRate).order_by(
        ExchangeRate.currency, ExchangeRate.valid_from.desc(), ExchangeRate.id
    )
    if currency:
        query = query.where(ExchangeRate.currency == currency)
    if after is not None:
        name, valid_from, _ = after
        query = query.where(
            or_(
                ExchangeRate.currency > name,
                and_(ExchangeRate.currency == name, ExchangeRate.valid_from < valid_from),
            )
        )
    return (await tx.session.scalars(query.limit(limit))).all()


async def rates_of(tx: ReadTx, currencies: Collection[str]) -> dict[tuple[str, datetime], Decimal]:
    """Return all rates of currencies, by currency and day."""
    found = await tx.session.scalars(
        select(ExchangeRate).where(ExchangeRate.currency.in_(currencies))
    )
    return {(rate.currency, rate.valid_from): rate.rate_to_cad for rate in found}


def insert_rate(
    tx: WriteTx, currency: str, value: Decimal, valid_from: datetime, *, source: str
) -> None:
    """Add a rate."""
    tx.session.add(
        ExchangeRate(currency=currency, rate_to_cad=value, valid_from=valid_from, source=source)
    )

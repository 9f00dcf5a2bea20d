"""Tables of the commerce domain."""

from __future__ import annotations

import uuid
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import Base, Identified, Timestamps, WithMetadata, metadata_of, one_of
from autovibe.db.types import EnumText, ExactDecimal, TextArray
from autovibe.v1.commerce_pb2 import OrderDetails

if TYPE_CHECKING:
    from autovibe.domains.identity.models import User


class ProductStatus(StrEnum):
    """Whether a product can be bought."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class OrderStatus(StrEnum):
    """Where an order is."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Product(Identified, WithMetadata, Timestamps, Base):
    """One article of the catalogue; deleted for good when it is deleted."""

    __tablename__ = "products"
    __table_args__ = (
        one_of("status", ProductStatus, "ck_products_status"),
        CheckConstraint("price >= 0 AND inventory_quantity >= 0", name="ck_products_amounts"),
        Index("idx_products_sku", "sku", unique=True),
        Index("idx_products_status", "status"),
    )

    sku: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(500))
    description: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(String(100))
    price: Mapped[Decimal] = mapped_column(ExactDecimal(10, 2))
    inventory_quantity: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    status: Mapped[ProductStatus] = mapped_column(
        EnumText(ProductStatus, 50), default=ProductStatus.DRAFT, server_default=ProductStatus.DRAFT
    )
    tags: Mapped[list[str] | None] = mapped_column(TextArray())


class Order(Identified, WithMetadata, Timestamps, Base):
    """One purchase, of a user or of a guest; its items are in `metadata`."""

    __tablename__ = "orders"
    __table_args__ = (
        one_of("status", OrderStatus, "ck_orders_status"),
        CheckConstraint("subtotal >= 0 AND total_price >= 0", name="ck_orders_amounts"),
        UniqueConstraint("order_number", name="uq_orders_order_number"),
        Index("idx_orders_user_id", "user_id"),
        Index("idx_orders_status", "status"),
    )

    order_number: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    status: Mapped[OrderStatus] = mapped_column(
        EnumText(OrderStatus, 50), default=OrderStatus.PENDING, server_default=OrderStatus.PENDING
    )
    total_price: Mapped[Decimal] = mapped_column(ExactDecimal(10, 2))
    subtotal: Mapped[Decimal] = mapped_column(ExactDecimal(10, 2))
    metadata_: Mapped[dict[str, Any]] = metadata_of(OrderDetails)

    user: Mapped[User | None] = relationship(back_populates="orders")

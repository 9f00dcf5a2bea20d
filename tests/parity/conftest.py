"""What the tests of parity share."""

from __future__ import annotations

from plane_fixtures import own_home

__all__ = ["own_home"]

"""A filled database that all tests of a module look at."""

from source_tables import filled

__all__ = ["filled"]

"""Loads all models, for whoever needs the whole schema: migrations, checks, tests."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

from sqlalchemy import MetaData

from autovibe.db.base import Base

_DOMAINS = "autovibe.domains"


def load_models() -> MetaData:
    """Import the models of every domain and return the tables.

    The domains are found, not named: `db` lies below them and must not import them by statement.
    """
    importlib.import_module("autovibe.db.records")
    package = importlib.import_module(_DOMAINS)
    for domain in pkgutil.iter_modules(package.__path__, f"{_DOMAINS}."):
        name = f"{domain.name}.models"
        if domain.ispkg and importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    return Base.metadata

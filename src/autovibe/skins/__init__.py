"""Translations of the operations into protocols; no rule lives here."""

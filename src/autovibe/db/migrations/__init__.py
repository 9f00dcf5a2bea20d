"""Migrations: one tree for both backends."""

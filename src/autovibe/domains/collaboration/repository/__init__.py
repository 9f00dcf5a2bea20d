"""Queries on conversations and approvals."""

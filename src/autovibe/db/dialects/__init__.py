"""Backends, and all that differs between them; only here are drivers imported."""

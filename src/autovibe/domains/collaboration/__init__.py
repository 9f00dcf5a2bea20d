"""Collaboration: conversations between people, workers and the controller."""

from autovibe.domains.collaboration.chat import ChatService

__all__ = ["ChatService"]

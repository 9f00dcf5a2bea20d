"""Collaboration: conversations between people, workers and the controller."""

from autovibe.domains.collaboration.chat import ChatService
from autovibe.domains.collaboration.questions import ConversingApprovals

__all__ = ["ChatService", "ConversingApprovals"]

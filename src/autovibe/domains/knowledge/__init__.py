"""Knowledge: documents that agents read, in versions."""

from autovibe.domains.knowledge.service import DocumentService

__all__ = ["DocumentService"]

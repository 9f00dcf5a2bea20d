"""From rows to messages."""

from __future__ import annotations

from autovibe.domains.etags import etag_of
from autovibe.domains.projects.models import Project
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import projects_pb2


def project_message(project: Project) -> projects_pb2.Project:
    """Return the message of a project."""
    message = projects_pb2.Project(
        id=str(project.id),
        name=project.name,
        description=project.description or "",
        greediness=f"{project.greediness:.2f}",
        status=project.status,
        initial_checkpoint_id=id_text(project.initial_checkpoint_id),
        current_checkpoint_id=id_text(project.current_checkpoint_id),
        metadata=struct(project.metadata_),
        created_at=timestamp(project.created_at),
        updated_at=timestamp(project.updated_at),
    )
    message.etag = etag_of(message)
    return message

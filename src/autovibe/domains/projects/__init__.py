"""Projects: the scope of budgets, checkpoints and priority."""

from autovibe.domains.projects.service import (
    ProjectService,
    advance_current_checkpoint,
    get_project,
    remember_in_metadata,
    resolve_project_id,
)

__all__ = [
    "ProjectService",
    "advance_current_checkpoint",
    "get_project",
    "remember_in_metadata",
    "resolve_project_id",
]

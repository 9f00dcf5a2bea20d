"""A control plane without processes for the tests beside this file."""

from checkpoint_desk import desk
from plane_fixtures import one_plane, own_home, plane

__all__ = ["desk", "one_plane", "own_home", "plane"]

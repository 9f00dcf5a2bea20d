"""A control plane without processes for the tests beside this file."""

from plane_fixtures import one_plane, own_home, plane

__all__ = ["one_plane", "own_home", "plane"]

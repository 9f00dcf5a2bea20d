"""A control plane without processes, and results to apply, for the tests beside this file."""

from applying import start
from plane_fixtures import one_plane, own_home, plane

__all__ = ["one_plane", "own_home", "plane", "start"]

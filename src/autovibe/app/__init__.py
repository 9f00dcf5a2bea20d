"""The composition root: the only place that knows every part, and joins them."""

from autovibe.app.compose import ControlPlane, open_control_plane
from autovibe.app.embedded import Embedded, open_embedded
from autovibe.app.server import serve

__all__ = ["ControlPlane", "Embedded", "open_control_plane", "open_embedded", "serve"]

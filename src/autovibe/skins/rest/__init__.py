"""REST: the operations for people under /api/v1, built from the descriptors."""

from autovibe.skins.rest.app import build_app
from autovibe.skins.rest.guard import local_hosts
from autovibe.skins.rest.server import RestServer, serve_rest

__all__ = ["RestServer", "build_app", "local_hosts", "serve_rest"]

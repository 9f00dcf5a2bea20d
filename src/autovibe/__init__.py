"""autovibe: a self-hosted control plane for fleets of coding agents."""

__version__ = "0.1.0"

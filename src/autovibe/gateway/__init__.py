"""The metering gateway: every model call of a machine is held before it and settled after it."""

from autovibe.gateway.app import Gateway, build_gateway
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.call import Limits
from autovibe.gateway.ledger import Ledger
from autovibe.gateway.policy import ProviderPolicy
from autovibe.gateway.server import RunningServer, serve_listener

__all__ = [
    "Gateway",
    "Ledger",
    "Limits",
    "MachineBinding",
    "ProviderPolicy",
    "RunningServer",
    "Upstream",
    "build_gateway",
    "serve_listener",
]

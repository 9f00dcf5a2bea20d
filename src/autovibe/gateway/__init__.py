"""The metering gateway: every model call of a machine is held before it and settled after it."""

from autovibe.gateway.app import Gateway, build_gateway
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.bodies import BodyKeeper
from autovibe.gateway.desk import Limits
from autovibe.gateway.ledger import Ledger
from autovibe.gateway.policy import ModelRules, ProviderPolicy
from autovibe.gateway.server import RunningServer, serve_listener
from autovibe.gateway.telemetry import GatewayTelemetry

__all__ = [
    "BodyKeeper",
    "Gateway",
    "GatewayTelemetry",
    "Ledger",
    "Limits",
    "MachineBinding",
    "ModelRules",
    "ProviderPolicy",
    "RunningServer",
    "Upstream",
    "build_gateway",
    "serve_listener",
]

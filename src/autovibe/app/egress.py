"""Opening the machines' way into the network, as their projects allow it."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence

from autovibe.domains.metering.egress import EgressObserver
from autovibe.domains.metering.gateway import CallingMachine
from autovibe.gateway.egress import Egress, EgressPolicy, ThreadedResolver
from autovibe.kernel.clock import Clock
from autovibe.kernel.egress import Network, parse_rules
from autovibe.v1 import projects_pb2, services

OpenEgress = Callable[[CallingMachine, str, EgressObserver], Awaitable[Egress]]


def egress_opener(
    projects: services.ProjectService, private: Sequence[Network], clock: Clock
) -> OpenEgress:
    """Return what opens the proxy of one machine, given also the name of its project.

    Args:
        projects: know what is allowed.
        private: addresses that are not public and may be reached all the same.
        clock: the time.
    """
    resolver = ThreadedResolver()

    async def open_egress(
        machine: CallingMachine, project: str, observer: EgressObserver
    ) -> Egress:
        stated = await projects.get_egress(
            projects_pb2.GetEgressRequest(project=machine.project_id)
        )
        key = machine.virtual_key.encode()
        return Egress(
            EgressPolicy(parse_rules(stated.allow), private, project),
            lambda given: bool(key) and hmac.compare_digest((given or "").encode(), key),
            observer,
            clock,
            resolver,
        )

    return open_egress

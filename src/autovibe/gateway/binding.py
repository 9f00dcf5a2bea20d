"""Whom a gateway serves, and to which provider it forwards."""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass, field

from autovibe.gateway.policy import ProviderPolicy


@dataclass(frozen=True)
class MachineBinding:
    """The one machine that a gateway serves; its key is dead with it (decision C7).

    Ids are texts. `lease_generation` is that of the work order when the key was made, `greediness`
    the project's weight among those that wait for one key of a provider.
    """

    project_id: str
    task_id: str
    machine_id: str
    execution_id: str
    work_order_id: str
    lease_generation: int
    instance_id: str
    virtual_key: str = field(repr=False)
    policy: ProviderPolicy = field(default_factory=ProviderPolicy)
    greediness: float = 0.5

    def accepts(self, key: str | None) -> bool:
        """Return whether a key is this machine's, in time that does not depend on the key."""
        given = (key or "").encode()
        return bool(self.virtual_key) and hmac.compare_digest(given, self.virtual_key.encode())


@dataclass(frozen=True)
class Upstream:
    """A provider's API: its base URL without `/v1`, the key for it, and how long to wait.

    `verify` is False only for a server of one's own; an `SSLContext` trusts another authority.
    Times are in seconds: to connect, between two reads, and for a whole call. `name` is what the
    settings call it, "" for the dialect's own provider; `prices` is whose prices apply, "" for the
    dialect's provider. A server of one's own may need no key. `fault` says why nothing can go out.
    """

    base_url: str
    key: str | None = field(default=None, repr=False)
    name: str = ""
    prices: str = ""
    needs_key: bool = True
    fault: str = ""
    verify: bool | ssl.SSLContext = True
    connect_timeout_s: float = 10
    read_timeout_s: float = 600
    call_timeout_s: float = 3_600

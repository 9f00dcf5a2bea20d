"""Which hosts of the network a machine may reach: rules as people write them, and addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from autovibe.kernel.errors import InvalidArgumentError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

HTTPS_PORT: Final = 443
MOST_RULES: Final = 500
_LAST_PORT: Final = 65_535
_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_RULE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?")
_LEAST_LABELS_OF_WILDCARD: Final = 2
# What Python calls public though it leads into a provider's own network or another's address space.
_NEVER_PUBLIC: Final[Sequence[Network]] = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata
        "192.0.0.0/24",  # Oracle's metadata, and protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "fec0::/10",  # site-local
        "64:ff9b:1::/48",  # local translation to IPv4
        "2001::/23",  # protocol assignments, Teredo among them
    )
)
_TRANSLATED: Final = ip_network("64:ff9b::/96")
_STAND_INS: Final = (ip_network("::ffff:0:0/96"), _TRANSLATED)
_OLD_COMPATIBLE: Final = ip_network("::/96")


@dataclass(frozen=True)
class HostRule:
    """Hosts that may be reached on one port: one of them, or all names below it."""

    host: str
    port: int = HTTPS_PORT
    below: bool = False

    def __str__(self) -> str:
        """Return the rule as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == HTTPS_PORT else f":{self.port}"
        return f"{'*.' if self.below else ''}{host}{port}"

    def allows(self, host: str, port: int) -> bool:
        """Return whether it covers a host, as `clean_host` gives it, on a port."""
        if port != self.port:
            return False
        return host.endswith(f".{self.host}") if self.below else host == self.host


def clean_host(text: str) -> str | None:
    """Return a host as rules compare it, `None` when it is neither a name nor an address.

    Names are in lower case, without a dot at the end; addresses in their shortest form.
    """
    host = text.lower().removesuffix(".")
    literal = host.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(literal))
    except ValueError:
        pass
    labels = host.split(".")
    # A number at the end would be read as an address in another notation.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return None
    fits = len(host) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)
    return host if fits else None


def parse_rules(texts: Iterable[str], field: str = "allow") -> tuple[HostRule, ...]:
    """Return rules in the order in which they are written, each once.

    Raises:
        InvalidArgumentError: one is malformed or too wide, or there are too many.
    """
    rules = tuple(dict.fromkeys(_parse_rule(text, field) for text in texts))
    if len(rules) > MOST_RULES:
        raise InvalidArgumentError(
            f"There are {len(rules)} hosts; {MOST_RULES} are the most. Use wildcards as in "
            "*.example.org.",
            field=field,
        )
    return rules


def _parse_rule(text: str, field: str) -> HostRule:
    below = text.startswith("*.")
    found = _RULE.fullmatch(text.removeprefix("*."))
    host = None if found is None else _ascii(found["host"])
    port = int((found and found["port"]) or HTTPS_PORT)
    if host is None or not 0 < port <= _LAST_PORT:
        raise InvalidArgumentError(
            f"{text!r} names no host; write a name or an address without a scheme or path, as in "
            "packages.example.net, *.example.org or example.org:8443.",
            field=field,
        )
    if below and (host.count(".") + 1 < _LEAST_LABELS_OF_WILDCARD or _is_address(host)):
        raise InvalidArgumentError(
            f"{text!r} is too wide; a wildcard needs a domain below the top, as in *.example.org.",
            field=field,
        )
    return HostRule(host, port, below)


def _ascii(host: str) -> str | None:
    """Return a host as `clean_host` does, names of other scripts in their ASCII form."""
    try:
        return clean_host(host if host.isascii() else host.encode("idna").decode())
    except UnicodeError:
        return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_networks(texts: Iterable[str], field: str) -> tuple[Network, ...]:
    """Return addresses and networks.

    Raises:
        InvalidArgumentError: one is malformed.
    """
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise InvalidArgumentError(
                f"{text!r} in {field} is no address or network; write as in 10.1.2.3 or "
                "10.1.0.0/16.",
                field=field,
            ) from None
    return tuple(networks)


def may_reach(address: Address, private: Iterable[Network] = ()) -> bool:
    """Return whether a machine may be connected to an address.

    Public addresses, in which no other is hidden that is not, and those in networks that the
    operator has named: never loopback, link-local, metadata or private addresses by default.
    """
    inner = _hidden(address)
    named = [one for one in (address, *inner) if any(one in network for network in private)]
    return bool(named) or all(_is_public(one) for one in (address, *inner))


def _is_public(address: Address) -> bool:
    if any(address in network for network in _STAND_INS):
        return True  # what it stands for is judged instead
    outside = any(address in network for network in _NEVER_PUBLIC)
    return (
        address.is_global
        and not outside
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    )


def _hidden(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address stands for, or leads to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _TRANSLATED or address in _OLD_COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]

from __future__ import annotations

from ipaddress import ip_address

import pytest

from autovibe.kernel.egress import MOST_RULES, clean_host, may_reach, parse_networks, parse_rules
from autovibe.kernel.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("packages.example.net", "packages.example.net", 443, True),
        ("Packages.Example.net.", "packages.example.net", 443, True),
        ("packages.example.net", "files.packages.example.net", 443, False),
        ("packages.example.net", "evilpackages.example.net", 443, False),
        ("packages.example.net", "packages.example.net.evil.example", 443, False),
        ("packages.example.net", "packages.example.net", 80, False),
        ("packages.example.net:8443", "packages.example.net", 8443, True),
        ("packages.example.net:8443", "packages.example.net", 443, False),
        ("*.example.org", "a.example.org", 443, True),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "badexample.org", 443, False),
        ("*.example.org:8443", "a.example.org", 8443, True),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("[2001:db8::1]:444", "2001:db8::1", 444, True),
    ],
)
def test_a_rule_covers_what_it_names_on_one_port(rule: str, host: str, port: int, *, allowed: bool):
    (parsed,) = parse_rules([rule])
    assert parsed.allows(host, port) is allowed
    assert parse_rules([str(parsed)]) == (parsed,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "*.org",
        "*.192.0.2.7",
        "a.*.example.org",
        "https://packages.example.net",
        "packages.example.net/simple",
        "user@packages.example.net",
        "packages.example.net:0",
        "packages.example.net:70000",
        "packages.example.net:https",
        "py pi.org",
        "packages..org",
        "2130706433",
        "127.1",
        "0x7f.0.0.0x1",
        "x" * 64 + ".org",
        ".".join(["abcdefgh"] * 30),
    ],
)
def test_what_names_no_host_is_refused(text: str):
    with pytest.raises(InvalidArgumentError):
        parse_rules([text])


def test_rules_are_kept_once_and_in_order_up_to_a_bound():
    texts = ["b.example", "a.example", "B.example:443"]
    assert [str(rule) for rule in parse_rules(texts)] == ["b.example", "a.example"]
    with pytest.raises(InvalidArgumentError, match="wildcards"):
        parse_rules(f"h{number}.example" for number in range(MOST_RULES + 1))


def test_hosts_are_compared_in_one_form():
    assert clean_host("Packages.EXAMPLE.NET.") == "packages.example.net"
    assert clean_host("[2001:DB8:0::1]") == "2001:db8::1"
    assert clean_host("::ffff:127.0.0.1") == "::ffff:7f00:1"
    assert [clean_host(text) for text in ("", ".", "a b", "0177.1", "a\n", "é.org")] == [None] * 6


PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_no_address_that_is_not_public_may_be_reached(text: str):
    assert not may_reach(ip_address(text))


@pytest.mark.parametrize(
    "text", ["151.101.0.223", "8.8.8.8", "2a04:4e42::223", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_may_be_reached(text: str):
    assert may_reach(ip_address(text))


def test_the_operator_may_name_addresses_that_are_not_public():
    named = parse_networks(["127.0.0.1", "10.1.0.0/16", "fd00::/8"], "private")
    assert may_reach(ip_address("127.0.0.1"), named)
    assert may_reach(ip_address("::ffff:127.0.0.1"), named)
    assert may_reach(ip_address("10.1.9.9"), named)
    assert may_reach(ip_address("fd12::1"), named)
    assert not may_reach(ip_address("127.0.0.2"), named)
    assert not may_reach(ip_address("10.2.0.1"), named)
    for text in ("10.1.2.3/16", "loopback", ""):
        with pytest.raises(InvalidArgumentError, match="private"):
            parse_networks([text], "private")

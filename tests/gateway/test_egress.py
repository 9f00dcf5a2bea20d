from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest
from egress_bench import KEY, EgressBench, open_egress
from tls_packages import WHEEL, Authority, PackageIndex, make_authority, serving_packages

from autovibe.gateway.tunnel import TunnelLimits

HOST = "packages.example.test"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def index(authority: Authority, tmp_path: Path) -> AsyncGenerator[PackageIndex]:
    context = authority.server_context(tmp_path, [HOST, "other.example.test"])
    async with serving_packages(context, "127.0.0.1", HOST) as index:
        yield index


def names() -> dict[str, list[str]]:
    return {HOST: ["127.0.0.1"], "other.example.test": ["127.0.0.1"]}


async def get(bench: EgressBench, authority: Authority, url: str) -> bytes:
    """Get something as programs in a machine do."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            url,
            proxy=f"http://127.0.0.1:{bench.port}",
            proxy_headers={"Proxy-Authorization": f"Bearer {KEY}"},
            ssl=authority.client_context(),
        ) as response,
    ):
        return await response.read()


async def tls(
    bench: EgressBench, authority: Authority, port: int, name: str = HOST
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a tunnel and TLS in it."""
    reader, writer, head = await bench.connect(f"{HOST}:{port}")
    assert head.startswith("HTTP/1.1 200 ")
    await writer.start_tls(authority.client_context(), server_hostname=name)
    return reader, writer


async def test_a_host_that_is_allowed_is_reached_and_told_of(
    index: PackageIndex, authority: Authority
) -> None:
    async with open_egress([f"{HOST}:{index.port}"], names()) as bench:
        body = await get(bench, authority, f"https://{HOST}:{index.port}/files/{WHEEL}")
        assert body == index.files[f"/files/{WHEEL}"][1]
        [told] = await bench.observer.first()
        assert (told.host, told.port, told.verdict, told.reason) == (
            HOST,
            index.port,
            "allowed",
            "",
        )
        assert told.address == "127.0.0.1"
        assert told.received_bytes > len(body)
        assert told.sent_bytes > 200
        # All of it is counted as the machine's: both directions, and the request itself.
        assert bench.server.network_bytes >= told.received_bytes + told.sent_bytes


async def test_a_wildcard_covers_the_hosts_below_it(
    index: PackageIndex, authority: Authority
) -> None:
    async with open_egress([f"*.example.test:{index.port}"], names()) as bench:
        url = f"https://other.example.test:{index.port}/simple/shouting/"
        assert WHEEL in (await get(bench, authority, url)).decode()


async def test_nothing_else_is_reached_and_the_refusal_says_what_to_do(
    index: PackageIndex,
) -> None:
    async with open_egress([HOST], names()) as bench:
        status, line, body = await bench.refused(f"evil.example.test:{index.port}")
        assert status == 403
        assert f"--allow evil.example.test:{index.port}" in line
        assert "autovibe project egress website" in body
        # The port is a part of the rule: 443 unless another is written.
        assert (await bench.refused(f"{HOST}:{index.port}"))[0] == 403
        assert (await bench.refused("127.0.0.1:443"))[0] == 403
        # Only what is allowed is looked up: a name can carry a secret to whoever answers for it.
        assert bench.names.asked == []
        told = await bench.observer.first(3)
        assert {one.reason for one in told} == {"HOST_NOT_ALLOWED"}
        assert [one.verdict for one in told] == ["denied"] * 3
    assert index.asked == []


async def test_no_list_means_no_host(index: PackageIndex) -> None:
    async with open_egress([], names()) as bench:
        assert (await bench.refused(f"{HOST}:{index.port}"))[0] == 403


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:10.0.0.1"],
        ["10.0.0.1"],
        ["8.8.8.8", "192.168.0.1"],
    ],
)
async def test_names_that_lead_to_private_addresses_are_refused(addresses: list[str]) -> None:
    async with open_egress([HOST], {HOST: addresses}, private=()) as bench:
        status, _, body = await bench.refused(f"{HOST}:443")
        assert (status, "not public" in body) == (403, True)
        [told] = await bench.observer.first()
        assert (told.verdict, told.reason, told.address) == ("denied", "PRIVATE_ADDRESS", "")


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    index: PackageIndex, authority: Authority
) -> None:
    """A name that leads elsewhere the second time changes nothing: there is no second time."""
    async with open_egress([f"{HOST}:{index.port}"], names()) as bench:
        answers = iter([["127.0.0.1"], ["10.0.0.1"]])
        real = bench.egress.resolver

        async def rebinding(host: str, port: int) -> list[str]:
            await real(host, port)
            return next(answers)

        bench.egress.resolver = rebinding
        await get(bench, authority, f"https://{HOST}:{index.port}/simple/shouting/")
        assert bench.names.asked == [HOST]
        assert (await bench.refused(f"{HOST}:{index.port}"))[0] == 403


async def test_a_name_that_leads_nowhere_and_a_host_that_is_down_are_told_apart() -> None:
    async with open_egress(
        [HOST, "gone.example.test:1"], {"gone.example.test": ["127.0.0.1"]}
    ) as b:
        assert (await b.refused(f"{HOST}:443"))[0] == 502
        assert (await b.refused("gone.example.test:1"))[0] == 502
        told = await b.observer.first(2)
        assert [(one.verdict, one.reason) for one in told] == [
            ("failed", "NO_ADDRESS"),
            ("failed", "UNREACHABLE"),
        ]


async def test_the_proxy_takes_only_the_key_of_its_own_machine(index: PackageIndex) -> None:
    async with open_egress([f"{HOST}:{index.port}"], names()) as bench:
        for key in (None, "another", ""):
            _, writer, head = await bench.connect(f"{HOST}:{index.port}", key=key)
            assert head.startswith("HTTP/1.1 407 ")
            assert "proxy-authenticate: Basic" in head
            writer.close()
        assert bench.names.asked == []
        assert bench.observer.told == []


@pytest.mark.parametrize(
    "authority",
    ["", ":443", "host", "host:", "host:https", "host:99999999", "a b:443", "host:443/x", "é:443"],
)
async def test_malformed_requests_are_refused(authority: str) -> None:
    async with open_egress(["host"], {}) as bench:
        assert (await bench.refused(authority))[0] in {400, 403}


async def test_a_request_that_does_not_end_is_given_up() -> None:
    limits = TunnelLimits(head_s=0.05, head_bytes=2_000)
    async with open_egress([HOST], {}, limits=limits) as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        writer.write(b"CONNECT host:443 HTTP/1.1\r\nx: ")
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 408 ")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        writer.write(b"CONNECT host:443 HTTP/1.1\r\nx: " + b"y" * 3_000)
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_a_request_may_arrive_byte_by_byte(index: PackageIndex) -> None:
    async with open_egress([], {}) as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        for byte in b"CONNECT host:443 HTTP/1.1\r\nproxy-authorization: Bearer " + KEY.encode():
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(b"\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 403 ")
        writer.close()


async def test_only_tls_to_the_very_host_passes(index: PackageIndex, authority: Authority) -> None:
    """No other server behind the same address, and no other protocol, can be reached."""
    async with open_egress([f"{HOST}:{index.port}"], names()) as bench:
        reader, writer, head = await bench.connect(f"{HOST}:{index.port}")
        assert head.startswith("HTTP/1.1 200 ")
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        with pytest.raises((ssl.SSLError, OSError)):
            await tls(bench, authority, index.port, "other.example.test")
        told = await bench.observer.first(2)
        assert [(one.verdict, one.reason) for one in told] == [
            ("denied", "NOT_TLS"),
            ("denied", "OTHER_NAME"),
        ]
    assert index.asked == []


async def test_plain_http_is_refused_with_a_sentence() -> None:
    async with open_egress(["example.test"], {}) as bench, aiohttp.ClientSession() as session:
        proxy = f"http://127.0.0.1:{bench.port}"
        async with session.get("http://example.test/x", proxy=proxy) as response:
            assert response.status == 403
            assert "Plain HTTP cannot leave the machine" in await response.text()
        # A program that takes the proxy for the gateway's own address, too, reaches the gateway.
        async with session.get(f"{proxy}/llm/models", proxy=proxy) as response:
            assert await response.text() == "gateway GET /llm/models"
        async with session.get(f"{proxy}/llm/models") as response:
            assert await response.text() == "gateway GET /llm/models"


async def test_a_program_that_asks_the_proxy_for_everything_reaches_the_gateway() -> None:
    """Some know no NO_PROXY, and ask for a tunnel to plain HTTP, too."""
    async with open_egress([], {}) as bench:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            reader, writer, head = await bench.connect(f"{host}:{bench.port}")
            assert head.startswith("HTTP/1.1 200 ")
            for path in (b"/llm/a", b"/llm/b"):
                writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: gateway\r\n\r\n")
                answer = await asyncio.wait_for(reader.readuntil(b"gateway GET " + path), 20)
                assert b"HTTP/1.1 200" in answer
            writer.close()
        # What is sent along with the request for the tunnel is not lost, and all is counted once.
        early = b"GET /llm/c HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n"
        before = bench.server.network_bytes
        reader, writer, _ = await bench.connect(f"127.0.0.1:{bench.port}", then=early)
        assert b"gateway GET /llm/c" in await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert bench.server.network_bytes - before < 600
        assert (await bench.refused(f"127.0.0.1:{bench.port + 1}"))[0] == 403
        assert [one.port for one in await bench.observer.first()] == [bench.port + 1]


async def test_a_tunnel_in_which_nothing_passes_is_cut(
    index: PackageIndex, authority: Authority
) -> None:
    limits = TunnelLimits(idle_s=0.2)
    async with open_egress([f"{HOST}:{index.port}"], names(), limits=limits) as bench:
        reader, writer, _ = await bench.connect(f"{HOST}:{index.port}")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        [told] = await bench.observer.first()
        assert (told.verdict, told.reason) == ("failed", "IDLE")


async def test_a_tunnel_lives_no_longer_than_its_limit(index: PackageIndex) -> None:
    limits = TunnelLimits(tunnel_s=0.2)
    async with open_egress([f"{HOST}:{index.port}"], names(), limits=limits) as bench:
        reader, writer, _ = await bench.connect(f"{HOST}:{index.port}")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        assert (await bench.observer.first())[0].reason == "TOO_LONG"


async def test_one_machine_has_so_many_tunnels_and_no_more(index: PackageIndex) -> None:
    limits = TunnelLimits(tunnels=2)
    async with open_egress([f"{HOST}:{index.port}"], names(), limits=limits) as bench:
        kept = [await bench.connect(f"{HOST}:{index.port}") for _ in range(2)]
        status, line, _ = await bench.refused(f"{HOST}:{index.port}")
        assert (status, "close one" in line) == (503, True)
        kept[0][1].close()
        await bench.observer.first(2)
        _, writer, head = await bench.connect(f"{HOST}:{index.port}")
        assert head.startswith("HTTP/1.1 200 ")
        writer.close()
        kept[1][1].close()


async def test_tunnels_die_with_the_machine(index: PackageIndex, authority: Authority) -> None:
    async with open_egress([f"{HOST}:{index.port}"], names()) as bench:
        reader, _ = await tls(bench, authority, index.port)
        await bench.server.close()
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken, as the kernel has it
            await asyncio.wait_for(reader.readexactly(1), 20)
        [told] = bench.observer.told
        assert (told.verdict, told.reason) == ("allowed", "MACHINE_ENDED")


async def serve_while_open(writer: asyncio.StreamWriter, sent: list[int]) -> None:
    while not writer.is_closing():
        writer.write(b"x" * 65_536)
        await writer.drain()
        sent[0] += 65_536
        # drain() waits for nothing where the other end has just gone: nobody else would run.
        await asyncio.sleep(0)


async def test_what_nobody_reads_is_not_kept(authority: Authority, tmp_path: Path) -> None:
    """The sender is held up; memory holds a bounded rest, however much there would be to send."""
    sent = [0]
    tasks: list[asyncio.Task[None]] = []

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        tasks.append(asyncio.create_task(serve_while_open(writer, sent)))

    context = authority.server_context(tmp_path, [HOST])
    server = await asyncio.start_server(flood, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        async with open_egress([f"{HOST}:{port}"], names()) as bench:
            reader, writer = await tls(bench, authority, port)
            writer.transport.pause_reading()
            before = -1
            while before != sent[0]:
                before = sent[0]
                await asyncio.sleep(0.3)
            [tunnel] = bench.egress.tunnels
            transport = tunnel.client.transport
            assert transport is not None
            assert transport.get_write_buffer_size() <= 2 * 256 * 1024
            writer.transport.resume_reading()
            await asyncio.wait_for(reader.readexactly(before + 1_000_000), 20)
            writer.transport.abort()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()


async def test_at_its_cap_nothing_passes_until_there_is_more(
    authority: Authority, tmp_path: Path
) -> None:
    sent = [0]
    tasks: list[asyncio.Task[None]] = []

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        tasks.append(asyncio.create_task(serve_while_open(writer, sent)))

    context = authority.server_context(tmp_path, [HOST])
    server = await asyncio.start_server(flood, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        async with open_egress([f"{HOST}:{port}"], names()) as bench:
            bench.server.cap_network(1_000_000)
            reader, writer = await tls(bench, authority, port)
            reading = asyncio.create_task(reader.readexactly(3_000_000))
            await asyncio.wait_for(bench.server.network_cap_reached.wait(), 20)
            assert 1_000_000 <= bench.server.network_bytes <= 1_000_000 + 2 * 256 * 1024
            stood = bench.server.network_bytes
            status, line, _ = await bench.refused(f"{HOST}:{port}")
            assert (status, "network budget" in line) == (403, True)
            stood = bench.server.network_bytes
            await asyncio.sleep(0.2)
            assert bench.server.network_bytes == stood
            assert not reading.done()

            bench.server.cap_network(None)
            assert not bench.server.network_cap_reached.is_set()
            assert len(await asyncio.wait_for(reading, 20)) == 3_000_000
            writer.transport.abort()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()

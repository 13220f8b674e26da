"""Addresses of a server: each is tried, in parallel, and the one that answered is preferred."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eco2_tracing._export.transport.connect import Connector
from eco2_tracing._export.transport.proxies import ProxyError
from eco2_tracing._export.transport.racing import Candidate, Race, interleaved
from eco2_tracing._settings.hosts import Address, parse_target
from tests.export.receivers import GrpcReceiver, HttpReceiver, Scripted, unreachable
from tests.export.spans import make_span
from tests.support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.export.conftest import Open

V4, V6 = socket.AF_INET, socket.AF_INET6


def candidate(family: int, host: str, port: int = 1) -> Candidate:
    """An address of a family."""
    return Candidate(family, (host, port), host)


def test_families_alternate() -> None:
    """The family of the first address begins, and repeats fall away (RFC 8305, section 4)."""
    given = [
        candidate(V6, "a"),
        candidate(V6, "b"),
        candidate(V6, "a"),
        candidate(V4, "c"),
        candidate(V4, "d"),
    ]
    assert "".join(one.host for one in interleaved(given)) == "acbd"


@pytest.mark.parametrize(
    "target", ["ipv4:127.0.0.1:{dead},127.0.0.1:{good}", "ipv4:127.0.0.1:{good},127.0.0.1:{dead}"]
)
def test_each_address_of_a_target(target: str, grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """An address that refuses connections does not fail the export."""
    batcher = open_batcher(target.format(dead=free_port(), good=grpc_receiver.port))
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert batcher.stats().last_error is None


def test_a_first_address_that_swallows_packets(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """The second is tried beside it, however long the timeout is."""
    with unreachable() as hole:
        batcher = open_batcher(
            f"ipv4:127.0.0.1:{hole},127.0.0.1:{grpc_receiver.port}",
            timeout_s=3600,
            batcher={"export_timeout_s": 3600},
        )
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None


def test_a_first_address_that_is_of_no_use(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """An address that accepts and closes connections is tried last afterwards."""
    with Scripted(lambda _: None) as peer:
        batcher = open_batcher(f"ipv4:127.0.0.1:{peer.port},127.0.0.1:{grpc_receiver.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert peer.connections == 1
        batcher.shutdown()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, int]]]:
    """Names and their addresses, as the system's resolver gives them."""
    known: dict[str, list[tuple[str, int]]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **kwargs)
        return [one for address in known[host] for one in real(*address, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    "form", ["collector.test:4317", "dns:collector.test:4317", "dns:///collector.test:4317"]
)
def test_each_address_of_a_name(
    form: str, names: dict[str, Any], grpc_receiver: GrpcReceiver, open_batcher: Open
) -> None:
    """Addresses that do not answer are skipped, of both families."""
    with unreachable() as hole:
        names["collector.test"] = [
            ("::1", free_port()),
            ("127.0.0.1", hole),
            ("127.0.0.1", free_port()),
            ("127.0.0.1", grpc_receiver.port),
        ]
        batcher = open_batcher(form, protocol="grpc", timeout_s=3600, batcher={"export_timeout_s": 3600})
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None


def test_each_address_of_a_name_over_http(
    names: dict[str, Any], http_receiver: HttpReceiver, open_batcher: Open
) -> None:
    """The same for HTTP."""
    with unreachable() as hole:
        names["collector.test"] = [("127.0.0.1", hole), ("127.0.0.1", http_receiver.port)]
        batcher = open_batcher(
            "http://collector.test:4318/v1/traces", timeout_s=3600, batcher={"export_timeout_s": 3600}
        )
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)


@pytest.fixture
def listeners() -> Iterator[tuple[Scripted, Scripted]]:
    """Two servers that take connections."""
    with ExitStack() as stack:
        yield stack.enter_context(Scripted(wait_for_end)), stack.enter_context(Scripted(wait_for_end))


def wait_for_end(connection: socket.socket) -> None:
    """Keep a connection until the client closes it."""
    connection.settimeout(20)
    connection.recv(1)


def test_the_address_that_answered_is_preferred(listeners: tuple[Scripted, Scripted]) -> None:
    """A successful connection makes its address the first, a failed one the last."""
    addresses = [Address("127.0.0.1", one.port) for one in listeners]
    connector = Connector(tuple(addresses), None, ())

    def used() -> int:
        connection = connector.open(time.monotonic() + 20)
        port = connection._sock.getpeername()[1]
        connection.close()
        return [one.port for one in addresses].index(port)

    assert used() == 0
    connector.failed()
    assert [used(), used()] == [1, 1]
    connector.answered()
    assert used() == 1
    connector.failed()
    assert used() == 0


def test_each_address_has_its_turn(listeners: tuple[Scripted, Scripted]) -> None:
    """After two addresses that accept connections and fail, the third is tried."""
    with Scripted(wait_for_end) as third:
        ports = [one.port for one in (*listeners, third)]
        connector = Connector(tuple(Address("127.0.0.1", port) for port in ports), None, ())
        connector.failed()  # nothing was opened
        used = []
        for _ in range(5):
            connection = connector.open(time.monotonic() + 20)
            used.append(ports.index(connection._sock.getpeername()[1]))
            connection.close()
            connector.failed()
        assert used == [0, 1, 2, 0, 1]


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_of_a_race() -> None:
    """Sockets of attempts that lost, failed or hung are closed, and no thread was started."""
    before, threads = open_files(), set(threading.enumerate())
    race = Race(time.monotonic)
    with unreachable() as hole, socket.create_server(("127.0.0.1", 0)) as good:
        ports = [hole, free_port(), good.getsockname()[1]]
        inside = open_files()
        sock, winner = race.connect(
            [candidate(V4, "127.0.0.1", port) for port in ports], time.monotonic() + 20
        )
        assert winner.sockaddr[1] == ports[2]
        sock.close()
        with pytest.raises(TimeoutError):
            race.connect([candidate(V4, "127.0.0.1", hole)] * 2, time.monotonic() + 0.6)
        with pytest.raises(ConnectionRefusedError):
            race.connect([candidate(V4, "127.0.0.1", free_port())] * 2, time.monotonic() + 20)
        with pytest.raises(OSError, match="no address"):
            race.connect([], time.monotonic() + 20)
        with pytest.raises(OSError, match="not supported"):
            race.connect(
                [Candidate(V4, ("127.0.0.1", 1), ""), Candidate(255, "x", "")][1:], time.monotonic() + 20
            )
        assert open_files() == inside
    assert open_files() == before
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    "broken",
    [Candidate(V4, ("127.0.0.1", 1 << 40), ""), Candidate(V4, None, ""), Candidate(V4, ("\udcff", 1), "")],
    ids=["OverflowError", "TypeError", "UnicodeEncodeError"],
)
def test_an_address_fails_alone(broken: Candidate) -> None:
    """An error of any type in one attempt leaves the others, and no socket."""
    race = Race(time.monotonic)
    with socket.create_server(("127.0.0.1", 0)) as good:
        inside = open_files()
        sock, winner = race.connect([broken, candidate(V4, *good.getsockname())], time.monotonic() + 20)
        assert winner.host == "127.0.0.1"
        sock.close()
        with pytest.raises(OSError, match="the address cannot be used"):
            race.connect([broken, broken], time.monotonic() + 20)
        assert open_files() == inside


@pytest.mark.parametrize("kind", [RuntimeError, UnicodeError, OverflowError])
def test_a_name_that_cannot_be_looked_up_fails_alone(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver may raise errors of any type, for one of the addresses."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "broken.test":
            raise kind("broken")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as good:
        addresses = (Address("broken.test", 1), Address("127.0.0.1", good.getsockname()[1]))
        Connector(addresses, None, ()).open(time.monotonic() + 20).close()


def test_a_proxy_that_cannot_be_used_concerns_its_addresses_alone() -> None:
    """An address without a proxy is called directly; where there is none, the error is the proxy's."""

    def find(address: Address) -> None:
        if address.host == "far.test":
            raise ProxyError("no such proxy")

    with socket.create_server(("127.0.0.1", 0)) as good:
        far, near = Address("far.test", 1), Address("127.0.0.1", good.getsockname()[1])
        Connector((far, near), None, (), find).open(time.monotonic() + 20).close()
    with pytest.raises(ProxyError, match="no such proxy"):
        Connector((far,), None, (), find).open(time.monotonic() + 20)


def test_ipv6(open_batcher: Open) -> None:
    """Escaped or not, an IPv6 address is one."""
    try:
        receiver = GrpcReceiver(address="[::1]:0")
    except RuntimeError:
        pytest.skip("this machine has no IPv6")
    with receiver:
        for form in (
            "ipv6:[::1]:{}",
            "ipv6:%5B::1%5D:{}",
            "[::1]:{}",
            "dns:///[::1]:{}",
        ):
            batcher = open_batcher(form.format(receiver.port), protocol="grpc")
            batcher.on_end(make_span(form))
            assert batcher.force_flush(20_000), (form, batcher.stats())
            batcher.shutdown()


@pytest.mark.parametrize(
    ("target", "addresses"),
    [
        ("ipv4:10.0.0.1:4317,10.0.0.2:4318", [("10.0.0.1", 4317), ("10.0.0.2", 4318)]),
        ("ipv4:10.0.0.1,10.0.0.2:1,", [("10.0.0.1", 80), ("10.0.0.2", 1)]),
        ("ipv4:///10.0.0.1:1", [("10.0.0.1", 1)]),
        ("ipv6:%5B::1%5D:4317", [("::1", 4317)]),
        ("ipv6:[::1]:1,[::2]", [("::1", 1), ("::2", 80)]),
        ("ipv6:fd00::1", [("fd00::1", 80)]),
        ("ipv6:[fe80::1%25eth0]:1", [("fe80::1%eth0", 1)]),
        ("ipv6:%5Bfe80::1%2525eth0%5D:1", [("fe80::1%eth0", 1)]),
        ("ipv6:[fe80::1%eth0]:1", [("fe80::1%eth0", 1)]),
        ("dns://10.0.0.53/collector:1", [("collector", 1)]),
        ("dns:/collector:1", [("collector", 1)]),
        ("dns:[::1]", [("::1", 80)]),
        ("user:pass@host:1", [("host", 1)]),
        ("unix:/run/a%20b.sock", [("/run/a b.sock", 0)]),
        ("unix:///run/otlp.sock", [("/run/otlp.sock", 0)]),
        ("unix://run/otlp.sock", [("run/otlp.sock", 0)]),
    ],
)
def test_forms_of_targets(target: str, addresses: list[tuple[str, int]]) -> None:
    """Every address is read, with the port that it has or the default."""
    assert list(parse_target(target, 80).addresses) == addresses


@pytest.mark.parametrize(
    "target",
    ["ipv4:host:1", "ipv4:::1", "ipv6:10.0.0.1:1", "ipv4:10.0.0.1:0", "ipv4:10.0.0.1:65536", "ipv4:,", "dns:",
     "unix:", "unix-abstract:", "dns:a:$(PORT)", "ipv6:[::1", "ipv4:10.0.0.1:9999999999", "xds:///a", "vsock:1:2"],
)  # fmt: skip
def test_targets_that_cannot_be_used(target: str) -> None:
    """Every invalid target raises `ValueError`."""
    with pytest.raises(ValueError, match=r"."):
        parse_target(target, 80)

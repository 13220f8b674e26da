"""Proxies of the environment: variables, exceptions and errors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eco2_tracing._export.transport.proxies import Proxy, ProxyError, grpc_proxy, http_proxy
from eco2_tracing._settings.hosts import Address
from tests.export.receivers import GrpcReceiver, HttpReceiver, Scripted, eventually
from tests.export.spans import make_span
from tests.export.test_transports import tunnel
from tests.support.servers import free_port

if TYPE_CHECKING:
    from tests.export.conftest import Open

URL = "http://proxy:3128"
SERVER = Address("collector.example", 4317)


def find(protocol: str, environ: dict[str, str], address: Address = SERVER) -> Proxy | None:
    """Find the proxy by the rules of a protocol."""
    if protocol == "grpc":
        return grpc_proxy(environ, address)
    return http_proxy(environ, protocol, address)


EXCEPTED = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.0/8", "127.0.0.1"),
    ("127.0.0.1/8", "127.0.0.1"),
    (" 10.0.0.0/8 , 127.0.0.0/8,.svc", "127.0.0.1"),
    ("127.0.0.1/32", "127.0.0.1"),
    ("0.0.0.0/0", "10.1.2.3"),
    ("127.0.0.1:4317", "127.0.0.1"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("[::1]:4317", "::1"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("fd00::/8", "fd00::1"),
    ("[fd00::]/8", "fd00::1"),
    ("[fd00::/8]", "fd00::1"),
    ("::1/128", "::1"),
    ("fe80::/10", "fe80::1%eth0"),
    ("10.0.0.0/8", "::ffff:10.0.0.1"),
    ("*", "collector.example"),
    ("a, *", "collector.example"),
    ("collector.example", "collector.example"),
    ("COLLECTOR.example", "collector.Example"),
    ("example", "collector.example"),
    (".example", "collector.example"),
    ("*.example", "collector.example"),
    (".localhost", "localhost"),
    ("collector.example:4317", "collector.example"),
    (".example:4317", "collector.example"),
    ("collector.example.", "collector.example"),
    ("collector.example", "collector.example."),
]
NOT_EXCEPTED = [
    ("", "collector.example"),
    (",,", "collector.example"),
    ("other.example", "collector.example"),
    ("ollector.example", "collector.example"),
    ("x.collector.example", "collector.example"),
    ("collector.example:4318", "collector.example"),
    ("10.0.0.0/8", "127.0.0.1"),
    ("127.0.0.1", "127.0.0.11"),
    ("127.0.0.0/33", "127.0.0.1"),
    ("127.0.0.0/", "127.0.0.1"),
    ("/", "127.0.0.1"),
    ("fd00::/8", "::1"),
    ("::1/128", "127.0.0.1"),
    ("10.0.0.0/8", "collector.example"),
    ("[::1]:4318", "::1"),
    ("[,*.,(,://,  ,", "collector.example"),
    (".", "collector.example"),
]


@pytest.mark.parametrize("protocol", ["grpc", "http", "https"])
@pytest.mark.parametrize(
    ("entries", "host", "excepted"),
    [*((*case, True) for case in EXCEPTED), *((*case, False) for case in NOT_EXCEPTED)],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_exceptions(protocol: str, entries: str, host: str, excepted: bool, variable: str) -> None:
    """Exceptions are names, their subdomains, addresses and ranges, in every notation."""
    environ = {f"{protocol}_proxy": URL, variable: entries}
    assert (find(protocol, environ, Address(host, 4317)) is None) is excepted


@pytest.mark.parametrize(
    ("protocol", "environ", "port"),
    [
        ("grpc", {"grpc_proxy": "1", "https_proxy": "2", "http_proxy": "3"}, 1),
        ("grpc", {"https_proxy": "2", "http_proxy": "3"}, 2),
        ("grpc", {"http_proxy": "3"}, 3),
        ("grpc", {"grpc_proxy": "", "http_proxy": "3"}, None),
        ("grpc", {"https_proxy": "", "http_proxy": "3"}, None),
        ("grpc", {"all_proxy": "4"}, None),
        ("grpc", {"GRPC_PROXY": "1"}, 1),
        ("grpc", {"HTTPS_PROXY": "2", "http_proxy": "3"}, 3),
        ("grpc", {"HTTP_PROXY": "3"}, 3),
        ("grpc", {"HTTP_PROXY": "3", "REQUEST_METHOD": "GET"}, None),
        ("grpc", {"http_proxy": "3", "REQUEST_METHOD": "GET"}, 3),
        ("grpc", {"http_proxy": "3", "no_grpc_proxy": "collector.example"}, None),
        ("grpc", {"http_proxy": "3", "NO_GRPC_PROXY": "collector.example"}, None),
        ("grpc", {"http_proxy": "3", "no_grpc_proxy": "", "no_proxy": "collector.example"}, 3),
        ("grpc", {"http_proxy": "3", "no_grpc_proxy": "x", "no_proxy": "collector.example"}, 3),
        ("grpc", {"http_proxy": "3", "no_proxy": "x", "NO_PROXY": "collector.example"}, 3),
        ("http", {"http_proxy": "3", "https_proxy": "2", "all_proxy": "4"}, 3),
        ("https", {"http_proxy": "3", "https_proxy": "2", "all_proxy": "4"}, 2),
        ("https", {"http_proxy": "3"}, None),
        ("https", {"http_proxy": "3", "ALL_PROXY": "4"}, 4),
        ("http", {"http_proxy": "", "HTTP_PROXY": "3"}, None),
        ("http", {"http_proxy": "", "all_proxy": "4"}, 4),
        ("http", {"http_proxy": "3", "HTTP_PROXY": "9"}, 3),
        ("http", {"HTTP_PROXY": "3", "REQUEST_METHOD": "GET"}, None),
        ("http", {"grpc_proxy": "1"}, None),
        ("http", {"http_proxy": "3", "no_grpc_proxy": "collector.example"}, 3),
        ("http", {"http_proxy": "3", "no_proxy": "", "NO_PROXY": "collector.example"}, None),
    ],
)
def test_variables(protocol: str, environ: dict[str, str], port: int | None) -> None:
    """GRPC looks at three, of which an empty one means no proxy; HTTP at its scheme's and at ``all_proxy``."""
    urls = {name: f"http://proxy:{value}" if value.isdecimal() else value for name, value in environ.items()}
    proxy = find(protocol, urls)
    assert (proxy.address.port if proxy else None) == port


@pytest.mark.parametrize(
    ("url", "address", "name"),
    [
        ("http://proxy:3128", ("proxy", 3128), "http://proxy:3128 (http_proxy)"),
        ("proxy:3128", ("proxy", 3128), "http://proxy:3128 (http_proxy)"),
        ("10.0.0.1:3128", ("10.0.0.1", 3128), "http://10.0.0.1:3128 (http_proxy)"),
        ("http://[::1]:3128/", ("::1", 3128), "http://[::1]:3128 (http_proxy)"),
        ("http://[fe80::1%25lo]:1", ("fe80::1%lo", 1), "http://[fe80::1%25lo]:1 (http_proxy)"),
        ("http://u:geheim@proxy:1/geheim?geheim", ("proxy", 1), "http://proxy:1 (http_proxy)"),
        ("u:geheim@proxy", ("proxy", 80), "http://proxy (http_proxy)"),
        (" http://proxy:1 ", ("proxy", 1), "http://proxy:1 (http_proxy)"),
    ],
)
def test_urls_of_proxies(url: str, address: tuple[str, int], name: str) -> None:
    """The address is parsed, and the name for messages has no credentials."""
    for protocol in ("grpc", "http"):
        proxy = find(protocol, {"http_proxy": url})
        assert proxy is not None
        assert (proxy.address, proxy.name) == (address, name)
        assert bool(proxy.authorization) is ("@" in url)


BAD = [
    "http://u:geheim@proxy:$(PORT)",
    "http://u:geheim@proxy:99999",
    "socks5://u:geheim@proxy:1080",
    "socks5h://proxy:1080",
    "https://u:geheim@proxy:3128",
    "http://",
    "http://u:geheim@",
    "http://u:gehe@im/geheim@proxy:1",
    "http://[::1",
    "://proxy:1",
]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_proxies_that_cannot_be_used(protocol: str, url: str) -> None:
    """The error names the proxy and its variable without the password, and the spans stay queued."""
    with pytest.raises(ProxyError, match=r"the proxy .*\(http_proxy\) cannot be used: ") as caught:
        find(protocol, {"http_proxy": url})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["socks5://u:geheim@127.0.0.1:1", "http://u:geheim@127.0.0.1:$(PORT)", "http://u:geheim@127.0.0.1:1"],
)
def test_spans_wait_for_a_proxy(
    url: str,
    receiver: Any,
    open_batcher: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log and the status name the proxy and its variable; spans arrive once the variable is gone."""
    monkeypatch.setenv("http_proxy", url)
    batcher = open_batcher(receiver.endpoint)
    batcher.on_end(make_span())
    eventually(lambda: "Spans do not reach" in caplog.text)  # it follows the status
    shown = f"{batcher.stats().last_error} {caplog.text}"
    assert "127.0.0.1:" in shown
    assert shown.count("(http_proxy)") == 2
    assert "geheim" not in shown
    assert batcher.stats().queued == 1
    monkeypatch.delenv("http_proxy")
    assert batcher.force_flush(20_000)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 geheim\r\n\r\n", b"\x05\xffgeheim\r\n\r\n", b"HTTP/1.1 20"]
)
def test_what_a_proxy_answers(answer: bytes, open_batcher: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the proxy's status and none of its text."""
    with Scripted(tunnel([], answer)) as proxy:
        monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy.port}")
        batcher = open_batcher("collector.example:4317")
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        error = str(batcher.stats().last_error)
        assert f"the proxy http://127.0.0.1:{proxy.port} (grpc_proxy)" in error
        assert "geheim" not in error
        assert ("HTTP 407" in error) is (b"407" in answer)
        batcher.shutdown(100)


def test_interim_answers_of_a_proxy(
    grpc_receiver: GrpcReceiver, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interim responses before the final one are skipped."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    with Scripted(tunnel([], interim + b"HTTP/1.1 200 OK\r\n\r\n")) as proxy:
        monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy.port}")
        batcher = open_batcher(grpc_receiver.endpoint)
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_each_address_behind_a_proxy(
    grpc_receiver: GrpcReceiver, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is asked for each address in turn; those that are excepted are called directly first."""
    asked: list[bytes] = []
    with Scripted(tunnel(asked, b"HTTP/1.1 200 OK\r\n\r\n")) as proxy:
        monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy.port}")
        dead = free_port()
        monkeypatch.setenv("no_proxy", f"127.0.0.1:{dead}")
        batcher = open_batcher(f"ipv4:127.0.0.1:{dead},127.0.0.1:{grpc_receiver.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert len(asked) == 1
        batcher.shutdown()


def test_all_proxy_over_http(
    http_receiver: HttpReceiver, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP is given to ``all_proxy`` where its scheme has none, and not for hosts in a range that is excepted."""
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{http_receiver.port}")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    batcher = open_batcher("http://192.168.0.1:4318/v1/traces")
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert http_receiver.headers[0][":path"] == "http://192.168.0.1:4318/v1/traces"


def test_a_unix_socket_has_no_proxy() -> None:
    """GRPC calls it directly whatever is set."""
    assert grpc_proxy({"grpc_proxy": URL}, Address("/run/otlp.sock", 0)) is None


texts = st.text(max_size=40) | st.text("[]:/@%.,*0123456789abc-$()", max_size=40)


@settings(max_examples=300, deadline=None)
@given(texts, texts, texts)
def test_any_environment(url: str, entries: str, host: str) -> None:
    """No value of a variable raises anything but `ProxyError`."""
    for protocol in ("grpc", "http"):
        with suppress(ProxyError):
            find(protocol, {"http_proxy": url, "no_proxy": entries}, Address(host, 4317))

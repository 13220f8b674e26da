"""Where the attempts of other libraries are mended: requests that are sent again, proxies, odd versions, failures."""

from __future__ import annotations

import logging
import sys
import types
import urllib.request

import pytest
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject

import eco2_tracing
from eco2_tracing._instrumentation.common import attempts
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.instrument import instrument_libraries
from eco2_tracing.testing import b3_headers
from tests.calls.conftest import configure, inside
from tests.calls.strangers import names

__all__ = ["names"]

requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")
NAMES = ("baggage", "x-request-id")
CONFIGURED = {"disabled_instrumentations": "*"}


def caller(number):
    """What the callers of two requests bring along."""
    return {**b3_headers(), "baggage": f"tenant={number}", "x-request-id": f"req-{number}"}


def seen(callee):
    """What the calls carried, in order."""
    return [tuple(one[name] for name in NAMES) for one in callee.seen]


def send_requests(prepared):
    """Send with requests, as under contrib's instrumentation."""
    with requests.Session() as session:
        session.trust_env = False
        inject(prepared.headers)
        with suppress_http_instrumentation():
            session.send(prepared, timeout=5)


def send_urllib(request):
    """Send with urllib, as under contrib's instrumentation."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    inject(request.headers)
    with suppress_http_instrumentation():
        opener.open(request, timeout=5).close()


@pytest.mark.parametrize(
    ("library", "build", "send"),
    [
        ("requests", lambda url: requests.Request("GET", url).prepare(), send_requests),
        ("urllib", urllib.request.Request, send_urllib),
    ],
)
def test_a_request_object_used_again_takes_nothing_along(callee, library, build, send):
    """What it was given inside of one request is another caller's inside of the next."""
    configure(**CONFIGURED)
    patch_attempts(library)
    request = build(callee.url())
    inside(lambda: send(request), caller(1))
    inside(lambda: send(request), caller(2))
    inside(lambda: send(request), b3_headers())
    assert seen(callee) == [("tenant=1", "req-1"), ("tenant=2", "req-2"), (None, None)]


@pytest.mark.parametrize(
    ("host", "expected"), [("auth.svc", ("tenant=1", "req-1")), ("api.example.com", (None, None))]
)
def test_a_proxy_is_not_the_callee(callee, host, expected):
    """A plain request goes to the proxy with the callee's whole URL; there need not be any header."""
    configure(**CONFIGURED)
    patch_attempts("urllib3")

    def work():
        headers = {}
        inject(headers)
        with urllib3.ProxyManager(callee.url()) as proxy:
            proxy.request("GET", f"http://{host}/x", headers=headers)
            proxy.request("GET", f"http://{host}/x")
        with urllib3.HTTPConnectionPool("127.0.0.1", callee.port) as pool:
            pool.urlopen("GET", "/x", headers={})
            pool.urlopen("GET", "/x", headers=None)

    inside(work, caller(1))
    assert seen(callee) == [expected, *[(None, None)] * 3]
    assert [one.path for one in callee.seen] == [*[f"http://{host}/x"] * 2, "/x", "/x"]


def test_a_mapping_of_the_applications_own_is_not_changed(callee, names):
    """urllib3 is given it as it is; a redirect or a second call uses it again."""
    configure(**CONFIGURED)
    patch_attempts("urllib3")
    headers = {}

    def work():
        inject(headers)
        given = dict(headers)
        with urllib3.PoolManager() as pool:
            pool.request("GET", callee.url(host="api.example.com"), headers=headers)
        assert headers == given

    inside(work, caller(1))
    assert headers["baggage"] == "tenant=1"
    assert seen(callee) == [(None, None)]


@pytest.mark.parametrize(
    ("host", "expected"), [("auth.svc", ("tenant=1", "req-1")), ("api.example.com", (None, None))]
)
def test_headers_that_an_opener_adds(callee, names, host, expected):
    """They are kept apart from those of the request."""
    configure(**CONFIGURED)
    patch_attempts("urllib")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("b3", "0"), ("X-Request-Id", "req-1"), ("Baggage", "tenant=1"), ("Accept", "*/*")]

    def work():
        request = urllib.request.Request(callee.url(host=host))
        request.add_unredirected_header("Tracestate", "stale=1")
        inject(request.headers)
        with suppress_http_instrumentation():
            opener.open(request, timeout=5).close()

    inside(work, caller(1))
    assert seen(callee) == [expected]
    assert (callee.last["b3"], callee.last["tracestate"], callee.last["accept"]) == (None, None, "*/*")


def test_calls_that_nobody_traces_are_left_alone(callee, names):
    """Where nothing was injected, the headers are the application's business."""
    configure(**CONFIGURED)
    patch_attempts("requests")
    own = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "baggage": "mine=1"}

    def work():
        with requests.Session() as session:
            session.trust_env = False
            session.get(callee.url(host="api.example.com"), headers=own, timeout=5)

    inside(work, caller(1))
    assert {name: callee.last[name] for name in own} == own
    assert eco2_tracing.tracing_status().external_hosts == ()


def test_headers_as_arguments_by_name(callee):
    """A subclass may hand a request on by name."""
    configure(**CONFIGURED)
    patch_attempts("requests")

    def work():
        prepared = requests.Request("GET", callee.url()).prepare()
        inject(prepared.headers)
        prepared.headers["b3"] = "0"
        requests.adapters.HTTPAdapter().send(request=prepared, timeout=5)

    inside(work, caller(1))
    assert (callee.last["b3"], callee.last["baggage"]) == (None, "tenant=1")


def test_without_a_configuration_calls_are_what_they_were(callee):
    """After a shutdown too."""
    configure(**CONFIGURED)
    patch_attempts("requests")
    eco2_tracing.shutdown_tracing(0)
    with requests.Session() as session:
        session.trust_env = False
        session.get(callee.url(), headers={"b3": "0"}, timeout=5)
    assert callee.last["b3"] == "0"


def test_a_failure_of_ours_does_not_reach_the_call(callee, monkeypatch, caplog):
    """It goes out as it was, and one line says so."""
    configure(**CONFIGURED)
    patch_attempts("requests")
    monkeypatch.setattr(current.state.propagation, "calls", None)
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(callee.url(), timeout=5).status_code == 200
    assert "the headers of an outgoing call" in caplog.text


AWS = [("s3.example.com", True, 1), ("s3.example.com", False, 0), ("minio", False, 1), ("minio", True, 1)]


@pytest.mark.parametrize(("host", "externally", "told"), AWS)
def test_aws_gets_the_x_ray_header_where_strangers_may_get_trace_context(
    callee, names, host, externally, told
):
    """Contrib writes it by itself, whatever is listed."""
    botocore = pytest.importorskip("botocore.session")
    if "botocore" not in instrument_libraries(["botocore"]):
        pytest.skip("the instrumentation of botocore is not installed")
    configure(**CONFIGURED, propagate_externally=externally)
    callee.answer("/", body=b"<ListAllMyBucketsResult/>")

    def work():
        client = botocore.Session().create_client(
            "s3",
            region_name="eu-west-1",
            endpoint_url=callee.url(host=host),
            aws_access_key_id="key",
            aws_secret_access_key="hush",
        )
        client.list_buckets()

    inside(work, caller(1))
    assert len([name for name, _ in callee.last.pairs if name == "x-amzn-trace-id"]) == told


@pytest.mark.parametrize(("host", "externally", "told"), AWS)
def test_what_a_botocore_sends(eagle, monkeypatch, host, externally, told):
    """The same with a stand-in for botocore; a header of the application's own stays."""
    configure(**CONFIGURED, propagate_externally=externally)
    eagle.Adapter = type("Adapter", (Version,), {"send": Version.send})
    monkeypatch.setattr(attempts, "_PLACES", {"eagle": (("eagle", "Adapter", "send", attempts._botocore),)})
    patch_attempts("eagle")
    sent = []

    def work():
        for header in (f"Parent={eco2_tracing.current_span_id()}", "Parent=mine"):
            request = types.SimpleNamespace(
                url=f"https://{host}/bucket", headers={"X-Amzn-Trace-Id": header, "Host": host}
            )
            sent.append(eagle.Adapter().send(request).headers)

    inside(work, caller(1))
    assert [len(headers) for headers in sent] == [told + 1, 2]
    strangers = ("s3.example.com",) if host != "minio" and externally else ()
    assert eco2_tracing.tracing_status().external_hosts == strangers


class Version:
    """A class of a library as it should be."""

    def send(self, request):
        """Send."""
        return request


@pytest.fixture
def eagle(monkeypatch):
    """A library of our own in the table, and a package of it."""
    package = types.ModuleType("eagle")
    monkeypatch.setitem(sys.modules, "eagle", package)
    monkeypatch.setattr(attempts, "_done", set())
    places = (("eagle", "Adapter", "send", lambda *_: None),)
    monkeypatch.setattr(attempts, "_PLACES", {"eagle": places})
    return package


def test_once_and_no_more(eagle):
    """A second call changes nothing."""
    eagle.Adapter = type("Adapter", (Version,), {"send": Version.send})
    patch_attempts("eagle")
    first = eagle.Adapter.send
    patch_attempts("eagle")
    assert eagle.Adapter.send is first is not Version.send
    assert first(eagle.Adapter(), "request") == "request"


@pytest.mark.parametrize("adapter", [None, object])
def test_a_version_that_looks_otherwise(eagle, adapter, caplog):
    """One warning that says what may happen, and the service goes on."""
    if adapter:
        eagle.Adapter = adapter
    patch_attempts("eagle")
    patch_attempts("eagle")
    (line,) = [one for one in caplog.records if one.name == "eco2_tracing"]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("eagle: redirects of its calls may take baggage")

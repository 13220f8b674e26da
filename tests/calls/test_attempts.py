"""Headers at each attempt of other HTTP libraries: reused requests, proxies, unknown versions, failures."""

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
from tests.calls.external_hosts import names

__all__ = ["names"]

requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")
NAMES = ("baggage", "x-request-id")
CONFIGURED = {"disabled_instrumentations": "*"}


def caller(number):
    """The headers of the callers of two requests."""
    return {**b3_headers(), "baggage": f"tenant={number}", "x-request-id": f"req-{number}"}


def seen(callee):
    """The headers that the calls carried, in order."""
    return [tuple(one[name] for name in NAMES) for one in callee.seen]


def send_requests(prepared):
    """Send with requests as under contrib's instrumentation."""
    with requests.Session() as session:
        session.trust_env = False
        inject(prepared.headers)
        with suppress_http_instrumentation():
            session.send(prepared, timeout=5)


def send_urllib(request):
    """Send with urllib as under contrib's instrumentation."""
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
def test_reused_request_carries_nothing_of_the_first_caller(callee, library, build, send):
    """Headers injected within one request are removed within the next."""
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
def test_proxy_is_not_the_callee(callee, host, expected):
    """A plaintext request sends the callee's whole URL to the proxy; it may have no headers."""
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


def test_headers_mapping_of_the_application_is_not_modified(callee, names):
    """urllib3 receives the mapping itself; a redirect or a second call uses it again."""
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
def test_headers_of_an_opener(callee, names, host, expected):
    """An opener's headers are separate from those of the request."""
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


def test_untraced_calls_keep_their_headers(callee, names):
    """If nothing was injected, the application's headers are not changed."""
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


def test_headers_as_keyword_argument(callee):
    """A subclass may pass the request on by keyword."""
    configure(**CONFIGURED)
    patch_attempts("requests")

    def work():
        prepared = requests.Request("GET", callee.url()).prepare()
        inject(prepared.headers)
        prepared.headers["b3"] = "0"
        requests.adapters.HTTPAdapter().send(request=prepared, timeout=5)

    inside(work, caller(1))
    assert (callee.last["b3"], callee.last["baggage"]) == (None, "tenant=1")


def test_calls_do_not_change_without_a_configuration(callee):
    """This also holds after a shutdown."""
    configure(**CONFIGURED)
    patch_attempts("requests")
    eco2_tracing.shutdown_tracing(0)
    with requests.Session() as session:
        session.trust_env = False
        session.get(callee.url(), headers={"b3": "0"}, timeout=5)
    assert callee.last["b3"] == "0"


def test_internal_failure_does_not_fail_the_call(callee, monkeypatch, caplog):
    """The request is sent unchanged, and one line is logged."""
    configure(**CONFIGURED)
    patch_attempts("requests")
    monkeypatch.setattr(current.state.propagation, "calls", None)
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(callee.url(), timeout=5).status_code == 200
    assert "the headers of an outgoing call" in caplog.text


AWS = [("s3.example.com", True, 1), ("s3.example.com", False, 0), ("minio", False, 1), ("minio", True, 1)]


@pytest.mark.parametrize(("host", "externally", "told"), AWS)
def test_aws_gets_the_x_ray_header_if_external_hosts_get_context(callee, names, host, externally, told):
    """Contrib injects it whatever propagators are configured."""
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
def test_headers_of_botocore(eagle, monkeypatch, host, externally, told):
    """The same with a replacement for botocore; a header of the application stays."""
    configure(**CONFIGURED, propagate_externally=externally)
    eagle.Adapter = type("Adapter", (Version,), {"send": Version.send})
    monkeypatch.setattr(
        attempts, "_PATCHED_METHODS", {"eagle": (("eagle", "Adapter", "send", attempts._botocore),)}
    )
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
    external = ("s3.example.com",) if host != "minio" and externally else ()
    assert eco2_tracing.tracing_status().external_hosts == external


class Version:
    """A class of a library of a supported version."""

    def send(self, request):
        """Send."""
        return request


@pytest.fixture
def eagle(monkeypatch):
    """A fake library in the table of patched methods, and its package."""
    package = types.ModuleType("eagle")
    monkeypatch.setitem(sys.modules, "eagle", package)
    monkeypatch.setattr(attempts, "_patched", set())
    places = (("eagle", "Adapter", "send", lambda *_: None),)
    monkeypatch.setattr(attempts, "_PATCHED_METHODS", {"eagle": places})
    return package


def test_patching_twice_changes_nothing_more(eagle):
    """The second call has no effect."""
    eagle.Adapter = type("Adapter", (Version,), {"send": Version.send})
    patch_attempts("eagle")
    first = eagle.Adapter.send
    patch_attempts("eagle")
    assert eagle.Adapter.send is first is not Version.send
    assert first(eagle.Adapter(), "request") == "request"


@pytest.mark.parametrize("adapter", [None, object])
def test_unknown_version_is_one_warning(eagle, adapter, caplog):
    """The warning states the effect, and the service keeps running."""
    if adapter:
        eagle.Adapter = adapter
    patch_attempts("eagle")
    patch_attempts("eagle")
    (line,) = [one for one in caplog.records if one.name == "eco2_tracing"]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("eagle: redirects of its calls may take baggage")

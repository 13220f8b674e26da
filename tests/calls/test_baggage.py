"""Baggage set on a call by the application or by another SDK is merged with the inherited baggage."""

from __future__ import annotations

import ast
import subprocess
import sys
import urllib.request
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject

from eco2_tracing._instrumentation.common import attempts
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing.propagation import Propagation
from eco2_tracing.testing import b3_headers
from tests.calls.conftest import configure, inside
from tests.calls.external_hosts import Library, names

__all__ = ["names"]

ROOT = Path(__file__).parents[2]
ARRIVING = {**b3_headers(), "baggage": "tenant=acme;p=1,region=eu"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Baggage": "tenant=other"},
        [("baggage", "mine=1"), ("Baggage", "tenant=other")],
        [(b"BAGGAGE", b"tenant=other")],
    ],
)
def test_one_baggage_header_whatever_its_form(caller, callee, captured_spans, headers):
    """A mapping, pairs, bytes, any case, several lines."""
    inside(lambda: caller.get(callee.url(), headers=headers), ARRIVING)
    own = "mine=1,tenant=other" if len(headers) == 2 else "tenant=other"
    assert callee.last["baggage"] == f"{own},region=eu"


def test_external_hosts_get_the_calls_own_baggage(caller, callee, captured_spans):
    """Members copied from the request are removed, also after a redirect."""
    callee.answer("/go", 302, location="http://api.example.com/there")
    client = caller.client(transport=caller.names(callee.port), follow_redirects=True)
    headers = {"baggage": "mine=1, tenant=acme"}
    inside(lambda: caller.get("http://auth.svc/go", client=client, headers=headers), ARRIVING)
    assert [seen["baggage"] for seen in callee.seen] == ["mine=1,tenant=acme;p=1,region=eu", "mine=1"]


def test_copied_baggage_of_an_untrusted_caller_is_removed(caller, callee):
    """`ECO2_TRACING_TRUST_INBOUND=false`: only the call's own baggage is sent."""
    configure(trust_inbound=False)
    inside(lambda: caller.get(callee.url(), headers={"baggage": "tenant=acme;p=1,mine=1"}), ARRIVING)
    assert callee.last["baggage"] == "mine=1"


def test_reused_request_has_only_its_own_baggage(one, callee, captured_spans):
    """Baggage merged within one request is removed within the next."""
    client = one.client()
    request = client.build_request("GET", callee.url(), headers={"baggage": "mine=1"})
    inside(lambda: client.send(request), ARRIVING)
    inside(lambda: client.send(request), {**b3_headers(), "baggage": "tenant=other"})
    inside(lambda: client.send(request), b3_headers())
    assert [seen["baggage"] for seen in callee.seen] == [
        "mine=1,tenant=acme;p=1,region=eu",
        "mine=1,tenant=other",
        "mine=1",
    ]


@pytest.mark.parametrize("library", ["requests", "urllib"])
def test_reused_requests_of_other_libraries(callee, library):
    """Prepared requests of requests and requests of urllib are reused too."""
    module = pytest.importorskip(library)
    configure(disabled_instrumentations="*")
    patch_attempts(library)
    headers = {"baggage": "mine=1"}
    if library == "requests":
        request = module.Request("GET", callee.url(), headers=headers).prepare()
    else:
        request = urllib.request.Request(callee.url(), headers=headers)

    def send():
        inject(request.headers)
        with suppress_http_instrumentation():
            if library == "requests":
                with module.Session() as session:
                    session.trust_env = False
                    session.send(request, timeout=5)
            else:
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                opener.open(request, timeout=5).close()

    inside(send, ARRIVING)
    inside(send, {**b3_headers(), "baggage": "tenant=other"})
    assert [seen["baggage"] for seen in callee.seen] == [
        "mine=1,tenant=acme;p=1,region=eu",
        "mine=1,tenant=other",
    ]


SENTRY = """
import httpx
import sentry_sdk
from sentry_sdk.transport import Transport

from eco2_tracing.testing import b3_headers
from tests.calls.conftest import configure, inside


class Nowhere(Transport):
    def capture_envelope(self, envelope):
        pass


sentry_sdk.init("http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=Nowhere)
configure()
sent = []
client = httpx.Client(transport=httpx.MockTransport(lambda request: sent.append(request) or httpx.Response(200)))


def work():
    with sentry_sdk.start_transaction(name="work"):
        client.get("http://auth.svc/", headers={"baggage": "mine=1"})


inside(work, {**b3_headers(), "baggage": "tenant=acme;p=1"})
print(sent[0].headers.get_list("baggage"))
"""


def test_sentrys_baggage_is_merged():
    """Sentry sets the header above the transport; it patches much else, hence the separate process."""
    if (
        find_spec("sentry_sdk") is None
    ):  # not imported here: it imports eventlet, which warns of every later fork
        pytest.skip("sentry_sdk is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SENTRY], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    (value,) = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    members = value.split(",")
    assert {"mine=1", "tenant=acme;p=1"} <= set(members)
    assert any(member.startswith("sentry-trace_id=") for member in members)


class Adding:
    """What an SDK does that adds its headers in `http.client`.

    Args:
        monkeypatch: Undoes it.
        value: Its ``baggage``.
        place: ``putrequest``, as sentry-sdk does, or ``endheaders``, as it does for AWS.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, value: str | bytes, place: str = "putrequest"
    ) -> None:
        original = getattr(HTTPConnection, place)

        def adding(connection, *args, **kwargs):
            if place == "putrequest":
                original(connection, *args, **kwargs)
                connection.putheader("Baggage", value)
            else:
                connection.putheader("Baggage", value)
                original(connection, *args, **kwargs)

        monkeypatch.setattr(HTTPConnection, place, adding)


@pytest.mark.parametrize("place", ["putrequest", "endheaders"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("library", ["requests", "urllib", "urllib3"])
@pytest.mark.parametrize(
    ("host", "inherited"), [("auth.svc", {"tenant=acme;p=1", "region=eu"}), ("api.example.com", set())]
)
def test_an_sdk_below_the_headers(names, callee, monkeypatch, place, first, library, host, inherited):
    """One header in any order of set-up; its members win over those inherited, and external hosts get no others."""
    caller = Library(library, real=False)
    monkeypatch.setattr(attempts, "_wrapped", [])
    for name in ("endheaders", "send"):
        monkeypatch.setattr(HTTPConnection, name, getattr(HTTPConnection, name))
    monkeypatch.setattr(attempts, "_patched", set())
    configure(**caller.settings)
    if first:
        Adding(monkeypatch, "sdk=1,plan=own", place)
    caller.prepare()
    if not first:
        Adding(monkeypatch, "sdk=1,plan=own", place)
    arriving = {**ARRIVING, "baggage": f"{ARRIVING['baggage']},plan=theirs"}
    inside(lambda: caller.get(callee.url(host=host), {"Baggage": "mine=1"}), arriving)
    assert set(callee.last["baggage"].split(",")) == {"mine=1", "sdk=1", "plan=own", *inherited}


def test_bodies_and_folded_lines_stay(callee, monkeypatch):
    """The head alone is looked at; a value in several lines is one list."""
    configure(disabled_instrumentations="*")
    patch_attempts("urllib")
    Adding(monkeypatch, "sdk=1", "endheaders")
    connection = HTTPConnection("127.0.0.1", callee.port)
    sent = []
    monkeypatch.setattr(HTTPConnection, "send", recording(HTTPConnection.send, sent))
    body = b"x\r\nbaggage: a=1\r\nbaggage: b=2\r\n\r\n"
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(len(body)))
    connection.putheader("Baggage", "mine=1", "more=2")
    connection.endheaders(body)
    assert connection.getresponse().read() == b""
    connection.close()
    assert callee.last["baggage"] == "mine=1,more=2,sdk=1"
    assert sent[-1] == body


def recording(send, sent):
    """Note what is sent."""

    def send_and_note(connection, data):
        sent.append(data)
        send(connection, data)

    return send_and_note


def test_signed_headers_stay(callee, monkeypatch):
    """A header that AWS's signature covers is not touched; nothing is without tracing."""
    patch_attempts("urllib")
    Adding(monkeypatch, "sdk=1")
    signed = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=baggage;host, Signature=00"
    for configured in (False, True):
        if configured:
            configure(disabled_instrumentations="*")
        connection = HTTPConnection("127.0.0.1", callee.port)
        headers = {"baggage": "mine=1"} | ({"authorization": signed} if configured else {})
        connection.request("GET", "/", headers=headers)
        connection.getresponse().read()
        connection.close()
        assert [value for name, value in callee.last.pairs if name == "baggage"] == ["sdk=1", "mine=1"]


def test_a_failure_of_ours_lets_the_call_out(callee, monkeypatch, caplog):
    """Both headers go out then, and a line says so."""
    patch_attempts("urllib")
    Adding(monkeypatch, "sdk=1")
    configure(disabled_instrumentations="*")
    monkeypatch.setattr(attempts, "current", None)
    connection = HTTPConnection("127.0.0.1", callee.port)
    connection.request("GET", "/", headers={"baggage": "mine=1"})
    assert connection.getresponse().status == 200
    connection.close()
    assert "the headers of an outgoing call" in caplog.text


def _context():
    return baggage.set_baggage("tenant", "acme", Context())


def test_baggage_in_another_case():
    """One header is written if the host is unknown."""
    carrier = {"Baggage": "mine=1"}
    Propagation().inject(carrier, _context())
    assert {name.lower(): value for name, value in carrier.items()} == {"baggage": "mine=1,tenant=acme"}
    assert len(carrier) == 1


def test_baggage_that_is_a_mapping_stays():
    """Attributes of AWS messages are mappings; nothing is merged into them."""
    own = {"StringValue": "mine=1", "DataType": "String"}
    carrier = {"baggage": own}
    Propagation().inject(carrier, _context())
    assert carrier["baggage"] is own


def test_merged_baggage_is_removed_at_a_redirect_with_tracing_disabled():
    """Without ids, a redirect to an external host carries no inherited member."""
    propagation = Propagation()
    token = attach(_context())
    try:
        headers = {"baggage": "mine=1"}
        propagation.inject(headers)
        assert headers == {"baggage": "mine=1,tenant=acme"}
        changes = propagation.calls.changes(headers.items(), "api.example.com")
    finally:
        detach(token)
    assert (changes.removed, changes.added) == ({b"baggage"}, [(b"baggage", b"mine=1")])

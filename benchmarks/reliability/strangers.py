"""Calls and redirects to hosts outside: which of a request's headers go there?"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.reliability._processes import serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import SPAN_ID, TRACE_ID, OtlpReceiver

OUTSIDE = (
    *("api.partner.example", "localhost.partner.example", "10.0.0.1.partner.example", "partner.example."),
    *("svc.partner.example", "cluster.local.partner.example", "xn--bcher-kva.example", "2130706433.example"),
)
INSIDE, LISTED = "orders", "api.listed.example"
PRIVATE = ("baggage", "tracestate", "x-request-id")
CONTEXT = ("traceparent", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled")
ANY = (*PRIVATE, *CONTEXT, "b3", "x-b3-parentspanid", "x-b3-flags")
# What a request through the mesh brings; none of it is a stranger's business.
SENT = {
    "baggage": "user=kim,tenant=acme",
    "tracestate": "vendor=internal",
    "x-request-id": "8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de",
    "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
    "x-b3-traceid": TRACE_ID,
    "x-b3-spanid": SPAN_ID,
    "x-b3-sampled": "1",
}
TARGETS = {"ECO2_TRACING_PROPAGATION_TARGETS": LISTED}
SWITCHED_OFF = {"ECO2_TRACING_PROPAGATE_EXTERNALLY": "false"}
WAYS = tuple(product(("/call", "/call-blocking"), ("httpx", "httpx2"), ("false", "true"), (False, True)))


class Hosts:
    """Every host that is called, in one server that redirects where it is told, and what each was sent."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Mapping[str, str]]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers["host"].rpartition(":")[0]
                received.append((host, {name.lower(): value for name, value in self.headers.items()}))
                to = parse_qs(urlsplit(self.path).query).get("to")
                self.send_response(302 if to else 200)
                if to:
                    self.send_header("location", to[0])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @contextmanager
    def listening(self) -> Iterator[Hosts]:
        """Serve until the block ends."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def sent_to(self, outside: bool) -> list[Mapping[str, str]]:
        """Give the headers of each request to hosts outside, or to the others."""
        return [headers for host, headers in self.received if (host in OUTSIDE) is outside]


def called(variant: Variant, hosts: Hosts, endpoint: str, environ: Mapping[str, str], scale: Scale) -> None:
    """Have the service call and be redirected to every host, in every way."""
    hosts.received.clear()
    names = (*(OUTSIDE if scale.full else OUTSIDE[:2]), INSIDE, LISTED)
    # uvloop resolves names by itself, past what the routes put in the way.
    options = ("--loop", "asyncio")
    with serving(variant, endpoint, options=options, routes="_routes_calls", environ=environ) as served:
        for name, (path, client, copied, redirected) in product(names, WAYS):
            url = f"http://{name}:{hosts.port}/"
            if redirected:
                url = f"http://{INSIDE}:{hosts.port}/?{urlencode({'to': url})}"
            query = urlencode({"url": url, "client": client, "copied": copied})
            status, body = served.get(f"{path}?{query}", **SENT)
            if (status, body) != (200, b"200"):
                raise RuntimeError(f"{path} answered {status} {body!r}")


def carrying(requests: Sequence[Mapping[str, str]], names: tuple[str, ...]) -> int:
    """Count the requests that carry one of these headers."""
    return sum(any(name in headers for name in names) for headers in requests)


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the requests to strangers that carry what is not for them."""
    with OtlpReceiver() as receiver, Hosts().listening() as hosts:
        called(variant, hosts, receiver.grpc_endpoint, TARGETS, scale)
        strangers, friends = hosts.sent_to(outside=True), hosts.sent_to(outside=False)
        told = f"{(leaked := carrying(strangers, PRIVATE))} of {len(strangers)} requests"
        if variant == "stock":
            return Figure(f"{told}; nothing to switch off", held=False)
        complaint = missing(strangers, friends)
        called(variant, hosts, receiver.grpc_endpoint, TARGETS | SWITCHED_OFF, scale)
        off = hosts.sent_to(outside=True)
    told += f"; when switched off {(untold := carrying(off, ANY))} of {len(off)}"
    return Figure(told + complaint, not (leaked or untold or complaint))


def missing(strangers: Sequence[Mapping[str, str]], friends: Sequence[Mapping[str, str]]) -> str:
    """Tell what is not sent although it should be, so that no row is held because nothing is sent at all."""
    kept = min(carrying(friends, (name,)) for name in ("baggage", "x-request-id", *CONTEXT))
    traced = min(carrying(strangers, (name,)) for name in CONTEXT)
    if (kept, traced) == (len(friends), len(strangers)):
        return ""
    return f"; of {len(friends)} to own hosts {kept} carry all, of the others {traced} the trace context"


ROWS = (
    Row(
        "strangers",
        "baggage, tracestate and request ids sent to hosts outside the service's own, by call or by redirect; trace "
        "context too when switched off",
        "0 unless listed",
        measure,
    ),
)

"""Which headers of a request reach external hosts, by call and by redirect."""

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
# The headers of a request through the mesh.
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
    """One server for every host name: it redirects on request and records the headers that each host received."""

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
        """The headers of each request to external hosts, or to the others."""
        return [headers for host, headers in self.received if (host in OUTSIDE) is outside]


def called(variant: Variant, hosts: Hosts, endpoint: str, environ: Mapping[str, str], scale: Scale) -> None:
    """Have the service call every host, in every way, directly and by a redirect."""
    hosts.received.clear()
    names = (*(OUTSIDE if scale.full else OUTSIDE[:2]), INSIDE, LISTED)
    # uvloop resolves names itself and ignores the patched resolver of the routes.
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
    """The number of requests that carry one of these headers."""
    return sum(any(name in headers for name in names) for headers in requests)


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the requests to external hosts that carry headers for internal hosts."""
    with OtlpReceiver() as receiver, Hosts().listening() as hosts:
        called(variant, hosts, receiver.grpc_endpoint, TARGETS, scale)
        external, internal = hosts.sent_to(outside=True), hosts.sent_to(outside=False)
        text = f"{(leaked := carrying(external, PRIVATE))} of {len(external)} requests"
        if variant == "stock":
            return Figure(f"{text}; nothing to switch off", held=False)
        problem = missing(external, internal)
        called(variant, hosts, receiver.grpc_endpoint, TARGETS | SWITCHED_OFF, scale)
        off = hosts.sent_to(outside=True)
    text += f"; when switched off {(traced := carrying(off, ANY))} of {len(off)}"
    return Figure(text + problem, not (leaked or traced or problem))


def missing(external: Sequence[Mapping[str, str]], internal: Sequence[Mapping[str, str]]) -> str:
    """What should be sent and is not, so that a row is not held because nothing is sent at all."""
    kept = min(carrying(internal, (name,)) for name in ("baggage", "x-request-id", *CONTEXT))
    traced = min(carrying(external, (name,)) for name in CONTEXT)
    if (kept, traced) == (len(internal), len(external)):
        return ""
    return (
        f"; of {len(internal)} to internal hosts {kept} carry all, of the others {traced} the trace context"
    )


ROWS = (
    Row(
        "external-hosts",
        "external hosts get no baggage, tracestate or request id, and no trace context if that is switched off",
        "0 unless listed",
        measure,
    ),
)

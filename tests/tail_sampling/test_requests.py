"""Requests and calls: the headers of calls and responses, and what stops keeping."""

from __future__ import annotations

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Response, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

import eco2_tracing
from eco2_tracing import TracingSettings, span, tracing_status
from eco2_tracing.sampling._tail import buffer
from eco2_tracing.testing import TRACE_ID, CapturedSpans, b3_headers, traceparent_headers

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"
UNSAMPLED = b3_headers(sampled=False)
OTHER = "1" * 32
ANYTHING_MS = 1e-6
"""A threshold that every request reaches."""

_CONTRIB = "opentelemetry.instrumentation.fastapi"


class Service:
    """An application whose exports are captured, and its callees.

    Args:
        settings: Fields of ``TracingSettings``.
    """

    def __init__(self, **settings):
        self.captured = CapturedSpans()
        settings = TracingSettings(traces_exporter=("none",), **settings)
        eco2_tracing.configure_tracing("orders", settings=settings, span_processors=(self.captured,))
        self.sent = []
        self.answers = {}
        self.http = httpx.Client(transport=httpx.MockTransport(self._callee))
        self.app = FastAPI()
        self._add_routes()
        eco2_tracing.instrument_app(self.app)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def _callee(self, request):
        self.sent.append(request.headers["x-b3-sampled"])
        status, headers = self.answers.get(request.url.path, (200, []))
        return httpx.Response(status, headers=headers)

    def call(self, path="/", host="stock"):
        """Call another service."""
        return self.http.get(f"http://{host}{path}")

    def _add_routes(self):
        app = self.app

        @app.get("/calls")
        def calls(fails: bool = False) -> Response:
            self.call()
            if fails:
                with pytest.raises(KeyError), span("inner"):
                    raise KeyError
            self.call()
            return Response("done", headers={"server-timing": "db;dur=5"})

        @app.get("/hears/{host}")
        def hears(host: str) -> Response:
            self.call("/callee", host)
            self.call()
            return Response("done")

        @app.get("/live")
        def live(mended: bool = False) -> Response:
            current = trace.get_current_span()
            current.set_status(StatusCode.ERROR, "half done")
            self.call()
            if mended:
                current.set_status(StatusCode.OK)
            return Response("done")

        @app.get("/status/{code}")
        def status(code: int) -> Response:
            return Response("done", code)

        @app.get("/raises")
        def raises() -> None:
            with span("inner"):
                raise ValueError("no such luck")

        @app.get("/stream")
        def stream(kind: str = "text/plain", fails: bool = False) -> StreamingResponse:
            def parts():
                yield "data: 1\n\n"
                if fails:
                    raise ValueError("stream broke")

            return StreamingResponse(parts(), media_type=kind)

        @app.get("/background")
        def background(tasks: BackgroundTasks, fails: bool = False) -> Response:
            def later():
                if fails:
                    raise OSError("mail server gone")

            tasks.add_task(later)
            return Response("done")

        @app.websocket("/ws")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            with span("message"):
                await websocket.send_text("hello")
            await websocket.close()

    @property
    def names(self):
        """The sorted names of the exported spans; contrib may have been applied in this process."""
        return sorted(one.name for one in self.captured.spans if one.scope != _CONTRIB)

    def get(self, path, headers=UNSAMPLED):
        """Send a request that the mesh did not sample."""
        return self.client.get(path, headers=headers)

    @property
    def root(self):
        """The exported server span."""
        return self.captured.one(kind=SpanKind.SERVER)


def test_callees_hear_of_the_failure_from_then_on():
    """Calls go out as not sampled until something failed, and as sampled after that."""
    service = Service()
    service.get("/calls?fails=true")
    assert service.sent == ["0", "1"]
    assert service.names == ["GET", "GET", "GET /calls", "inner"]
    assert {one.flags & 1 for one in service.captured.spans} == {1}
    assert service.root.attributes[REASON] == "error"


def test_nothing_failed():
    """Nothing is exported, and no header reports it."""
    service = Service()
    answer = service.get("/calls")
    assert (service.sent, service.names) == (["0", "0"], [])
    assert answer.headers.get_list("server-timing") == ["db;dur=5"]


def test_the_caller_is_told():
    """OuterInstrumentation the application's own values, and only where the trace was kept."""
    service = Service()
    answer = service.get("/calls?fails=true")
    told = f"trace;desc=00-{TRACE_ID}-{service.root.span_id}-01"
    assert answer.headers.get_list("server-timing") == ["db;dur=5", told]


@pytest.mark.parametrize(
    ("headers", "settings"),
    [
        ({}, {"traces_sampler": "parentbased_always_on"}),
        ({}, {"traces_sampler": "parentbased_traceidratio", "traces_sampler_arg": "0"}),
        (b3_headers(), {}),
        (UNSAMPLED, {"trust_inbound": False}),
        (UNSAMPLED, {"max_kept_traces_per_second": 0}),
    ],
    ids=["chosen here", "no caller", "chosen by the mesh", "not trusted", "refused"],
)
def test_who_is_not_told(headers, settings):
    """A caller without a context, one that is not trusted, one that sampled anyway; nor of a refused trace."""
    service = Service(**settings)
    answer = service.get("/status/500", headers)
    assert "server-timing" not in answer.headers
    if settings.get("max_kept_traces_per_second") != 0:
        assert service.root.attributes[REASON] == "error"


def test_a_refused_trace_reaches_nobody():
    """Over the cap: no sampled header goes out, nothing is exported, and the loss is counted."""
    service = Service(max_kept_traces_per_second=0)
    service.get("/calls?fails=true")
    service.get("/raises")
    assert (service.sent, service.names) == (["0", "0"], [])
    # In the first: server span, one call and the failed span; the second call was not recorded.
    dropped = {reason: count for reason, count in tracing_status().spans_dropped.items() if count}
    assert dropped == {"kept_traces_cap": 5}


@pytest.mark.parametrize(
    "headers",
    [
        [("server-timing", "db;dur=1"), ("server-timing", f"trace;desc=00-{TRACE_ID}-{'c' * 16}-01")],
        [("traceresponse", f"00-{TRACE_ID}-{'c' * 16}-01")],
    ],
    ids=["server-timing", "traceresponse"],
)
def test_a_callee_that_kept_its_part(headers):
    """The local trace is kept without an error here; later calls and the response report it."""
    service = Service()
    service.answers["/callee"] = (200, headers)
    answer = service.get("/hears/stock")
    assert service.sent == ["0", "1"]
    assert service.names == ["GET", "GET", "GET /hears/{host}"]
    assert service.root.attributes[REASON] == "upstream"
    assert PROBABILITY not in service.root.attributes
    assert "ot" not in service.root.trace_state
    assert answer.headers["server-timing"].startswith(f"trace;desc=00-{TRACE_ID}-")
    assert tracing_status().traces_kept == {"upstream": 1}


@pytest.mark.parametrize(
    ("host", "value"),
    [
        ("stock", f"00-{OTHER}-{'c' * 16}-01"),
        ("stock", f"00-{TRACE_ID}-{'c' * 16}-00"),
        ("stock", "nonsense"),
        ("api.example.com", f"00-{TRACE_ID}-{'c' * 16}-01"),
    ],
    ids=["another trace", "not sampled", "nonsense", "a stranger"],
)
def test_a_callee_that_is_not_believed(host, value):
    """Only our own hosts, for the same trace, that kept it."""
    service = Service()
    service.answers["/callee"] = (200, [("server-timing", f"trace;desc={value}"), ("traceresponse", value)])
    service.get(f"/hears/{host}")
    assert service.names == []


def test_a_callees_word_is_under_the_cap():
    """It costs what an error costs."""
    service = Service(max_kept_traces_per_second=1)
    service.answers["/callee"] = (200, [("traceresponse", f"00-{TRACE_ID}-{'c' * 16}-01")])
    assert "server-timing" in service.get("/hears/stock").headers
    assert "server-timing" not in service.get("/hears/stock").headers
    assert tracing_status().traces_kept == {"upstream": 1}


@pytest.mark.parametrize(("status", "kept"), [(404, False), (503, True)])
def test_a_failing_callee(status, kept):
    """A 5xx answer to a call is a failure though it is handled, a 4xx answer is none."""
    service = Service()
    service.answers["/callee"] = (status, [])
    service.get("/hears/stock")
    assert bool(service.names) is kept


@pytest.mark.parametrize(("code", "kept"), [(200, False), (404, False), (500, True)])
def test_a_failing_answer(code, kept):
    """5xx is a failure of the service, 4xx is the caller's."""
    service = Service()
    service.get(f"/status/{code}")
    assert service.names == (["GET /status/{code}"] if kept else [])


def test_the_exception_behind_a_500_is_there():
    """The trace was kept when the answer began; the exception came after that."""
    service = Service()
    service.get("/raises")
    assert service.names == ["GET /raises", "inner"]
    assert [event.name for event in service.captured.one("inner").events] == ["exception"]
    assert service.root.attributes["error.type"] == "ValueError"


def test_an_exception_after_a_good_answer_began():
    """The trace is kept; the response had already begun, so that no header reports it."""
    service = Service()
    answer = service.get("/stream?fails=true")
    assert "server-timing" not in answer.headers
    assert service.root.attributes[REASON] == "error"


def test_a_status_set_on_the_live_server_span():
    """Calls made after it go out as sampled; OK in the end does not take the decision back."""
    service = Service()
    service.get("/live")
    assert service.sent == ["1"]
    assert (service.root.status, service.root.status_description) == (StatusCode.ERROR, "half done")
    service.captured.clear()
    service.get("/live?mended=true")
    assert (service.root.status, service.root.attributes[REASON]) == (StatusCode.OK, "error")


def test_a_background_task_that_fails():
    """It runs after the answer, and keeps the request's trace all the same."""
    service = Service()
    service.get("/background")
    assert service.names == []
    service.get("/background?fails=true")
    assert service.names == ["BackgroundTask later", "GET /background"]
    assert service.root.status is StatusCode.UNSET


@pytest.mark.parametrize(
    ("headers", "path", "settings"),
    [
        ({"b3": "0"}, "/raises", {}),
        ({"x-b3-sampled": "0"}, "/raises", {}),
        (UNSAMPLED, "/raises", {"excluded_paths": ("raises",)}),
        (UNSAMPLED, "/raises", {"traces_sampler": "always_off"}),
        (UNSAMPLED, "/raises", {"traces_sampler": "parentbased_always_off"}),
        (UNSAMPLED, "/raises", {"error_sampling_rate": 0.0}),
    ],
)
def test_what_stops_keeping(headers, path, settings):
    """A bare deny, an excluded path, a sampler that is off, a rate of zero."""
    service = Service(**settings)
    service.get(path, headers)
    assert service.names == []


def test_a_sampler_that_is_off_and_a_rate_that_is_set():
    """Then the operator wants errors, and nothing else."""
    service = Service(traces_sampler="always_off", ECO2_TRACING_ERROR_SAMPLING_RATE="1.0")
    service.get("/status/200", {})
    service.get("/raises", {})
    assert service.names == ["GET /raises", "inner"]


def test_slow_requests():
    """Off by default; from the threshold on kept with what they did, fast ones are not."""
    service = Service(slow_threshold_ms=ANYTHING_MS)
    service.get("/calls")
    assert service.names == ["GET", "GET", "GET /calls"]
    assert service.root.attributes[REASON] == "slow"
    assert service.root.attributes[PROBABILITY] == 1.0


def test_a_threshold_of_a_route():
    """It wins over the general one, in either direction."""
    service = Service(slow_threshold_ms=1e9, slow_thresholds_ms={"/status/{code}": ANYTHING_MS})
    service.get("/status/200")
    service.get("/calls")
    assert service.names == ["GET /status/{code}"]


def test_a_route_that_may_be_slow():
    """The general threshold does not count for it."""
    service = Service(slow_threshold_ms=ANYTHING_MS, slow_thresholds_ms={"/calls": 1e9})
    service.get("/calls")
    assert service.names == []
    service.get("/status/200")
    assert service.names == ["GET /status/{code}"]


def test_streams_of_events_and_sockets_are_never_slow():
    """They are open for as long as they are wanted; a plain stream is measured to its last part."""
    service = Service(slow_threshold_ms=ANYTHING_MS)
    service.get("/stream?kind=text/event-stream")
    with service.client.websocket_connect("/ws", headers=UNSAMPLED) as socket:
        socket.receive_text()
    assert service.names == []
    service.get("/stream")
    assert service.names == ["GET /stream"]


def test_a_chosen_sockets_spans_do_not_wait_for_its_end():
    """A connection of hours shows what it did so far."""
    service = Service()
    with service.client.websocket_connect("/ws", headers=b3_headers()) as socket:
        socket.receive_text()
        service.captured.wait_for(lambda spans: any(one.name == "message" for one in spans))
    assert service.names == ["HTTP /ws", "message"]


def test_jaegers_tags_are_for_true_roots():
    """A request with a caller has none."""
    service = Service()
    service.get("/status/200", {})
    assert service.root.attributes["sampler.type"] == "const"
    service.captured.clear()
    service.get("/status/200", traceparent_headers())
    assert "sampler.type" not in service.root.attributes


def test_a_call_below_a_span_that_had_ended():
    """A task of a kept trace goes on in the context of an ended span: its calls are sampled, and say why."""
    service = Service(traces_sampler="traceidratio", traces_sampler_arg="0")
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("ended") as ended:
            pass
        with pytest.raises(KeyError), span("failing"):
            raise KeyError
        with trace.use_span(ended):
            service.call()
    assert service.sent == ["1"]
    assert {one.trace_state for one in service.captured.spans} == {"ot=th:0"}


def test_a_call_in_a_forked_child():
    """The span that it was begun under belongs to the parent process: it is the call's caller."""
    service = Service(traces_sampler="traceidratio", traces_sampler_arg="0")
    tail_sampler = trace.get_tracer_provider().sampler._tail_sampler
    with span("before the fork") as before:
        tail_sampler.after_fork()
        service.answers["/callee"] = (500, [])
        service.call("/callee")
    assert service.names == ["GET"]
    assert service.captured.one("GET").parent_span_id == f"{before.get_span_context().span_id:016x}"


def test_calls_that_outlive_the_request(monkeypatch):
    """An open call holds its local trace, so that its failure still shows what the request did."""
    service = Service()
    finished = []
    monkeypatch.setattr(
        buffer.TraceBuffer, "_forget", lambda self, local: finished.append(local), raising=True
    )
    tracer = trace.get_tracer("test")
    root = tracer.start_span("root", context=trace.set_span_in_context(trace.INVALID_SPAN))

    def callee(request):
        root.end()
        return httpx.Response(500)

    client = httpx.Client(transport=httpx.MockTransport(callee))
    with trace.use_span(root):
        client.get("http://stock/")
    assert finished == []
    assert service.names == ["GET", "root"]

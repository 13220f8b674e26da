"""Flask and gRPC servers with OpenTelemetry's instrumentations: their requests are traced as FastAPI's are."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from tests.lifecycle.servers import environment, serving

from eco2_tracing import configure_logging, span
from eco2_tracing._instrumentation.libraries.grpc_server import _patch, patch_grpc_servers
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers

STALE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
HEADERS = {**b3_headers(sampled=False), **STALE}
"""What a sidecar hands on of a client that sends a context of its own; the mesh did not sample the trace."""


def only_server(kept):
    """The one server span, and the span that the handler made below it."""
    (server,) = [found for found in kept if found.kind is SpanKind.SERVER]
    (inner,) = [found for found in kept if found.name == "inner"]
    assert (server.trace_id, server.parent_span_id) == (TRACE_ID, SPAN_ID)
    assert inner.parent_span_id == server.span_id
    assert "planted" not in str(kept)
    return server


@pytest.fixture
def flask_client(service):
    """A Flask application as the page of libraries says."""
    flask = pytest.importorskip("flask")
    contrib = pytest.importorskip("opentelemetry.instrumentation.flask")
    app = flask.Flask("orders")
    app.logger.disabled = True
    contrib.FlaskInstrumentor().instrument_app(app, excluded_urls="health")

    @app.get("/items/<int:item>")
    def read(item):
        with span("inner"):
            pass
        if item == 13:
            raise RuntimeError("password=planted")
        return str(item), 503 if item == 5 else 200

    @app.get("/health")
    def health():
        return "well"

    return app.test_client()


@pytest.mark.parametrize(("item", "status", "error"), [(13, 500, "500"), (5, 503, "503")])
def test_flask_keeps_errors(flask_client, service, item, status, error):
    """A request that fails is kept at 1 %, in the mesh's trace, with the stable conventions and no secret."""
    answer = flask_client.get(f"/items/{item}?token=planted", headers=HEADERS)
    assert answer.status_code == status
    server = only_server(service.captured.spans)
    assert server.name == "GET /items/<int:item>"
    assert server.status is StatusCode.ERROR
    assert server.attributes["http.response.status_code"] == status
    assert server.attributes["error.type"] == error
    assert server.attributes["url.query"] == "token=REDACTED"


def test_flask_keeps_nothing_else(flask_client, service):
    """Requests that the mesh did not sample and that went well leave nothing; a sampled one is continued."""
    assert flask_client.get("/items/1", headers=HEADERS).status_code == 200
    assert flask_client.get("/health", headers=b3_headers()).status_code == 200
    assert service.captured.spans == ()
    assert flask_client.get("/items/1", headers={**b3_headers(), **STALE}).status_code == 200
    assert only_server(service.captured.spans).attributes["http.route"] == "/items/<int:item>"


def test_flask_log_lines(flask_client, service, capsys):
    """Lines that are written in a handler carry the mesh's trace id."""
    configure_logging()
    flask_client.application.add_url_rule("/log", view_func=lambda: logging.getLogger("app").info("x") or "")
    flask_client.get("/log", headers=HEADERS)
    assert TRACE_ID in capsys.readouterr().out


FLASK = """
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from eco2_tracing import configure_tracing

configure_tracing("shop")
app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)

@app.get("/items/<int:item>")
def read(item):
    return str(item)
"""
COMMANDS = {
    "flask": ["-m", "flask", "--app", "shop", "run", "--port", "{port}"],
    "gunicorn": ["-m", "gunicorn", "shop:app", "-w", "2", "-b", "127.0.0.1:{port}"],
    "gunicorn --preload": ["-m", "gunicorn", "shop:app", "--preload", "-w", "2", "-b", "127.0.0.1:{port}"],
    "gunicorn, threads": ["-m", "gunicorn", "shop:app", "--threads", "2", "-b", "127.0.0.1:{port}"],
}


@pytest.mark.parametrize("server", COMMANDS)
def test_flask_spans_are_delivered_when_the_server_ends(server, tmp_path, otlp_receiver):
    """Each WSGI server delivers what is queued at SIGTERM, though WSGI has no lifespan."""
    pytest.importorskip("opentelemetry.instrumentation.flask")
    pytest.importorskip(server.split()[0].rstrip(","))
    (tmp_path / "shop.py").write_text(FLASK)
    environ = environment(otlp_receiver.grpc_endpoint, PYTHONPATH=str(tmp_path))
    with serving([sys.executable, *COMMANDS[server]], tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        otlp_receiver.clear()
        for item in range(10):
            assert served.get(f"/items/{item}", **b3_headers())[0] == 200
        served.stop(signal.SIGTERM)
    found = otlp_receiver.find("GET /items/<int:item>", trace_id=TRACE_ID)
    assert len(found) == 10, (tmp_path / "log").read_text()


def handler(grpc, is_async):
    """A generic handler that answers with what it gets, or fails as the request says."""

    def plain(request, context):
        with span("inner"):
            pass
        if request == b"raise":
            raise RuntimeError("password=planted")
        if request != b"echo":
            context.abort(grpc.StatusCode[request.decode()], "password=planted")
        return request

    async def coroutine(request, context):
        with span("inner"):
            pass
        if request == b"raise":
            raise RuntimeError("password=planted")
        if request != b"echo":
            await context.abort(grpc.StatusCode[request.decode()], "password=planted")
        return request

    def stream(request, context):
        yield b"first"
        yield plain(request, context)

    async def astream(request, context):
        yield b"first"
        yield await coroutine(request, context)

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            if details.method == "/test.Echo/Stream":
                return grpc.unary_stream_rpc_method_handler(astream if is_async else stream)
            return grpc.unary_unary_rpc_method_handler(coroutine if is_async else plain)

    return Echo()


def call(grpc, port, request, method):
    """Call as a caller behind a sidecar does; give the status."""
    metadata = [(key.lower(), value) for key, value in HEADERS.items()]
    with suppress_instrumentation(), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            if method == "Stream":
                assert len(list(channel.unary_stream("/test.Echo/Stream")(request, 30, metadata))) == 2
            else:
                channel.unary_unary(f"/test.Echo/{method}")(request, 30, metadata)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


@contextmanager
def grpc_server(grpc, contrib):
    """Run a gRPC server with OpenTelemetry's interceptor; yield its port."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(
            pool, handlers=(handler(grpc, False),), interceptors=[contrib.server_interceptor()]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None).wait(30)


async def ask_grpc_aio_server(grpc, contrib, *question):
    """Return the status of a call to a server of ``grpc.aio`` with OpenTelemetry's interceptor."""
    interceptors = [contrib.aio_server_interceptor()]
    server = grpc.aio.server(interceptors=interceptors, handlers=(handler(grpc, True),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    status = await asyncio.to_thread(call, grpc, port, *question)
    await server.stop(None)
    return status


@pytest.fixture(params=["grpc", "grpc.aio"])
def ask(request, service):
    """Ask a running server of either kind; give its status when it has stopped."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("grpc.aio")
    contrib = pytest.importorskip("opentelemetry.instrumentation.grpc")

    def ask(*question):
        if request.param == "grpc.aio":
            return asyncio.run(ask_grpc_aio_server(grpc, contrib, *question))
        with grpc_server(grpc, contrib) as port:
            return call(grpc, port, *question)

    return ask


@pytest.mark.parametrize("method", ["Say", "Stream"])
@pytest.mark.parametrize(
    ("request_", "status", "code"), [("raise", "UNKNOWN", 2), ("INTERNAL", "INTERNAL", 13)]
)
def test_grpc_keeps_errors(ask, service, request_, status, code, method):
    """A call whose handler raises, or gives up, is kept at 1 %, in the mesh's trace."""
    assert ask(request_.encode(), method) == status
    server = only_server(service.captured.spans)
    assert server.name == f"/test.Echo/{method}"
    assert server.status is StatusCode.ERROR
    assert server.attributes["rpc.system"] == "grpc"
    assert server.attributes["rpc.grpc.status_code"] == code


@pytest.mark.parametrize("method", ["Say", "Stream"])
@pytest.mark.parametrize(("request_", "status"), [("echo", "OK"), ("NOT_FOUND", "NOT_FOUND")])
def test_grpc_keeps_nothing_else(ask, service, request_, status, method):
    """A call that went well, or that the caller is to blame for, leaves nothing of a trace that is not sampled."""
    assert ask(request_.encode(), method) == status
    assert service.captured.spans == ()


def test_interceptors_that_have_moved(caplog):
    """A version whose private parts differ is one warning; mending twice changes nothing."""
    server = pytest.importorskip("opentelemetry.instrumentation.grpc._server")
    mended = server.OpenTelemetryServerInterceptor._start_span
    patch_grpc_servers()
    assert server.OpenTelemetryServerInterceptor._start_span is mended
    _patch(ModuleType("different"))
    assert len([record for record in caplog.records if record.name == "eco2_tracing"]) == 1

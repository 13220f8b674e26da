"""Celery: tasks sent from within a request, run by real workers with real brokers."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient
from tests.support import programs
from tests.support.redis import redis_server

from eco2_tracing import TracingSettings, configure_tracing, instrument_app, shutdown_tracing, span
from eco2_tracing.testing import CapturedSpans, OtlpReceiver

TRACE_ID = "463ac35c9f6413ad48485a3953bb6124"
HEADERS = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": "a2fb4a1d1a96d312"}
WAIT_S = 60

celery = pytest.importorskip("celery")
pytest.importorskip("celery.signals")
pytest.importorskip("opentelemetry.instrumentation.celery")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A running Redis."""
    with redis_server() as port:
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(params=["rabbitmq", "redis"])
def broker(request):
    """The URLs of a broker and of a store of results, each of a kind that services use together."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        return f"{url}/0", f"{url}/1"
    return f"amqp://guest:guest@127.0.0.1:{request.getfixturevalue('rabbitmq_port')}//", "rpc://"


@contextlib.contextmanager
def worker(environment, *arguments):
    """Run a worker; it has ended, in its own way, when the block has."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.messaging.celery_app",
        "worker",
        "-c",
        "1",
        *arguments,
    ]
    with tempfile.TemporaryFile("w+") as log:
        process = programs.start(command, env=environment, stdout=log, stderr=log)
        try:
            yield
            process.terminate()
            code = process.wait(WAIT_S)
            log.seek(0)
            assert code == 0, log.read()
        finally:
            process.kill()
            process.wait()


def idle(app):
    """Whether no task is running: a child that ends before the loop has read its result is waited for 30 s.

    Celery 5.4 waits for good, with and without tracing.
    """
    with suppress_instrumentation():
        replies = app.control.inspect(timeout=1).active() or {}
    return bool(replies) and not any(replies.values())


def request_that(work):
    """Call a traced application whose endpoint does some work."""
    app = FastAPI()

    @app.post("/orders")
    def order() -> None:
        work()

    instrument_app(app)
    return app


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_tasks_run_inside_the_requests_trace(clean_tracing, monkeypatch, broker, pool):
    """At 1 in 10 000 nothing of a good task is exported, all of a failing one is, and a worker's end loses nothing."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_TRACING_"))}
    with OtlpReceiver() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # what arrives is what the end of the worker delivered
            "OTEL_SERVICE_NAME": "kitchen",
            "BROKER": broker[0],
            "BACKEND": broker[1],
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        configure_tracing()
        shop = celery.Celery("shop", broker=broker[0], backend=broker[1], set_as_current=False)
        results = []

        def work():
            results.extend([shop.send_task("brew", ("tea",)), shop.send_task("spill")])

        with TestClient(request_that(work)) as client:
            client.post("/orders", headers={**HEADERS, "x-b3-sampled": "1"}).raise_for_status()
            client.post("/orders", headers={**HEADERS, "x-b3-sampled": "0"}).raise_for_status()
        with worker({**kept, **environment}, "-P", pool):
            for result in results:
                result.get(timeout=WAIT_S, propagate=False)
            assert any(idle(shop) for _ in range(WAIT_S))
        assert shutdown_tracing()
        for backend in {result.backend for result in results}:
            backend.result_consumer.stop()  # each thread's has a connection that is none of the application's
        shop.close()
        spans = [found for found in receiver.spans if found.trace_id == TRACE_ID]
        strangers = [found for found in receiver.spans if found.trace_id != TRACE_ID]
    by_name = {}
    for found in spans:
        by_name.setdefault(found.name, []).append(found)
    (run,), (boil,), (sent,) = by_name["run/brew"], by_name["boil"], by_name["apply_async/brew"]
    (request,) = by_name["POST /orders"]
    assert (sent.parent_span_id, run.parent_span_id, boil.parent_span_id) == (
        request.span_id,
        sent.span_id,
        run.span_id,
    )
    assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    failed = by_name["run/spill"]
    assert [found.status for found in failed] == [StatusCode.ERROR] * 2
    # The heartbeats and the queues of a worker's loop are no traces.
    assert not {"ZADD HSET", "ZREM HDEL", "EVALSHA"} & {found.name for found in strangers}


@pytest.fixture
def app(clean_tracing):
    """An application of Celery that runs tasks where they are called, and what is captured of it."""
    captured, before = CapturedSpans(), celery.current_app._get_current_object()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    app = celery.Celery("test", broker="memory://")
    yield app, captured
    app.close()
    before.set_current()


def test_a_task_that_cannot_be_sent(app, monkeypatch):
    """Its span ends with the error, and what was current before is current again."""
    from kombu import Producer
    from opentelemetry.instrumentation.celery.utils import CTX_KEY

    celery_app, captured = app

    # Contrib finds a task by its name: no task that another test shares with every application has this one.
    @celery_app.task(name="add in vain", shared=False)
    def add(one, two):
        return one + two

    def refuse(*args, **kwargs):
        # Another thread is sending the same task.
        getattr(add, CTX_KEY, {})["another", True] = (trace.INVALID_SPAN, None, None)
        raise ConnectionError("gone")

    monkeypatch.setattr(Producer, "publish", refuse)
    with span("request") as request:
        with pytest.raises(ConnectionError):
            add.apply_async((1, 2), retry=False)
        with pytest.raises(ConnectionError):
            celery_app.send_task("unknown", retry=False)
        assert trace.get_current_span() is request
    assert list(getattr(add, CTX_KEY)) == [("another", True)]
    sent = captured.one(name="apply_async/add in vain")
    assert (sent.status, sent.parent_span_id) == (StatusCode.ERROR, captured.one(name="request").span_id)


def test_what_fails_in_the_hooks_fails_no_task(app, monkeypatch):
    """An error of our own is logged, and the task goes its way."""
    from kombu import Producer

    from eco2_tracing._instrumentation.messaging import celery as celery_module

    celery_app, _ = app

    @celery_app.task(name="add", shared=False)
    def add(one, two):
        return one + two

    monkeypatch.setattr(celery_module, "inbound_of", None)
    monkeypatch.setattr(celery_module, "_UTILS", "no.such.module")
    monkeypatch.setattr(trace, "get_tracer_provider", None)
    assert add.apply((1, 2)).get() == 3
    celery_module._flush()
    monkeypatch.setattr(Producer, "publish", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        add.apply_async((1, 2), retry=False)


def test_a_child_of_a_pool_delivers(monkeypatch):
    """What is queued is flushed, in bounded time, where there is a provider that can do so."""
    from eco2_tracing._instrumentation.messaging import celery as celery_module

    limits = []
    for provider in (SimpleNamespace(force_flush=limits.append), SimpleNamespace()):
        monkeypatch.setattr(trace, "get_tracer_provider", lambda provider=provider: provider)
        celery_module._flush()
    assert limits == [1500]


def test_a_workers_loop_is_not_traced_and_its_tasks_are(app, patches):
    """The loop runs suppressed; a task in it, and a child that it makes, do not."""
    from opentelemetry.context import get_current

    from eco2_tracing._instrumentation.messaging import celery as celery_module
    from eco2_tracing._untraced import is_suppressed

    celery_app, captured = app
    seen = []

    @celery_app.task(name="look", shared=False)
    def look():
        seen.append(is_suppressed(get_current()))

    class Consumer:
        def start(self):
            seen.append(is_suppressed(get_current()))
            look.apply()
            seen.append(is_suppressed(get_current()))
            celery_module._resume()
            seen.append(is_suppressed(get_current()))

    module = SimpleNamespace(Consumer=Consumer)
    plain = Consumer.start
    celery_module._suppress_loop(patches, module)
    assert Consumer.start is plain  # nothing is on
    patches.later(lambda: None)
    celery_module._suppress_loop(patches, module)
    Consumer().start()
    assert seen == [True, False, True, False]
    assert not is_suppressed(get_current())
    assert captured.one("run/look").kind is SpanKind.CONSUMER


def test_a_caller_that_is_not_trusted_is_linked_to(clean_tracing):
    """The task has a trace of its own, with a link."""
    captured, before = CapturedSpans(), celery.current_app._get_current_object()
    settings = TracingSettings(traces_exporter=("none",), trust_inbound=False)
    configure_tracing(settings=settings, span_processors=(captured,))
    celery_app = celery.Celery("test", broker="memory://")

    @celery_app.task(name="look", shared=False)
    def look():
        pass

    # As a worker does with a message.
    look.push_request(id="1", traceparent=f"00-{TRACE_ID}-a2fb4a1d1a96d312-01")
    celery.signals.task_prerun.send(sender=look, task_id="1", task=look)
    celery.signals.task_postrun.send(sender=look, task_id="1", task=look)
    look.pop_request()
    celery_app.close()
    before.set_current()
    run = captured.one("run/look")
    assert run.trace_id != TRACE_ID
    assert [link.trace_id for link in run.links] == [TRACE_ID]

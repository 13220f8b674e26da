"""Fields of a request: its threads and tasks share them, others do not see them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from opentelemetry.context import attach, detach, set_value

from eco2_tracing import instrument_app, logs
from tests.support.requests import begin_request, end_request

log = logging.getLogger("requests")


def labels(lines) -> list[object]:
    """The labels of each line."""
    return [line.get("labels") for line in lines]


def test_bound_fields_are_on_every_later_line(out):
    """Until the request ends; later values replace earlier ones, `extra` takes precedence."""
    logs.configure_logging()
    log.info("before")
    token = begin_request()
    log.info("nothing yet")
    logs.bind_log_fields(user_id="7", plan="free")
    log.info("bound")
    logs.bind_log_fields(plan="paid")
    log.info("changed")
    log.info("own", extra={"plan": "own"})
    end_request(token)
    log.info("after")
    lines = out()
    assert labels(lines) == [None, None, {"plan": "free"}, {"plan": "paid"}, {"plan": "own"}, None]
    assert [line.get("user.id") for line in lines] == [None, None, "7", "7", "7", None]


def test_secrets_that_are_bound(out):
    """They are masked like those of `extra`."""
    logs.configure_logging()
    token = begin_request()
    logs.bind_log_fields(password="planted", note="token=planted")
    log.info("m")
    log.info("m", extra={"a": 1})
    end_request(token)
    assert "planted" not in str(out())


def test_requests_do_not_see_each_other(out):
    """Two requests in one thread at the same time."""
    logs.configure_logging()

    async def request(number: int, gate: asyncio.Barrier) -> None:
        token = begin_request()
        await gate.wait()
        logs.bind_log_fields(number=number)
        await gate.wait()
        log.info("%d", number)
        end_request(token)

    async def main() -> None:
        gate = asyncio.Barrier(5)
        await asyncio.gather(*(request(number, gate) for number in range(5)))

    asyncio.run(main())
    lines = out()
    assert len(lines) == 5
    assert all(line["labels"] == {"number": int(line["message"])} for line in lines)


def test_what_a_thread_or_task_binds_reaches_the_request(out):
    """As fields that a synchronous endpoint binds."""
    logs.configure_logging()

    async def request() -> None:
        token = begin_request()
        await asyncio.to_thread(logs.bind_log_fields, thread=1)
        await asyncio.create_task(in_task())
        log.info("m")
        end_request(token)

    async def in_task() -> None:
        logs.bind_log_fields(task=2)

    asyncio.run(request())
    assert labels(out()) == [{"thread": 1, "task": 2}]


def test_outside_a_request_the_context_alone_is_meant(out):
    """Fields that a task binds are those of the task and of tasks that it starts."""
    logs.configure_logging()

    def child() -> None:
        logs.bind_log_fields(child=1)
        log.info("child")

    def main() -> None:
        logs.bind_log_fields(main=1)
        contextvars.copy_context().run(child)
        log.info("main")

    contextvars.Context().run(main)
    log.info("none")
    assert labels(out()) == [{"main": 1, "child": 1}, {"main": 1}, None]


def test_a_request_that_ends_elsewhere(out):
    """A token of another context is no error."""
    logs.configure_logging()
    token = contextvars.copy_context().run(begin_request)

    def end() -> None:
        begin_request()
        logs.bind_log_fields(a=1)
        end_request(token)
        log.info("m")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.Context().run, end).result()
    assert labels(out()) == [None]


@pytest.mark.parametrize("is_copied", [False, True], ids=["server", "outer instrumentation"])
def test_what_a_server_begins_while_it_sends_the_last_byte(out, captured_spans, is_copied):
    """It may write the access line then, with the ids of the request; what it begins for later requests has none."""
    logs.configure_logging()
    app, following = FastAPI(), []

    @app.get("/")
    async def read() -> None:
        logs.bind_log_fields(tenant="acme")

    async def next_request() -> None:
        log.info("next")

    async def send(message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            log.info("access")
            token = attach(set_value("own", 1)) if is_copied else None
            following.append(asyncio.create_task(next_request()))
            if token is not None:
                detach(token)

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def serve() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        await app(scope, receive, send)
        await asyncio.gather(*following)

    instrument_app(app)
    asyncio.run(serve())
    access, later = out()
    (server,) = captured_spans.spans
    assert (access["span.id"], access["labels"]) == (server.span_id, {"tenant": "acme"})
    assert not {"span.id", "trace.id", "labels"} & set(later)

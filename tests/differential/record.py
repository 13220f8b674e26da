"""Run every case in one mode, in a separate process, and print the spans as JSON.

Usage: ``python -m tests.differential.record stock|lean|contrib``; the environment says the rest.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from tests.differential.client_cases import CLIENT_CASES, ClientCase, answering_server
from tests.differential.server_app import build_app
from tests.differential.server_cases import SERVER_CASES, ServerCase

# Sampling attributes of a local root do not depend on the instrumentation.
SAMPLING = ("sampler.", "eco2.sampling.")


class Collector(SpanProcessor):
    """Holds the ended spans of the current case."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Hold the span."""
        self.spans.append(span)

    def take(self) -> list[dict[str, Any]]:
        """Return the spans of the case as plain data, ordered by start."""
        spans, self.spans = sorted(self.spans, key=lambda s: s.start_time or 0), []
        names = {s.context.span_id: s.name for s in spans if s.context}
        return [_plain(span, names) for span in spans]


def _plain(span: ReadableSpan, names: dict[int, str]) -> dict[str, Any]:
    attributes = sorted((span.attributes or {}).items())
    return {
        "name": span.name,
        "kind": span.kind.name,
        "parent": names.get(span.parent.span_id, "remote") if span.parent else None,
        "status": span.status.status_code.name,
        "description": span.status.description,
        "events": [(e.attributes or {}).get("exception.type", e.name) for e in span.events],
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "attributes": {key: value for key, value in attributes if not key.startswith(SAMPLING)},
    }


def hook(span: Any, scope: dict[str, Any]) -> None:
    """Set an attribute, as a user's request hook would."""
    span.set_attribute("test.hook", scope["type"])


def _stock(collector: Collector) -> Callable[[Any], None]:
    """Set up OpenTelemetry's packages alone."""
    fastapi = importlib.import_module("opentelemetry.instrumentation.fastapi")
    httpx = importlib.import_module("opentelemetry.instrumentation.httpx")
    provider = TracerProvider()
    provider.add_span_processor(collector)
    trace.set_tracer_provider(provider)
    httpx.HTTPXClientInstrumentor().instrument()
    if importlib.util.find_spec("httpx2"):
        httpx.HTTPX2ClientInstrumentor().instrument()
    return lambda app: fastapi.FastAPIInstrumentor.instrument_app(
        app, server_request_hook=hook, excluded_urls="^https?://[^/]*/health$"
    )


def _ours(collector: Collector) -> Callable[[Any], None]:
    """Set up this library."""
    ours = importlib.import_module("eco2_tracing")
    ours.configure_tracing(service_name="compared", span_processors=(collector,))
    return lambda app: ours.instrument_app(app, server_request_hook=hook)


async def _send(app: Any, case: ServerCase) -> None:
    messages = iter(case.messages())
    sent = 0

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        nonlocal sent
        if sent == case.gone_after:
            raise OSError("the client is gone")
        sent += 1

    try:
        await app(case.build_scope(), receive, send)
    except Exception as error:
        logging.getLogger("record").debug("%s raised %r", case.name, error)


def _headers(case: ClientCase) -> list[tuple[str, bytes]]:
    return [(key, value.encode()) for key, value in case.headers.items()]


def _call(module: Any, case: ClientCase, port: int) -> None:
    with module.Client(
        timeout=module.Timeout(5, read=case.timeout_s), follow_redirects=case.follow, max_redirects=3
    ) as client:
        try:
            client.request(case.method, case.url(port), headers=_headers(case))
        except module.HTTPError:
            return


async def _call_async(module: Any, case: ClientCase, port: int) -> None:
    timeout = module.Timeout(5, read=case.timeout_s)
    options = {"timeout": timeout, "follow_redirects": case.follow, "max_redirects": 3}
    async with module.AsyncClient(**options) as client:
        try:
            await client.request(case.method, case.url(port), headers=_headers(case))
        except module.HTTPError:
            return


def record(mode: str) -> dict[str, list[dict[str, Any]]]:
    """Run every case in this process.

    Args:
        mode: ``stock``, or anything else for this library as the environment sets it.

    Returns:
        The spans of each case, by the case's name.
    """
    collector = Collector()
    instrument = _stock(collector) if mode == "stock" else _ours(collector)
    app = build_app()
    instrument(app)
    found: dict[str, list[dict[str, Any]]] = {}
    for case in SERVER_CASES:
        asyncio.run(_send(app, case))
        found[f"server: {case.name}"] = collector.take()
    with answering_server() as port:
        for name in filter(importlib.util.find_spec, ("httpx", "httpx2")):
            module = importlib.import_module(name)
            for call in CLIENT_CASES:
                _call(module, call, port)
                found[f"{name}: {call.name}"] = collector.take()
                asyncio.run(_call_async(module, call, port))
                found[f"{name} async: {call.name}"] = collector.take()
    text = json.dumps(found).replace(f":{port}", ":PORT").replace(f'port": {port}', 'port": 0')
    plain: dict[str, list[dict[str, Any]]] = json.loads(text)
    return plain


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    json.dump(record(sys.argv[1]), sys.stdout)

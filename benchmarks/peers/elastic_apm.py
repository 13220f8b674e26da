"""Elastic's APM client.

https://www.elastic.co/docs/reference/apm/agents/python/starlette-support
https://www.elastic.co/docs/reference/apm/agents/python/performance-tuning: it follows the caller's
decision in ``traceparent``, and sends unsampled transactions without their context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import SERVICE, Sink, Tracing, Variant

if TYPE_CHECKING:
    from fastapi import FastAPI

PACKAGES = ("elastic-apm",)


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "ELASTIC_APM_SERVICE_NAME": SERVICE,
        "ELASTIC_APM_SERVER_URL": sink.http_url,
        "ELASTIC_APM_ENVIRONMENT": "production",
    }


def set_up(variant: Variant) -> Tracing:
    from elasticapm import capture_span
    from elasticapm.contrib.starlette import ElasticAPM, make_apm_client

    client = make_apm_client()

    def instrument(app: FastAPI) -> None:
        app.add_middleware(ElasticAPM, client=client)

    return Tracing(
        instrument=instrument, flush=client._transport.flush, span=capture_span, database=capture_span
    )

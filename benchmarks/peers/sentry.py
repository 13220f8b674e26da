"""Sentry's SDK.

https://docs.sentry.io/platforms/python/integrations/fastapi/: `init` with ``traces_sample_rate``; it
reads neither B3 nor ``traceparent``, so that its own rate decides: all, or one in a hundred.
"""

from __future__ import annotations

from benchmarks.peers import Sink, Tracing, Variant

PACKAGES = ("sentry-sdk",)


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {
        "SENTRY_DSN": f"http://key@127.0.0.1:{sink.http}/1",
        "SENTRY_ENVIRONMENT": "production",
    }


def set_up(variant: Variant) -> Tracing:
    import sentry_sdk

    rate = 1.0 if variant.sampled else 0.01
    sentry_sdk.init(send_default_pii=True, traces_sample_rate=rate)
    return Tracing(
        flush=lambda: sentry_sdk.flush(2),
        span=lambda name: sentry_sdk.start_span(op="function", name=name),
        database=lambda text: sentry_sdk.start_span(op="db", name=text),
    )

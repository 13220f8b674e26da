"""Headers of our own exports and polls, so that no proxy on the way traces them."""

from __future__ import annotations

import os


def untraced_headers() -> dict[str, str]:
    """Return headers with the decision "not sampled", in each format that a mesh extracts.

    Without a decision in the request, a sidecar makes one, and begins a trace for each export that it samples.
    Envoy's Zipkin tracer extracts the first header, its OpenTelemetry tracer the second.
    """
    return {
        "x-b3-sampled": "0",
        "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00",
    }

"""Headers of what we send for ourselves, exports and polls: no proxy on the way shall trace it."""

from __future__ import annotations

import os


def untraced_headers() -> dict[str, str]:
    """Give headers that say "not sampled" in each format that a mesh reads.

    Where a request brings no decision, a sidecar takes one, and begins a trace for each export that it samples.
    Envoy's Zipkin tracer reads the first of these, its OpenTelemetry tracer the second.
    """
    return {
        "x-b3-sampled": "0",
        "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00",
    }

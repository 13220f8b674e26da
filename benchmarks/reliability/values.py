"""Hostile values: responses are those of the untraced application."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import urlencode

from benchmarks.reliability._processes import serving
from benchmarks.reliability._routes_values import PLACES, VALUES
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver, b3_headers

QUICK = ("surrogates", "recursive", "liar", "lying text", "2^70", "NaN")


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the answers that differ: each value in each place, in a sampled and in an unsampled request."""
    values = VALUES if scale.full else QUICK
    with OtlpReceiver() as receiver, ExitStack() as stack:
        plain, traced = (
            stack.enter_context(serving(mode, receiver.grpc_endpoint, routes="_routes_values"))
            for mode in ("bare", variant)
        )
        traced.prove_traced(receiver)
        paths = [f"/fight?{urlencode({'place': at, 'value': v})}" for at in PLACES for v in values]
        sink = f"http://127.0.0.1:{plain.port}/health"
        paths += [f"/baggage?{urlencode({'value': value, 'url': sink})}" for value in values]
        differing = []
        for path in paths:
            expected = plain.get(path)
            for sampled in (True, False):
                if traced.get(path, **b3_headers(sampled=sampled)) != expected:
                    differing.append((path, sampled))
        return Figure(f"{len(differing)} of {2 * len(paths)} differ", not differing)


ROWS = (
    Row(
        "values",
        "hostile values in names, attributes, events, exceptions, baggage and logs do not change a response",
        "0 differing",
        measure,
    ),
)

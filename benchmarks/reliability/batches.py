"""one bad or oversized span among good ones: what a collector gets of the batch."""

from __future__ import annotations

from benchmarks.reliability._processes import serving
from benchmarks.reliability._routes_batches import BAD, INNOCENT
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver

QUICK = ("surrogate in the name", "value beyond 64 bits", "value of 6 MB")


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the innocent spans that did not arrive, and the bad ones that did."""
    cases = list(BAD) if scale.full else list(QUICK)
    with OtlpReceiver() as receiver:
        with serving(variant, receiver.grpc_endpoint, routes="_routes_batches") as served:
            for case in cases:
                served.get(f"/batch?bad={case.replace(' ', '%20')}")
                served.get("/flush")  # whatever it is told: a batch that is lost is what is counted
        spans = [span for span in receiver.spans if span.attributes.get("case") in cases]
    innocent = sum(span.name == "innocent" for span in spans)
    lost = len(cases) * INNOCENT - innocent
    delivered = len(spans) - innocent
    return Figure(
        f"{lost} of {len(cases) * INNOCENT} innocent spans lost; {delivered} of {len(cases)} bad ones delivered",
        lost == 0 and delivered == len(cases),
    )


ROWS = (
    Row(
        "batches",
        "an invalid or oversized span does not affect the other spans of its batch",
        "0 innocent spans lost",
        measure,
    ),
)
